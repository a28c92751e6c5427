/**
 * How far a tuned model has moved from the one it came from, on answers that it has sampled: diagnostics/divergence.ts of
 * two models that are opened for use, as a run measures it of its policy.
 */

import { packExamples, scoreInMicroBatches } from "../data/microbatch.ts";
import { divergenceOnSample } from "../diagnostics/divergence.ts";
import { type Estimate, estimate } from "../diagnostics/estimate.ts";
import type { LoadedModel } from "../evaluation/loaded-model.ts";
import { rotaryInputValues } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { batchInputs, type CompletionScore, completionScores } from "../training/step/engine.ts";
import { scoreProgram } from "../training/step/step.ts";

const MICRO_BATCH_TOKENS = 384;

/** An answer as it was sampled, with the log-probability that its sampler gave each of its tokens, in nats. */
export interface SampledAnswer {
  readonly prompt: Int32Array;
  readonly tokens: readonly number[];
  readonly logps: readonly number[];
}

/** Estimates KL(policy || reference) in nats an answer from answers that the policy sampled at temperature 1. */
export async function divergenceOnSamples(
  reference: LoadedModel,
  answers: readonly SampledAnswer[],
): Promise<Estimate> {
  const sequences = answers.map(({ prompt, tokens }) => ({ prompt, completion: Int32Array.from(tokens) }));
  const scores = await scoreCompletions(reference, sequences);
  return estimate(answers.map(({ logps }, i) => divergenceOnSample(logps, scores[i]!.tokens)));
}

/** Log-probabilities of each completion given its prompt, in nats. */
export async function scoreCompletions(
  { model, parameters, weights, threads }: LoadedModel,
  sequences: readonly { readonly prompt: Int32Array; readonly completion: Int32Array }[],
): Promise<CompletionScore[]> {
  await using program = await nodeRuntime.compile(scoreProgram(model, parameters), { threads });
  const inputs = { ...weights, ...rotaryInputValues(model, model.maxPositions) };
  const examples = sequences.map(({ prompt, completion }) => ({ prompt, completions: [completion] }));
  const scores = await scoreInMicroBatches(examples, MICRO_BATCH_TOKENS, async (group) => {
    const batch = packExamples(group);
    return completionScores(batch, await program.run({ ...inputs, ...batchInputs(batch) }));
  });
  return scores.flat();
}
