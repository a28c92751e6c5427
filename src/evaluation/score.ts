/** Log-probabilities of the completions of preference pairs under a model: what every objective is made of. */

import { z } from "zod";
import { describeOrigin, type TokenizedExample } from "../data/example.ts";
import type { Ledger } from "../data/ledger.ts";
import { loadPreferences } from "../data/load.ts";
import { longestSequence, packExamples, packedLength, planMicroBatches } from "../data/microbatch.ts";
import { ConfigError, DataError } from "../errors.ts";
import { rotaryInputValues } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { trainingShape } from "../training/config.ts";
import { batchInputs } from "../training/engine.ts";
import { scoreProgram } from "../training/step.ts";
import { loadModel } from "./loaded-model.ts";

const { model, data, limit, chat, onBadRow, truncation, threads, microBatchTokens } = trainingShape;
const length = z.number().int().positive().optional();

export const scoreSchema = z.strictObject({
  model,
  adapter: z.string().min(1).optional().describe("a PEFT adapter to put on the model"),
  data,
  limit,
  chat,
  maxLength: length.describe("longest prompt with completion, in tokens; what the model allows if not given"),
  maxPromptLength: length.describe("what a prompt may be cut to in a longer pair; half of that if not given"),
  truncation,
  onBadRow,
  threads,
  microBatchTokens,
});

export type ScoreOptions = z.input<typeof scoreSchema>;

/** One completion's score. The names are those of `scores.jsonl`. */
export interface Score {
  /** The row's place in its file, counted from 0. */
  readonly index: number;
  /** The row's file, where there are several. */
  readonly file?: string;
  readonly completion: "chosen" | "rejected";
  readonly prompt_tokens: number;
  /** Scored tokens: the completion's, its end token included. */
  readonly tokens: number;
  /** Sum of the tokens' log-probabilities given all before them, in nats. */
  readonly logp: number;
}

export interface ScoreSummary {
  readonly pairs: number;
  readonly ledger: Ledger;
}

/** Pairs that are packed together and kept until they are in the file's order again. */
const windowSize = 64;

/**
 * Scores the completions of preference pairs, and hands each score to `onScore` in the order of the files, chosen first.
 * `onStart` is called once before. Throws ConfigError, CheckpointError or DataError.
 */
export async function score(
  options: ScoreOptions,
  onScore: (score: Score) => void,
  onStart?: (summary: ScoreSummary) => void,
): Promise<ScoreSummary> {
  const settings = settle(options);
  await using loaded = await loadModel(settings.model, settings);
  const maxLength = settings.maxLength ?? loaded.model.maxPositions;
  const { examples, ledger } = await loadPreferences({
    ...settings,
    files: settings.data,
    tokenizer: loaded.tokenizer,
    maxLength,
    maxPromptLength: settings.maxPromptLength ?? Math.max(1, Math.floor(maxLength / 2)),
  });
  const summary = { pairs: examples.length, ledger };
  onStart?.(summary);
  const { threads } = loaded;
  await using program = await nodeRuntime.compile(scoreProgram(loaded.model, loaded.parameters), { threads });
  const inputs = { ...loaded.weights, ...rotaryInputValues(loaded.model, longestSequence(examples)) };
  const logps = async (group: readonly TokenizedExample[]) => {
    const outputs = await program.run({ ...inputs, ...batchInputs(packExamples(group)) });
    return outputs.logps!.data as Float32Array;
  };
  const withFile = settings.data.length > 1;
  for (let start = 0; start < examples.length; start += windowSize) {
    const window = examples.slice(start, start + windowSize);
    const scores = await scoreWindow(window, logps, settings.microBatchTokens);
    window.forEach((example, i) => {
      for (const row of scoreRows(example, scores[i]!, withFile)) onScore(row);
    });
  }
  return summary;
}

/** Fills defaults in. Throws ConfigError that names the setting. */
function settle(options: ScoreOptions): z.output<typeof scoreSchema> {
  const { data: settings, error } = scoreSchema.safeParse(options);
  if (settings) return settings;
  const { path, message } = error.issues[0]!;
  throw new ConfigError(path.length === 0 ? message : `${path.join(".")}: ${message}`);
}

/** The log-probabilities of each example's completions, computed in packed micro-batches. */
async function scoreWindow(
  examples: readonly TokenizedExample[],
  logps: (group: readonly TokenizedExample[]) => Promise<Float32Array>,
  budget: number,
): Promise<number[][]> {
  const scores: number[][] = [];
  for (const indices of planMicroBatches(examples.map(packedLength), budget)) {
    const group = indices.map((i) => examples[i]!);
    const values = await logps(group);
    let start = 0;
    for (const i of indices) {
      const end = start + examples[i]!.completions.length;
      scores[i] = Array.from(values.subarray(start, end));
      start = end;
    }
  }
  return scores;
}

function scoreRows(
  { origin, prompt, completions }: TokenizedExample,
  logps: readonly number[],
  withFile: boolean,
): Score[] {
  return completions.map((ids, i) => {
    const logp = logps[i]!;
    const completion = i === 0 ? "chosen" : "rejected";
    if (!Number.isFinite(logp)) {
      throw new DataError(
        `${describeOrigin(origin)}: the ${completion} completion's log-probability is ${logp}. The model's weights hold values that are not finite, or far out of range.`,
      );
    }
    const file = withFile ? { file: origin.file } : {};
    return { index: origin.line - 1, ...file, completion, prompt_tokens: prompt.length, tokens: ids.length, logp };
  });
}
