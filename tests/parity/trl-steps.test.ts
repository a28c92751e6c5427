/**
 * Training steps against TRL's DPOTrainer (tests/reference/trl_steps.py): the same start, the same pairs in the same
 * order. Loss within 1e-5 at step 1 and 1e-3 relative at every step, and the same weights at the end.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { type LoraModule, writeAdapter } from "../../src/checkpoints/peft.ts";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { modelFor } from "../../src/models/index.ts";
import type { Metrics } from "../../src/training/observer.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { dpo } from "../../src/training/tuners.ts";

const shared = new URL("../../../shared/", import.meta.url);
const data = new URL("data/hh-rlhf-harmless-base-test.jsonl.gz", shared).pathname;
const models: Readonly<Record<string, string>> = {
  stories260K: new URL("models/stories260K", shared).pathname,
  SmolLM2: new URL("models/SmolLM2-135M-Instruct.Q4_1.gguf", shared).pathname,
};

interface Golden {
  readonly settings: {
    readonly loss: "sigmoid" | "ipo";
    readonly beta: number;
    readonly model: string;
    readonly lora?: { readonly rank: number; readonly alpha: number };
    readonly steps: number;
    readonly batch_size: number;
    readonly max_length: number;
    readonly learning_rate: number;
  };
  readonly steps: readonly Metrics[];
  readonly parameters: Readonly<Record<string, { sum: number; norm: number; first: number[]; change: number }>>;
}

const MODULES = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"];

/** LoRA's A as trl_steps.py's `initial_a` makes it: a hash of the element's number, spread evenly within 1 / sqrt(in). */
function initialA(layer: number, module: number, rank: number, inFeatures: number): Float32Array {
  const offset = Math.imul(7 * layer + module, 0x9e3779b9);
  return Float32Array.from({ length: rank * inFeatures }, (_, k) => {
    let x = (k + offset) >>> 0;
    x = Math.imul(x ^ (x >>> 16), 0x85ebca6b);
    x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
    x = (x ^ (x >>> 16)) >>> 0;
    return (2 * ((x >>> 8) / 2 ** 24) - 1) / Math.sqrt(inFeatures);
  });
}

/** Writes the adapter that TRL started from: A by formula, B zero. */
async function writeInitialAdapter(folder: string, path: string, { rank, alpha }: { rank: number; alpha: number }) {
  using checkpoint = await openCheckpoint(path);
  const model = modelFor(checkpoint);
  const modules = model.linearModules.map((module): [string, LoraModule] => {
    const [outFeatures, inFeatures] = model.weights.get(`${module}.weight`)! as [number, number];
    const layer = Number(/layers\.(\d+)\./.exec(module)![1]);
    const a = initialA(layer, MODULES.indexOf(module.split(".").at(-1)!), rank, inFeatures);
    return [module, { a, b: new Float32Array(outFeatures * rank), inFeatures, outFeatures }];
  });
  writeAdapter(folder, { rank, alpha, rsLora: false, targets: MODULES, modules: new Map(modules) });
}

/** How many of TRL's steps are taken: all of them, but for the large model only the first unless PREFTUNE_SLOW_TESTS is set. */
function stepsTaken({ model, steps }: Golden["settings"]): number {
  return model === "SmolLM2" && process.env.PREFTUNE_SLOW_TESTS === undefined ? 5 : steps;
}

const scratch = mkdtempSync(join(tmpdir(), "preftune-parity-"));
afterAll(() => rmSync(scratch, { recursive: true }));

describe.each(["stories260K-full", "stories260K-full-ipo", "stories260K-lora", "SmolLM2-lora", "SmolLM2-full"])(
  "%s",
  (name) => {
    const url = new URL(`../golden/parity/steps-${name}.json`, import.meta.url);
    const golden = JSON.parse(readFileSync(url, "utf8")) as Golden;
    const { settings } = golden;
    const model = models[settings.model]!;

    it.skipIf(!existsSync(model) || !existsSync(data))(
      `takes TRL's steps (skipped where ../shared is absent)`,
      { timeout: 900_000 },
      async () => {
        const adapter = settings.lora && join(scratch, `${name}-start`);
        if (adapter) await writeInitialAdapter(adapter, model, settings.lora!);
        const steps: Metrics[] = [];
        const options: DpoOptions = {
          model,
          data,
          output: join(scratch, name),
          loss: settings.loss,
          beta: settings.beta,
          tuning: adapter ? "lora" : "full",
          adapter,
          limit: settings.steps * settings.batch_size,
          shuffle: false,
          batchSize: settings.batch_size,
          learningRate: settings.learning_rate,
          maxLength: settings.max_length,
          truncation: "drop",
          samplePrompts: 0,
        };
        const wanted = stepsTaken(settings);
        const stop = new AbortController();
        const onStep = (metrics: Metrics) => {
          if (steps.push(metrics) === wanted) stop.abort();
        };
        const signal = wanted < settings.steps ? stop.signal : undefined;
        const { result } = await dpo(options, { observer: { onStep }, signal });
        expect(steps.length).toBe(wanted);
        expect(Math.abs(steps[0]!.loss! - golden.steps[0]!.loss!)).toBeLessThan(1e-5);
        steps.forEach((found, i) => {
          const expected = golden.steps[i]!;
          const where = `step ${i + 1}`;
          expect(found.learning_rate, where).toBeCloseTo(expected.learning_rate!, 12);
          expect(Math.abs(found.loss! / expected.loss! - 1), where).toBeLessThan(1e-3);
          expect(Math.abs(found.grad_norm! / expected.grad_norm! - 1), where).toBeLessThan(1e-2);
          expect(found["rewards/margins"], where).toBeCloseTo(expected["rewards/margins"]!, 2);
          expect(Math.abs(found["logps/chosen"]! / expected["logps/chosen"]! - 1), where).toBeLessThan(1e-4);
        });
        if (!result) return;
        using weights = new SafetensorsFile(join(result, adapter ? "adapter_model.safetensors" : "model.safetensors"));
        for (const [tensor, expected] of Object.entries(golden.parameters)) {
          const values = weights.read(tensor);
          const norm = Math.sqrt(values.reduce((total, x) => total + x * x, 0));
          expect(Math.abs(norm - expected.norm), tensor).toBeLessThan(0.02 * expected.change + 1e-6 * expected.norm);
        }
      },
    );
  },
);
