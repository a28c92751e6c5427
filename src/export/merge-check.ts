/**
 * Whether a merged model says what the model with its adapter on it says: the log-probability of every token of some texts,
 * computed both ways. The two differ by float32's rounding, of the merged weights and of other sums.
 */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { LoraAdapter } from "../checkpoints/peft.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import type { TokenizedExample } from "../data/example.ts";
import { longestSequence, packExamples } from "../data/microbatch.ts";
import { ConfigError } from "../errors.ts";
import {
  checkpointParameters,
  type LanguageModel,
  loadWeights,
  rotaryInputValues,
  type Weights,
} from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { tokenizerFromFiles } from "../text/tokenizer.ts";
import { continuedPolicy } from "../training/policy/policy.ts";
import { batchInputs } from "../training/step/engine.ts";
import { scoreProgram } from "../training/step/step.ts";
import { PROBE_TEXTS } from "./probe-texts.ts";

/** Largest difference of a token's log-probability, in nats, that rounding may make. Models of billions of parameters stay well below. */
const TOLERANCE = 0.01;

export interface MergeCheck {
  /** The largest difference of a token's log-probability, in nats. */
  readonly largest: number;
  /** How many tokens were compared. */
  readonly tokens: number;
}

/** Compares on the probe texts. Throws ConfigError where the difference is larger than rounding makes it. */
export async function checkMerge(
  checkpoint: Checkpoint,
  model: LanguageModel,
  adapter: LoraAdapter,
  merged: readonly TensorSource[],
): Promise<MergeCheck> {
  const examples = probeExamples(checkpoint, model);
  // One after the other in functions of their own, so that the weights are never held twice.
  const adapted = await logpsWithAdapter(checkpoint, model, adapter, examples);
  const plain = await logpsOf(model, merged, examples);
  const largest = adapted.reduce((most, logp, i) => Math.max(most, Math.abs(logp - plain[i]!)), 0);
  if (!(largest <= TOLERANCE)) {
    throw new ConfigError(
      `The merged model differs from the model with its adapter by up to ${largest.toPrecision(2)} nats a token, more than rounding makes (${TOLERANCE}). ` +
        "Its weights or the adapter's hold values far out of range, so that nothing was written; --format peft exports the adapter alone.",
    );
  }
  return { largest, tokens: adapted.length };
}

async function logpsWithAdapter(
  checkpoint: Checkpoint,
  model: LanguageModel,
  adapter: LoraAdapter,
  examples: readonly TokenizedExample[],
): Promise<number[]> {
  const { parameters, weights } = continuedPolicy(model, await loadWeights(checkpoint, model), adapter);
  return probe(model, parameters, weights, examples);
}

async function logpsOf(
  model: LanguageModel,
  tensors: readonly TensorSource[],
  examples: readonly TokenizedExample[],
): Promise<number[]> {
  const weights = tensors.map(({ name, shape, read }) => [name, { dims: shape, data: read() }] as const);
  return probe(model, checkpointParameters(model.weights), Object.fromEntries(weights), examples);
}

/** Each probe text as a completion after its first token. */
function probeExamples({ tokenizer }: Checkpoint, { maxPositions }: LanguageModel): TokenizedExample[] {
  const opened = tokenizerFromFiles(tokenizer);
  return PROBE_TEXTS.map((text, i) => ({ ids: opened.encode(text).subarray(0, maxPositions), line: i + 1 }))
    .filter(({ ids }) => ids.length > 1)
    .map(({ ids, line }) => ({
      origin: { file: "probe", line },
      prompt: ids.subarray(0, 1),
      completions: [ids.subarray(1)],
    }));
}

async function probe(
  model: LanguageModel,
  parameters: Parameters,
  weights: Weights,
  examples: readonly TokenizedExample[],
): Promise<number[]> {
  await using program = await nodeRuntime.compile(scoreProgram(model, parameters));
  const inputs = { ...weights, ...rotaryInputValues(model, longestSequence(examples)) };
  const logps: number[] = [];
  for (const example of examples) {
    const { tokenLogps } = await program.run({ ...inputs, ...batchInputs(packExamples([example])) });
    logps.push(...(tokenLogps!.data as Float32Array));
  }
  return logps;
}
