/**
 * Training steps against TRL's DPOTrainer (tests/reference/trl_steps.py): the same start, the same pairs in the same
 * order. Loss within 1e-5 at step 1 and 1e-3 relative at every step, and the same weights at the end.
 */

import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { type LoraModule, writeAdapter } from "../../src/checkpoints/peft.ts";
import { modelFor } from "../../src/models/index.ts";
import type { Metrics, RunObserver } from "../../src/training/observer.ts";
import type { DpoOptions } from "../../src/training/tuners.ts";
import { dpo } from "../../src/training/tuners.ts";
import {
  expectParameters,
  expectSteps,
  golden,
  relative,
  type TrlParameters,
  type TrlSettings,
  trlOptions,
} from "../support/parity.ts";
import { interruptAfter } from "../support/runs.ts";
import { scratchFolder } from "../support/scratch.ts";
import { HH_PAIRS, SMOLLM2, STORIES, sharedMissing } from "../support/shared.ts";

const models: Readonly<Record<string, string>> = { stories260K: STORIES, SmolLM2: SMOLLM2 };

interface Golden {
  readonly settings: TrlSettings & {
    readonly loss: "sigmoid" | "ipo";
    readonly beta: number;
    readonly model: string;
    readonly lora?: { readonly rank: number; readonly alpha: number };
  };
  readonly steps: readonly Metrics[];
  readonly parameters: TrlParameters;
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

const { at } = scratchFolder();

describe.each(["stories260K-full", "stories260K-full-ipo", "stories260K-lora", "SmolLM2-lora", "SmolLM2-full"])(
  "%s",
  (name) => {
    const { settings, steps: expected, parameters } = golden<Golden>(`steps-${name}`);
    const model = models[settings.model]!;

    it.skipIf(sharedMissing)(
      `takes TRL's steps (skipped where ../shared is absent)`,
      { timeout: 900_000 },
      async () => {
        const adapter = settings.lora && at(`${name}-start`);
        if (adapter) await writeInitialAdapter(adapter, model, settings.lora!);
        const steps: Metrics[] = [];
        const options: DpoOptions = {
          ...trlOptions(settings),
          model,
          data: HH_PAIRS,
          output: at(name),
          loss: settings.loss,
          beta: settings.beta,
          tuning: adapter ? "lora" : "full",
          adapter,
        };
        const wanted = stepsTaken(settings);
        const observer: RunObserver = { onStep: (metrics) => steps.push(metrics) };
        const { result } = await dpo(
          options,
          interruptAfter(wanted < settings.steps ? wanted : undefined, { observer }),
        );
        expectSteps(steps, expected.slice(0, wanted));
        expect(Math.abs(steps[0]!.loss! - expected[0]!.loss!)).toBeLessThan(1e-5);
        steps.forEach((found, i) => {
          const where = `step ${i + 1}`;
          expect(found["rewards/margins"], where).toBeCloseTo(expected[i]!["rewards/margins"]!, 2);
          expect(relative(found["logps/chosen"], expected[i]!["logps/chosen"]), where).toBeLessThan(1e-4);
        });
        if (result)
          expectParameters(join(result, adapter ? "adapter_model.safetensors" : "model.safetensors"), parameters);
      },
    );
  },
);
