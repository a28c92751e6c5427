/**
 * Trains the embedded example's model from nothing, by the same step loop that preference tuning runs on: the next token
 * of generated conversations, no two alike, each conversation's loss the mean over its tokens.
 *
 * A conversation is an example whose prompt is its first token, the beginning of the user's turn, and whose completion is
 * all the rest: every token but that one is predicted.
 */

import type { Message, TokenizedExample } from "../data/example.ts";
import { packedLength, planMicroBatches } from "../data/microbatch.ts";
import type { Weights } from "../models/index.ts";
import { llama } from "../models/llama.ts";
import { nll } from "../objectives/index.ts";
import { interpreter } from "../runtime/interpreter.ts";
import { nodeRuntime } from "../runtime/node.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { ObjectiveEvaluator } from "../training/measurements/evaluate.ts";
import { fullPolicy } from "../training/policy/policy.ts";
import { Engine } from "../training/step/engine.ts";
import { Trainer } from "../training/step/trainer.ts";
import { pretrainingConversations } from "./corpus.ts";
import { SEEDS } from "./example-files.ts";
import { initialWeights, modelConfig } from "./model.ts";

/** Attention is computed over the whole of a micro-batch: larger ones were slower, smaller ones too. */
const MICRO_BATCH_TOKENS = 384;
const HELD_OUT_CONVERSATIONS = 256;

interface PretrainingOptions {
  readonly steps: number;
  /** Conversations in a step. */
  readonly batchSize: number;
  /** After `warmupSteps`; from there it falls to 0 as half a cosine wave. */
  readonly learningRate: number;
  readonly warmupSteps: number;
  /** Seed of the initial weights. */
  readonly seed: number;
  /** Measures the held-out loss every this many steps, and at the end. */
  readonly evaluateEvery: number;
  readonly threads?: number;
}

export interface PretrainingProgress {
  readonly step: number;
  /** Means in nats a token: over the conversations of the step, and over the tokens of conversations about held-out films. */
  readonly loss: number;
  readonly heldOutLoss: number;
}

/** Trains the model; returns its weights by their Hugging Face names. */
export async function pretrain(
  tokenizer: Tokenizer,
  options: PretrainingOptions,
  onProgress: (progress: PretrainingProgress) => void = () => {},
): Promise<Weights> {
  const { steps, batchSize, evaluateEvery } = options;
  const model = llama(modelConfig, "the embedded example");
  const policy = fullPolicy(model, initialWeights(model, options.seed));
  const objective = nll({ average: "completions" });
  const { threads } = options;
  await using engine = await Engine.create({
    policy,
    objective,
    runtime: nodeRuntime,
    threads,
    maxPositions: model.maxPositions,
  });
  const config = {
    ...options,
    optimizer: "adamw",
    weightDecay: 0,
    schedule: "cosine",
    maxGradNorm: 1,
    microBatchTokens: MICRO_BATCH_TOKENS,
  } as const;
  await using evaluator = await ObjectiveEvaluator.create(objective, interpreter);
  const trainer = new Trainer({ policy, objective, engine, evaluator, config, steps });

  const conversations = pretrainingConversations(SEEDS.pretraining, steps * batchSize);
  const batch = (step: number) => tokenized(tokenizer, conversations.slice(step * batchSize, (step + 1) * batchSize));
  const heldOut = heldOutConversations(tokenizer);
  await trainer.check(batch(0));
  for (let step = 0; step < steps; step++) {
    const { loss } = await trainer.step(step, batch(step));
    const done = step + 1;
    if (done % evaluateEvery === 0 || done === steps) {
      onProgress({ step: done, loss: loss!, heldOutLoss: await meanTokenLoss(engine, heldOut) });
    }
  }
  return policy.weights;
}

/** Conversations about films that are in no text to train on. */
export function heldOutConversations(tokenizer: Tokenizer): TokenizedExample[] {
  return tokenized(tokenizer, pretrainingConversations(SEEDS.heldOut, HELD_OUT_CONVERSATIONS, "held-out"));
}

/** Mean negative log-probability of all completion tokens under the policy, in nats a token. */
async function meanTokenLoss(engine: Engine, examples: readonly TokenizedExample[]): Promise<number> {
  let [total, tokens] = [0, 0];
  for (const indices of planMicroBatches(examples.map(packedLength), MICRO_BATCH_TOKENS)) {
    const group = indices.map((i) => examples[i]!);
    for (const { logp, tokens: scored } of await engine.score("policy", group)) {
      total -= logp;
      tokens += scored.length;
    }
  }
  return total / tokens;
}

function tokenized(tokenizer: Tokenizer, conversations: readonly (readonly Message[])[]): TokenizedExample[] {
  return conversations.map((conversation, i) => {
    const text = tokenizer.chat.render(conversation, { addGenerationPrompt: false });
    const ids = tokenizer.encode(text);
    const origin = { file: "generated conversations", line: i + 1 };
    return { origin, prompt: ids.subarray(0, 1), completions: [ids.subarray(1)] };
  });
}
