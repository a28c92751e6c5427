/** The exported decoder of every family, fed in pieces with its own cache, against what transformers computed on whole texts. */

import { describe, expect, test } from "vitest";
import { cacheShape, exportedPositions } from "../../src/export/onnx.ts";
import { cachedDecoder } from "../../src/export/onnx-program.ts";
import { modelFor, rotaryInputValues } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Value } from "../../src/runtime/runtime.ts";
import { families, familyWeights } from "../models/families.ts";
import { expectClose } from "../support/programs.ts";

const ints = (values: readonly number[]): Value => ({
  dims: [1, values.length],
  data: BigInt64Array.from(values, BigInt),
});

/** Log-probability of each token after the first, from a run of the first half and runs of one token each. */
async function logps(variant: string, ids: readonly number[]): Promise<number[]> {
  const { config, shapes } = families.variants[variant]!;
  const model = modelFor({ config, source: variant });
  const shape = cacheShape(config, model);
  const positions = exportedPositions(config, model);
  await using program = await nodeRuntime.compile(cachedDecoder(model, shape, positions));
  const fixed = { ...familyWeights(new Map(Object.entries(shapes))), ...rotaryInputValues(model, positions) };
  let past: Record<string, Value> = {};
  for (let layer = 0; layer < model.layers; layer++) {
    for (const part of ["key", "value"]) {
      past[`${layer}.${part}`] = { dims: [1, shape.heads, 0, shape.headDim], data: new Float32Array(0) };
    }
  }
  const result: number[] = [];
  const half = Math.ceil(ids.length / 2);
  const cuts = [0, ...Array.from({ length: ids.length - half }, (_, i) => half + i), ids.length];
  for (const [i, start] of cuts.slice(0, -1).entries()) {
    const end = cuts[i + 1]!;
    const outputs = await program.run({
      ...fixed,
      ...Object.fromEntries(Object.entries(past).map(([name, value]) => [`past_key_values.${name}`, value])),
      input_ids: ints(ids.slice(start, end)),
      attention_mask: ints(Array.from({ length: end }, () => 1)),
    });
    past = Object.fromEntries(Object.keys(past).map((name) => [name, outputs[`present.${name}`]!]));
    expect(past["0.key"]!.dims).toEqual([1, shape.heads, end, shape.headDim]);
    const logits = outputs.logits!.data as Float32Array;
    const size = model.vocabularySize;
    for (let at = start; at < end && at + 1 < ids.length; at++) {
      const row = Array.from(logits.subarray((at - start) * size, (at - start + 1) * size));
      const largest = Math.max(...row);
      const total = row.reduce((sum, z) => sum + Math.exp(z - largest), 0);
      result.push(row[ids[at + 1]!]! - largest - Math.log(total));
    }
  }
  return result;
}

describe("the decoder with a cache", () => {
  // LongRoPE's other angles, for texts longer than those of the first training, are not exported.
  const variants = Object.keys(families.variants).filter((variant) => variant !== "phi3-long");

  test.each(variants)("%s says what transformers says", async (variant) => {
    const [{ prompt, completions }] = families.examples as [(typeof families.examples)[number]];
    const [completion] = completions as [number[]];
    const all = await logps(variant, [...prompt, ...completion]);
    expectClose(all.slice(prompt.length - 1), families.variants[variant]!.logps[0]!, 1e-5);
  });
});
