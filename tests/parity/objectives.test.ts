/**
 * Every objective of TRL's against TRL itself (tests/reference/trl_objectives.py): stories260K with all its weights, 20
 * steps from the same start on the same rows in the same order. The loss is within 1e-3 relative of TRL's at every step.
 */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { objectivesOf } from "../../src/objectives/index.ts";
import { methods, resolveConfig, type TrainingOptions } from "../../src/training/methods.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { tune } from "../../src/training/run.ts";
import { Distances } from "../support/distances.ts";
import { golden, relative, type TrlSettings } from "../support/parity.ts";
import { scratchFolder } from "../support/scratch.ts";
import { HH_PAIRS, STORIES, sharedMissing } from "../support/shared.ts";

type MethodName = Parameters<typeof objectivesOf>[0];

interface Case {
  readonly trainer: "dpo" | "kto" | "bco" | "orpo" | "cpo";
  readonly empty_prompts: boolean;
  readonly preftune: Partial<TrainingOptions> & { readonly method: MethodName };
  readonly loss: readonly number[];
  readonly grad_norm: readonly number[];
  readonly margin: readonly number[];
}

interface Golden {
  readonly settings: TrlSettings & { readonly epochs: number };
  /** Lines of the data, from 1. */
  readonly rows: readonly number[];
  readonly cases: Readonly<Record<string, Case>>;
}

const { settings, rows, cases } = golden<Golden>("objectives");

interface Pair {
  readonly prompt: string;
  readonly chosen: string;
  readonly rejected: string;
}

const MARK = "\n\nAssistant:";

/** The prompt that both texts of an HH row begin with, and what follows it in each. */
function splitRow(row: Omit<Pair, "prompt">): Pair {
  let shared = 0;
  while (row.chosen[shared] === row.rejected[shared]) shared++;
  const end = row.chosen.slice(0, shared).lastIndexOf(MARK) + MARK.length;
  return { prompt: row.chosen.slice(0, end), chosen: row.chosen.slice(end), rejected: row.rejected.slice(end) };
}

/** The rows that a case learns from: pairs; for TRL's unpaired trainers one completion of each, in turn chosen and rejected. */
function rowsOf({ trainer, empty_prompts: empty }: Case, pairs: readonly Pair[]): object[] {
  if (trainer !== "kto" && trainer !== "bco") return pairs.map((pair) => (empty ? { ...pair, prompt: "" } : pair));
  return pairs.map(({ prompt, chosen, rejected }, i) => {
    const label = i % 2 === 0;
    return { prompt, completion: label ? chosen : rejected, label };
  });
}

const { at, writeLines } = scratchFolder();

/** Takes the case's steps with preftune. */
async function stepsOf(name: string, pairs: readonly Pair[]): Promise<Metrics[]> {
  const { method, ...options } = cases[name]!.preftune;
  const config = resolveConfig(methods[method]!, {
    model: STORIES,
    data: [writeLines(`${name}.jsonl`, rowsOf(cases[name]!, pairs))],
    output: at(name),
    tuning: "full",
    shuffle: false,
    epochs: settings.epochs,
    batchSize: settings.batch_size,
    learningRate: settings.learning_rate,
    maxLength: settings.max_length,
    truncation: "error",
    threads: 1,
    samplePrompts: 0,
    ...options,
  });
  const steps: Metrics[] = [];
  await tune(config, { observer: { onStep: (metrics) => steps.push(metrics) } });
  return steps;
}

const distances = new Distances("objectives");
afterAll(() => distances.write());

describe.skipIf(sharedMissing)("takes TRL's steps (skipped where ../shared is absent)", () => {
  let pairs: readonly Pair[];
  beforeAll(() => {
    const lines = gunzipSync(readFileSync(HH_PAIRS)).toString("utf8").split("\n");
    pairs = rows.map((line) => splitRow(JSON.parse(lines[line - 1]!) as Omit<Pair, "prompt">));
  });

  it.each(Object.keys(cases))("%s", { timeout: 120_000 }, async (name) => {
    const expected = cases[name]!;
    const steps = await stepsOf(name, pairs);
    expect(steps.length).toBe(settings.steps);
    expect(relative(steps[0]!.loss, expected.loss[0]), "first loss").toBeLessThan(1e-5);
    steps.forEach((found, i) => {
      const where = `step ${i + 1}`;
      expect(relative(found.loss, expected.loss[i]), where).toBeLessThan(1e-3);
      expect(relative(found.grad_norm, expected.grad_norm[i]), where).toBeLessThan(1e-2);
      if (!("rewards/chosen" in found)) return; // Maximum likelihood has no rewards.
      const margin = found["rewards/chosen"]! - found["rewards/rejected"]!;
      expect(Math.abs(margin - expected.margin[i]!), where).toBeLessThan(1e-2);
    });
    const { method, ...options } = expected.preftune;
    const loss = [options.loss ?? objectivesOf(method)[0]!.name].flat().flatMap((names) => names.split(","));
    const found = steps.map((step) => step.loss!);
    distances.add({ name, method, loss, options }, { found, expected: expected.loss });
  });
});
