/**
 * What an objective is: a function from the scored completions of one micro-batch to one loss an example. It is built
 * from symbolic tensors, so the same definition trains a model, is differentiated by the gradient table, and is
 * evaluated by the interpreter behind a figure. How the log-probabilities were computed is never its business.
 *
 * The loss of an optimizer step is the mean over its examples. What an objective must know of the whole step (a mean
 * over it, an order of it) comes as its `context`, so that micro-batches never change what is computed.
 */

import { type Dim, input, product, type Tensor } from "../tensor/index.ts";

/**
 * The scored completions of a micro-batch of E examples with C completions together, in order of the examples.
 * Log-probabilities are in nats, summed over a completion's tokens given its prompt.
 */
export interface ScoredCompletions {
  /** log pi(y | x) of the policy that is trained [C]; r(x, y) of a reward model. */
  readonly policy: Tensor;
  /** log pi_ref(y | x) of the frozen reference [C]; zeros for an objective that needs none. */
  readonly reference: Tensor;
  /** Tokens that were scored in each completion [C]. */
  readonly lengths: Tensor;
  /** 1 where a completion is an example's, else 0 [E, C]: for examples that differ in their number of completions. */
  readonly owners: Tensor;
  /** The values that rows carry, by the names in the objective's `columns`: [E] or [C]. */
  readonly columns: Readonly<Record<string, Tensor>>;
  /** What is known of the whole optimizer step, by the names in the objective's `context`: [] or [C]. */
  readonly step: Readonly<Record<string, Tensor>>;
  readonly tokens: ScoredTokens;
}

/** The R tokens of all completions, one after another. */
export interface ScoredTokens {
  /** Log-probability of each token under the policy and under the reference [R], in nats. */
  readonly policy: Tensor;
  readonly reference: Tensor;
  /** 1 where a token is a completion's, else 0 [C, R]. */
  readonly membership: Tensor;
  /** Place of each token in its completion, from 0 [R]. */
  readonly index: Tensor;
  /** What is known of the distribution over the vocabulary that each token was scored in, as the objective declares it [R]. */
  readonly statistics: Readonly<Partial<Record<RowStatistic, Tensor>>>;
}

/**
 * Statistics of the distributions pi and pi_ref over the vocabulary at the place of a scored token, in nats. The gradient
 * goes through them unless the objective stops it.
 *
 * - logCollision: log sum_v pi(v)^2, the log-probability that two draws from the policy are equal.
 * - referenceKl: KL(pi_ref || pi) = sum_v pi_ref(v) log(pi_ref(v) / pi(v)).
 */
export type RowStatistic = "logCollision" | "referenceKl";

export interface ObjectiveOutputs {
  /** The loss of each example [E]. */
  readonly losses: Tensor;
  /** Further values of each example [E], reported as their mean under these names. */
  readonly metrics: Readonly<Record<string, Tensor>>;
}

/** A number for each example, or one for each completion. */
export type ColumnKind = "example" | "completion";

export interface Objective {
  readonly name: string;
  /**
   * What each of an example's completions is, in order; their number is the number of completions. "any" where
   * examples differ in their number of completions.
   */
  readonly roles: readonly string[] | "any";
  /** What it reads of each completion: its log-probability, or the reward that a reward model gives it. Log-probability if not said. */
  readonly scores?: "log-probability" | "reward";
  /** Whether `reference` is read. */
  readonly needsReference: boolean;
  /** What every row must carry besides its texts: KTO's label, a margin, ranks. */
  readonly columns?: Readonly<Record<string, ColumnKind>>;
  readonly context?: StepContext;
  /** What must be known of the distributions over the vocabulary besides log-probabilities. */
  readonly rowStatistics?: readonly RowStatistic[];
  build(completions: ScoredCompletions): ObjectiveOutputs;
}

/** What is computed of a whole optimizer step before the gradient of any of its examples; constants to the gradient. */
export interface StepContext {
  /** Each value by its name: one of the step, or one of each completion. */
  readonly values: Readonly<Record<string, "step" | "completion">>;
  /**
   * What is scored for it first, without gradient: nothing, the step's own completions, or every prompt with the
   * completion of another example.
   */
  readonly scores: "none" | "own" | "mismatched";
  /** What is remembered from step to step, and kept in checkpoints, as it is at the start. */
  readonly initialState?: readonly number[];
  compute(step: StepScores, state: readonly number[]): StepValues;
}

/** All completions of an optimizer step, in order of its examples. */
export interface StepScores {
  /** Log-probabilities of what was scored [C]; empty where nothing was, `reference` also where none is needed. */
  readonly policy: readonly number[];
  readonly reference: readonly number[];
  /** The same of each token of these completions. */
  readonly tokens: { readonly policy: readonly Float32Array[]; readonly reference: readonly Float32Array[] };
  /** Scored tokens of each of the step's own completions [C]. */
  readonly lengths: readonly number[];
  /** Number of completions of each example [E]. */
  readonly counts: readonly number[];
  /** The values that rows carry: a number an example, or a list of a number a completion. */
  readonly columns: Readonly<Record<string, readonly (number | readonly number[])[]>>;
  /** Whether the examples are held out from training, so that nothing may be learned from them. */
  readonly heldOut?: boolean;
}

export interface StepValues {
  readonly values: Readonly<Record<string, number | readonly number[]>>;
  /** The state for the next step, where there is any. */
  readonly state?: readonly number[];
}

/** Names of a program's inputs for the values of columns, of the step's context and of row statistics. */
export const columnInput = (name: string): string => `column:${name}`;
export const stepInput = (name: string): string => `step:${name}`;
export const statisticInput = (name: RowStatistic): string => `statistic:${name}`;

/** The number of completions of E examples. */
export function completionCount({ roles }: Objective): Dim {
  return roles === "any" ? "C" : product([roles.length, "E"]);
}

/** Everything an objective may read, each an input of the program under its own name. */
export function completionInputs(objective: Objective): ScoredCompletions {
  const count = completionCount(objective);
  const size = { example: "E", completion: count } as const;
  const columns = Object.entries(objective.columns ?? {}).map(([name, kind]) => {
    return [name, input(columnInput(name), [size[kind]])] as const;
  });
  const step = Object.entries(objective.context?.values ?? {}).map(([name, kind]) => {
    return [name, input(stepInput(name), kind === "step" ? [] : [count])] as const;
  });
  const statistics = (objective.rowStatistics ?? []).map((name) => [name, input(statisticInput(name), ["R"])] as const);
  return {
    policy: input("policy", [count]),
    reference: input("reference", [count]),
    lengths: input("lengths", [count]),
    owners: input("owners", ["E", count]),
    columns: Object.fromEntries(columns),
    step: Object.fromEntries(step),
    tokens: {
      policy: input("policyTokens", ["R"]),
      reference: input("referenceTokens", ["R"]),
      membership: input("membership", [count, "R"]),
      index: input("tokenIndex", ["R"]),
      statistics: Object.fromEntries(statistics),
    },
  };
}
