/** The exported decoder of every family, fed in pieces with its own cache, against what transformers computed on whole texts. */

import { describe, expect, test } from "vitest";
import { cacheShape, exportedPositions } from "../../src/export/onnx.ts";
import { cachedDecoder } from "../../src/export/onnx-program.ts";
import { modelFor, rotaryInputValues } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Value } from "../../src/runtime/runtime.ts";
import { families, familyWeights } from "../models/families.ts";
import { expectClose } from "../support/programs.ts";

interface Batch {
  /** Token ids of each sequence, all of one length with the padding before them. */
  readonly ids: readonly (readonly number[])[];
  /** How many of each are padding. */
  readonly padding: readonly number[];
}

const ints = (rows: readonly (readonly number[])[]): Value => ({
  dims: [rows.length, rows[0]!.length],
  data: BigInt64Array.from(rows.flat(), BigInt),
});

/** Log-probabilities of each sequence's tokens after its first, from a run of the first half and runs of one token each. */
async function logps(variant: string, { ids, padding }: Batch): Promise<number[][]> {
  const { config, shapes } = families.variants[variant]!;
  const model = modelFor({ config, source: variant });
  const shape = cacheShape(config, model);
  const rows = exportedPositions(config, model);
  await using program = await nodeRuntime.compile(cachedDecoder(model, shape, rows));
  const fixed = { ...familyWeights(new Map(Object.entries(shapes))), ...rotaryInputValues(model, rows) };
  let past: Record<string, Value> = {};
  for (let layer = 0; layer < model.layers; layer++) {
    for (const part of ["key", "value"]) {
      const dims = [ids.length, shape.heads, 0, shape.headDim];
      past[`${layer}.${part}`] = { dims, data: new Float32Array(0) };
    }
  }
  const result: number[][] = ids.map(() => []);
  const length = ids[0]!.length;
  const half = Math.ceil(length / 2);
  const cuts = [0, ...Array.from({ length: length - half }, (_, i) => half + i), length];
  for (const [i, start] of cuts.slice(0, -1).entries()) {
    const end = cuts[i + 1]!;
    const outputs = await program.run({
      ...fixed,
      ...Object.fromEntries(Object.entries(past).map(([name, value]) => [`past_key_values.${name}`, value])),
      input_ids: ints(ids.map((row) => row.slice(start, end))),
      attention_mask: ints(padding.map((before) => Array.from({ length: end }, (_, at) => Number(at >= before)))),
      // As transformers.js counts them, padding included.
      position_ids: ints(
        padding.map((before) =>
          Array.from({ length: end }, (_, at) => (at < before ? 1 : at - before)).slice(start, end),
        ),
      ),
    });
    past = Object.fromEntries(Object.keys(past).map((name) => [name, outputs[`present.${name}`]!]));
    expect(past["0.key"]!.dims).toEqual([ids.length, shape.heads, end, shape.headDim]);
    const logits = outputs.logits!.data as Float32Array;
    const size = model.vocabularySize;
    for (const [sequence, row] of ids.entries()) {
      for (let at = Math.max(start, padding[sequence]!); at < end && at + 1 < length; at++) {
        const from = (sequence * (end - start) + at - start) * size;
        result[sequence]!.push(logp(logits.subarray(from, from + size), row[at + 1]!));
      }
    }
  }
  return result;
}

function logp(logits: Float32Array, id: number): number {
  const largest = logits.reduce((a, b) => Math.max(a, b));
  const total = logits.reduce((sum, z) => sum + Math.exp(z - largest), 0);
  return logits[id]! - largest - Math.log(total);
}

describe("the decoder with a cache", () => {
  // LongRoPE's other angles, for texts longer than those of the first training, are not exported.
  const variants = Object.keys(families.variants).filter((variant) => variant !== "phi3-long");
  const [{ prompt, completions }] = families.examples as [(typeof families.examples)[number]];
  const text = [...prompt, ...(completions as [number[]])[0]];

  test.each(variants)("%s says what transformers says", async (variant) => {
    const [all] = await logps(variant, { ids: [text], padding: [0] });
    expectClose(all!.slice(prompt.length - 1), families.variants[variant]!.logps[0]!, 1e-5);
  });

  test.each(variants)("%s says the same of a text in a batch with others, padded on the left", async (variant) => {
    const padding = [3, 0, text.length - 4];
    const ids = padding.map((before) => [...new Array<number>(before).fill(0), ...text].slice(0, text.length));
    const alone = await logps(variant, { ids: [text], padding: [0] });
    const together = await logps(variant, { ids, padding });
    for (const [i, before] of padding.entries()) {
      expectClose(together[i]!, alone[0]!.slice(0, text.length - before - 1), 1e-5);
    }
  });
});
