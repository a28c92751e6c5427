/**
 * What an objective is: a function from the scored completions of one micro-batch to one loss an example. It is built
 * from symbolic tensors, so the same definition trains a model, is differentiated by the gradient table, and is
 * evaluated by the interpreter behind a figure. How the log-probabilities were computed is never its business.
 */

import type { Tensor } from "../tensor/index.ts";

/**
 * The scored completions of a micro-batch of E examples with N completions each, C = E * N in order of the examples.
 * Log-probabilities are in nats, summed over a completion's tokens given its prompt.
 */
export interface ScoredCompletions {
  /** log pi(y | x) of the policy that is trained [C]. */
  readonly policy: Tensor;
  /** log pi_ref(y | x) of the frozen reference [C]; zeros for an objective that needs none. */
  readonly reference: Tensor;
  /** Tokens that were scored in each completion [C]. */
  readonly lengths: Tensor;
}

export interface ObjectiveOutputs {
  /** The loss of each example [E]. */
  readonly losses: Tensor;
  /** Further values of each example [E], reported as their mean under these names. */
  readonly metrics: Readonly<Record<string, Tensor>>;
}

export interface Objective {
  readonly name: string;
  /** What each of an example's completions is, in order; their number is the number of completions. */
  readonly roles: readonly string[];
  /** Whether `reference` is read. */
  readonly needsReference: boolean;
  /** The loss of every example while the policy still is the reference, where that is known: a self-check of the trainer. */
  readonly lossAtReference?: number;
  build(completions: ScoredCompletions): ObjectiveOutputs;
}
