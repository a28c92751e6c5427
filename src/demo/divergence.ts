/**
 * How far a policy has moved from its reference where it goes itself: KL(policy || reference) of whole answers, in nats,
 *
 *   KL = E [ log pi(y | x) - log pi_ref(y | x) ]   over prompts x and answers y sampled from pi at temperature 1,
 *
 * estimated by the mean over samples. This is the quantity that beta weighs in the problem that DPO solves (Rafailov et
 * al. 2023, equation 3); a divergence measured on the data's own completions is not.
 */

import { packExamples, packedLength, planMicroBatches } from "../data/microbatch.ts";
import type { LoadedModel } from "../evaluation/loaded-model.ts";
import { rotaryInputValues } from "../models/index.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { batchInputs } from "../training/engine.ts";
import { scoreProgram } from "../training/step.ts";

const MICRO_BATCH_TOKENS = 384;

/** An answer as it was sampled, with the log-probability that its sampler gave each of its tokens, in nats. */
export interface SampledAnswer {
  readonly prompt: Int32Array;
  readonly tokens: readonly number[];
  readonly logps: readonly number[];
}

export interface Estimate {
  readonly mean: number;
  /** Sample deviation over the square root of the number of samples. */
  readonly standardError: number;
}

/** Estimates KL(policy || reference) in nats an answer from two or more answers that the policy sampled at temperature 1. */
export async function divergenceOnSamples(
  reference: LoadedModel,
  answers: readonly SampledAnswer[],
): Promise<Estimate> {
  const sequences = answers.map(({ prompt, tokens }) => ({ prompt, completion: Int32Array.from(tokens) }));
  const referenceLogps = await completionLogps(reference, sequences);
  return estimate(answers.map(({ logps }, i) => sum(logps) - referenceLogps[i]!));
}

/** Log-probability of each completion given its prompt, in nats. */
export async function completionLogps(
  { model, parameters, weights, threads }: LoadedModel,
  sequences: readonly { readonly prompt: Int32Array; readonly completion: Int32Array }[],
): Promise<number[]> {
  await using program = await nodeRuntime.compile(scoreProgram(model, parameters), { threads });
  const inputs = { ...weights, ...rotaryInputValues(model, model.maxPositions) };
  const examples = sequences.map(({ prompt, completion }) => ({ prompt, completions: [completion] }));
  const results = new Array<number>(examples.length);
  for (const indices of planMicroBatches(examples.map(packedLength), MICRO_BATCH_TOKENS)) {
    const batch = packExamples(indices.map((i) => examples[i]!));
    const { logps } = await program.run({ ...inputs, ...batchInputs(batch) });
    indices.forEach((sequence, i) => {
      results[sequence] = Number(logps!.data[i]);
    });
  }
  return results;
}

export function estimate(values: readonly number[]): Estimate {
  const mean = sum(values) / values.length;
  const variance = sum(values.map((value) => (value - mean) ** 2)) / (values.length - 1);
  return { mean, standardError: Math.sqrt(variance / values.length) };
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
