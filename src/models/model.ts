/** What a language model is to the rest of preftune: weight shapes, and a graph from token rows to hidden rows. */

import type { Dim, Tensor } from "../tensor/index.ts";
import type { Parameters, WeightShapes } from "./parameters.ts";

/** Keys and values of tokens in one layer, each [tokens, kvHeads * headDim]. */
export interface KeyValue {
  readonly key: Tensor;
  readonly value: Tensor;
}

/**
 * A batch of sequences that look at their own tokens alone, each of as many new and past ones: the rows of the flat micro-batch are those
 * of the first sequence, then those of the second.
 */
export interface SequenceBatch {
  /** How many sequences there are: B. */
  readonly sequences: Dim;
  /** How many new tokens each has: T. */
  readonly tokens: Dim;
  /** Places in the sequences of the new tokens [T] and of all [S + T]: windows are measured in them. */
  readonly queryPlaces: Tensor;
  readonly keyPlaces: Tensor;
}

/** The symbolic inputs of one flat micro-batch. T tokens attend to S past ones and to each other. */
export interface TokenInputs {
  /** Token ids [T]. */
  readonly tokens: Tensor;
  /** Positions [T], restarting where a completion shares its prompt with others. */
  readonly positions: Tensor;
  /** Added to attention scores [T, S + T]: 0 where a token may look, -infinity where not. */
  readonly mask: Tensor;
  /** The tokens whose hidden rows are wanted [R]. */
  readonly rows: Tensor;
  /** Rotary tables [P, width], by position. */
  readonly rotary: { readonly cos: Tensor; readonly sin: Tensor };
  /** Keys and values of past tokens, one pair a layer. */
  readonly past?: readonly KeyValue[];
  /** Positions of past tokens [S]; models with sliding windows read them. */
  readonly pastPositions?: Tensor;
  /**
   * Given for a batch of sequences: `mask` is [B, T, S + T] then, `past` is [B, kvHeads, S, headDim], all B * T rows are wanted, and
   * `pastPositions` are not read.
   */
  readonly batch?: SequenceBatch;
}

export interface ModelOutputs {
  /** Final hidden rows [R, hidden], normalized, ready for the output head. */
  readonly hidden: Tensor;
  /** The T tokens' own keys and values, one pair a layer. */
  readonly cache: readonly KeyValue[];
}

export type ScoreKind = "log-probability" | "reward";

export interface LanguageModel {
  /** The family's name as `model_type` has it. */
  readonly family: string;
  readonly weights: WeightShapes;
  readonly layers: number;
  readonly hiddenSize: number;
  readonly attentionHeads: number;
  readonly vocabularySize: number;
  /** The longest sequence that the model's positions allow. */
  readonly maxPositions: number;
  /** Width of a token's key (and of its value) in one layer: kvHeads * headDim. */
  readonly cacheWidth: number;
  /** The linear layers that LoRA's `all-linear` means, as PEFT does: all but the output head. */
  readonly linearModules: readonly string[];
  /** Whether the weights of the linear layers are [in, out], as GPT-2's, and not [out, in]. */
  readonly fanInFanOut?: boolean;
  /** How it scores a completion: by the log-probabilities of its tokens, or by one reward that it reads at the last of them. */
  readonly scores: ScoreKind;
  /**
   * Name of the weight that serves as the output head: [vocabulary, hidden], the embedding where they are tied; [1, hidden]
   * of a reward model.
   */
  readonly headWeight: string;
  /** Logits z become cap tanh(z / cap) (Gemma 2, section 2). */
  readonly logitCap?: number | undefined;
  /** The token that a reward model passes over when it looks for the last of a completion. */
  readonly padToken?: number | undefined;
  /**
   * Rotary tables for positions 0 to `count` - 1, each [count, width]: one after another where layers turn by different
   * angles, of width 0 where none does. `count` is the longest sequence that will be run, on which angles may depend.
   */
  rotaryTables(count: number): { cos: Float32Array<ArrayBuffer>; sin: Float32Array<ArrayBuffer>; width: number };
  forward(parameters: Parameters, inputs: TokenInputs): ModelOutputs;
}
