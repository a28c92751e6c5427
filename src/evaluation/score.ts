/**
 * Scores of the completions of preference pairs: their log-probabilities under a language model, which every objective is
 * made of, or a reward model's rewards.
 */

import { z } from "zod";
import { describeOrigin, type TokenizedExample } from "../data/example.ts";
import type { Ledger } from "../data/ledger.ts";
import { loadPreferences } from "../data/load.ts";
import { longestSequence, packExamples, scoreInMicroBatches } from "../data/microbatch.ts";
import { refuseWeights } from "../data/sources.ts";
import { limitsOf } from "../data/truncate.ts";
import { DataError } from "../errors.ts";
import { datasetFinder, type HubOptions } from "../hub/index.ts";
import { refuseUnknownTokens, rotaryInputValues } from "../models/index.ts";
import { parseSettings } from "../parse-settings.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { trainingShape } from "../training/config.ts";
import { batchInputs } from "../training/step/engine.ts";
import { scoreProgram } from "../training/step/step.ts";
import { type OpenedModel, openModel } from "./loaded-model.ts";

const { model, data, format, columns, limit, chat, onBadRow, truncation, threads, microBatchTokens } = trainingShape;
const length = z.number().int().positive().optional();

export const scoreSchema = z.strictObject({
  model,
  adapter: z.string().min(1).optional().describe("a PEFT adapter to put on the model"),
  data: data.describe("the rows to score: files, folders, globs, - or hf:org/name; several with commas"),
  format,
  columns,
  limit,
  chat,
  maxLength: length.describe("longest prompt with completion, in tokens; what the model allows if not given"),
  maxPromptLength: length.describe(
    "what a prompt may be cut to in a longer pair; half of --max-length, at most 512, if not given",
  ),
  truncation,
  onBadRow,
  threads,
  microBatchTokens,
  force: z.boolean().default(false).describe("open the model even where its weights take more memory than there is"),
});

/** An adapter is put on the language model that it was trained on; a reward model has none. */
const rewardScoreSchema = scoreSchema.omit({ adapter: true });

export type ScoreOptions = z.input<typeof scoreSchema>;
export type RewardScoreOptions = z.input<typeof rewardScoreSchema>;

/** Of which completion a score is. The names are those of `scores.jsonl`. */
interface ScoredCompletion {
  /** The row's place in its file, counted from 0. */
  readonly index: number;
  /** The row's file, where there are several. */
  readonly file?: string;
  readonly completion: "chosen" | "rejected";
  readonly prompt_tokens: number;
  /** Scored tokens: the completion's, its end token included. */
  readonly tokens: number;
}

/** One completion's score by a language model. */
export interface Score extends ScoredCompletion {
  /** Sum of the tokens' log-probabilities given all before them, in nats. */
  readonly logp: number;
}

/** One completion's score by a reward model. */
export interface RewardScore extends ScoredCompletion {
  /** What the model reads at the completion's last token. Only differences for one prompt mean something. */
  readonly reward: number;
}

export interface ScoreSummary {
  readonly pairs: number;
  readonly ledger: Ledger;
}

/** Pairs that are packed together and kept until they are in the file's order again. */
const windowSize = 64;

/**
 * Scores the completions of preference pairs, and hands each score to `onScore` in the order of the files, chosen first.
 * `onStart` is called once before; `hub` says how what is named on the hub is fetched. Throws ConfigError, CheckpointError, DataError or HubError.
 */
export async function score(
  options: ScoreOptions,
  onScore: (score: Score) => void,
  onStart?: (summary: ScoreSummary) => void,
  hub?: HubOptions,
): Promise<ScoreSummary> {
  const settings = parseSettings(scoreSchema, options);
  using opened = await openModel(settings.model, "log-probability", { ...settings, hub });
  return await scoreWith(opened, settings, (completion, logp) => onScore({ ...completion, logp }), onStart);
}

/** Scores them by the reward model `model` instead. Throws as `score`. */
export async function scoreRewards(
  options: RewardScoreOptions,
  onScore: (score: RewardScore) => void,
  onStart?: (summary: ScoreSummary) => void,
  hub?: HubOptions,
): Promise<ScoreSummary> {
  const settings = parseSettings(rewardScoreSchema, options);
  using opened = await openModel(settings.model, "reward", { ...settings, hub });
  return await scoreWith(opened, settings, (completion, reward) => onScore({ ...completion, reward }), onStart);
}

async function scoreWith(
  { model, tokenizer, threads, load }: OpenedModel,
  settings: z.output<typeof rewardScoreSchema>,
  onScore: (completion: ScoredCompletion, value: number) => void,
  onStart?: (summary: ScoreSummary) => void,
): Promise<ScoreSummary> {
  refuseWeights(settings.data, "--data");
  const limits = limitsOf({ ...settings, maxLength: settings.maxLength ?? model.maxPositions });
  const { examples, ledger } = await loadPreferences({
    ...settings,
    files: settings.data,
    find: datasetFinder("training"),
    tokenizer,
    ...limits,
  });
  refuseUnknownTokens(model, examples);
  const summary = { pairs: examples.length, ledger };
  onStart?.(summary);
  const { parameters, weights } = await load();
  await using program = await nodeRuntime.compile(scoreProgram(model, parameters), { threads });
  const inputs = { ...weights, ...rotaryInputValues(model, longestSequence(examples)) };
  const valuesOf = async (group: readonly TokenizedExample[]) => {
    const outputs = await program.run({ ...inputs, ...batchInputs(packExamples(group, model.padToken)) });
    return outputs.logps!.data as Float32Array;
  };
  const withFile = new Set(examples.map(({ origin }) => origin.file)).size > 1;
  for (let start = 0; start < examples.length; start += windowSize) {
    const window = examples.slice(start, start + windowSize);
    const values = await scoreInMicroBatches(window, settings.microBatchTokens, valuesOf);
    window.forEach((example, i) => {
      scoredCompletions(example, values[i]!, withFile).forEach((completion, c) => {
        onScore(completion, values[i]![c]!);
      });
    });
  }
  return summary;
}

/** What is said of each completion besides its value. Throws DataError where that is not finite. */
function scoredCompletions(
  { origin, prompt, completions }: TokenizedExample,
  values: readonly number[],
  withFile: boolean,
): ScoredCompletion[] {
  return completions.map((ids, i) => {
    const completion = i === 0 ? "chosen" : "rejected";
    if (!Number.isFinite(values[i])) {
      throw new DataError(
        `${describeOrigin(origin)}: the ${completion} completion's score is ${values[i]}. The model's weights hold values that are not finite, or far out of range.`,
      );
    }
    const file = withFile ? { file: origin.file } : {};
    return { index: origin.line - 1, ...file, completion, prompt_tokens: prompt.length, tokens: ids.length };
  });
}
