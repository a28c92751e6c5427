/** What the tests against TRL share: its numbers and the settings of its runs, and what is held to them. */

import { readFileSync } from "node:fs";
import { expect } from "vitest";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import type { TrainingOptions } from "../../src/training/methods.ts";
import type { Metrics } from "../../src/training/observer.ts";

export interface TrlSettings {
  readonly steps: number;
  readonly batch_size: number;
  readonly max_length: number;
  readonly learning_rate: number;
}

/** Of each trained tensor at the end: its L2 norm, and that of how far it came from its start. */
export type TrlParameters = Readonly<Record<string, { readonly norm: number; readonly change: number }>>;

/** The golden numbers of a script under tests/reference. */
export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../golden/parity/${name}.json`, import.meta.url), "utf8")) as T;
}

/** TRL's run in our words: its rows are the first that fit, in the order of the file. */
export function trlOptions(settings: TrlSettings) {
  return {
    limit: settings.steps * settings.batch_size,
    shuffle: false,
    batchSize: settings.batch_size,
    learningRate: settings.learning_rate,
    maxLength: settings.max_length,
    truncation: "drop",
    threads: 1,
    samplePrompts: 0,
  } as const satisfies Partial<TrainingOptions>;
}

/** How far a number is from the expected one, as a share of that. */
export function relative(found: number | undefined, expected: number | undefined): number {
  return Math.abs(found! / expected! - 1);
}

/** Fails unless steps have TRL's learning rates, losses within 1e-3 relative, and gradients of its norms within 1e-2. */
export function expectSteps(found: readonly Metrics[], expected: readonly Metrics[]): void {
  expect(found.length).toBe(expected.length);
  found.forEach(({ learning_rate, loss, grad_norm }, i) => {
    const where = `step ${i + 1}`;
    expect(learning_rate, where).toBeCloseTo(expected[i]!.learning_rate!, 12);
    expect(relative(loss, expected[i]!.loss), where).toBeLessThan(1e-3);
    expect(relative(grad_norm, expected[i]!.grad_norm), where).toBeLessThan(1e-2);
  });
}

/** Fails unless the tensors of a file have the norms of TRL's, within 2 % of how far they came. */
export function expectParameters(file: string, parameters: TrlParameters): void {
  using weights = new SafetensorsFile(file);
  for (const [tensor, { norm, change }] of Object.entries(parameters)) {
    const found = Math.sqrt(weights.read(tensor).reduce((total, x) => total + x * x, 0));
    expect(Math.abs(found - norm), tensor).toBeLessThan(0.02 * change + 1e-6 * norm);
  }
}
