/**
 * From token rows to log-probabilities of completions.
 *
 *   log p(target) = z_target - log sum_v exp z_v,   z = hidden W^T (capped by tanh where the model caps its logits)
 *
 * z_target is taken as the dot product of the hidden row with the target's own row of W rather than picked out of z:
 * the gradient then is a gather of rows and one product with softmax(z), without a scatter over the vocabulary.
 */

import {
  type Dim,
  div,
  gather,
  input,
  logSumExp,
  matmul,
  mul,
  reduceSum,
  reshape,
  sub,
  type Tensor,
  tanh,
} from "../tensor/index.ts";
import type { LanguageModel, TokenInputs } from "./model.ts";
import type { Parameters } from "./parameters.ts";

/** Logits of a model's hidden rows: hidden [R, d], head [V, d], result [R, V]. */
export function rowLogits(model: Pick<LanguageModel, "logitCap">, hidden: Tensor, head: Tensor): Tensor {
  return capped(model, matmul(hidden, head, { transB: true }));
}

function capped({ logitCap }: Pick<LanguageModel, "logitCap">, logits: Tensor): Tensor {
  return logitCap === undefined ? logits : mul(logitCap, tanh(div(logits, logitCap)));
}

/** Scored rows: hidden [R, d], their logits [R, V], and each target's log-probability [R], in nats. */
interface ScoredRows {
  readonly hidden: Tensor;
  readonly logits: Tensor;
  readonly tokens: Tensor;
}

/** Log-probability of each target given its hidden row: hidden [R, d], head [V, d], targets [R]. */
function scoreRows(model: LanguageModel, hidden: Tensor, head: Tensor, targets: Tensor): ScoredRows {
  const logits = rowLogits(model, hidden, head);
  const chosen = capped(model, reduceSum(mul(hidden, gather(head, targets)), [-1]));
  return { hidden, logits, tokens: sub(chosen, reshape(logSumExp(logits), [hidden.shape[0]!])) };
}

/** The symbolic inputs of a packed micro-batch. */
export interface PackedInputs extends TokenInputs {
  /** The token that each row must predict [R]. */
  readonly targets: Tensor;
  /** 1 where a row belongs to a completion, else 0 [C, R]. */
  readonly membership: Tensor;
  /** The last token of each completion [C]. */
  readonly ends: Tensor;
}

/** Makes the inputs of a packed micro-batch: T tokens, R scored rows, `completions` (C) completions. */
export function packedInputs(model: LanguageModel, completions: Dim = "C"): PackedInputs {
  const width = model.rotaryTables(1).width;
  return {
    tokens: input("tokens", ["T"], "int64"),
    positions: input("positions", ["T"], "int64"),
    mask: input("mask", ["T", "T"]),
    rows: input("rows", ["R"], "int64"),
    targets: input("targets", ["R"], "int64"),
    membership: input("membership", [completions, "R"]),
    ends: input("ends", [completions], "int64"),
    rotary: rotaryInputs(width),
  };
}

/** The rotary tables as inputs [P, width], shared by every program over the model. */
export function rotaryInputs(width: number): { cos: Tensor; sin: Tensor } {
  return { cos: input("rotary.cos", ["P", width]), sin: input("rotary.sin", ["P", width]) };
}

/** Log-probabilities of a packed micro-batch: of every scored token [R], and of every completion [C]. */
export function scoreCompletions(
  model: LanguageModel,
  parameters: Parameters,
  inputs: PackedInputs,
): ScoredRows & { completions: Tensor } {
  const { hidden } = model.forward(parameters, inputs);
  const rows = scoreRows(model, hidden, parameters.tensor(model.headWeight), inputs.targets);
  const summed = matmul(inputs.membership, reshape(rows.tokens, ["R", 1])); // [C, 1]
  return { ...rows, completions: reshape(summed, [summed.shape[0]!]) };
}
