/**
 * The program of one training step on a packed micro-batch: forward pass, objective, and the gradient of
 *
 *   scale * sum over examples of loss
 *
 * with respect to every trainable input. With scale = 1 / (examples in the optimizer step) the gradients of the step's
 * micro-batches add up to exactly the large batch's.
 */

import type { LanguageModel } from "../../models/model.ts";
import type { Parameters } from "../../models/parameters.ts";
import { rewardCompletions } from "../../models/reward.ts";
import { type PackedInputs, packedInputs, scoreCompletions } from "../../models/scoring.ts";
import { completionCount, completionInputs, type Objective, type RowStatistic } from "../../objectives/index.ts";
import { gradients, input, mul, type Node, type Program, reduceSum, type Tensor } from "../../tensor/index.ts";
import { rowStatistics } from "./row-statistics.ts";

/** Names of outputs: "losses" [E], those of `scoreProgram`, "metric:NAME" [E], and "gradient:NAME" shaped like its input. */
export const metricOutput = (name: string): string => `metric:${name}`;
export const gradientOutput = (name: string): string => `gradient:${name}`;
export const statisticOutput = (name: string): string => `statistic:${name}`;

/** Builds the step. `trainable` lists the inputs to differentiate, once the forward pass has made them. */
export function stepProgram(
  model: LanguageModel,
  parameters: Parameters,
  objective: Objective,
  trainable: () => readonly { readonly name: string; readonly tensor: Tensor }[],
): Program {
  const packed = packedInputs(model, completionCount(objective));
  const scores = scoreRows(model, parameters, packed, objective);
  const given = completionInputs(objective);
  const { losses, metrics } = objective.build({
    ...given,
    policy: scores.logps,
    tokens: {
      ...given.tokens,
      policy: scores.tokenLogps ?? given.tokens.policy,
      membership: packed.membership,
      statistics: scores.statistics,
    },
  });
  const inputs = trainable();
  const slopes = gradients(
    mul(input("scale", []), reduceSum(losses)),
    inputs.map((x) => x.tensor),
    { recompute: isCheap },
  );
  return {
    outputs: {
      losses,
      ...scoreOutputs(scores),
      ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [metricOutput(name), value])),
      ...Object.fromEntries(inputs.map((x, i) => [gradientOutput(x.name), slopes[i]!])),
    },
  };
}

/**
 * What the backward pass computes again instead of keeping it: everything but products with weights, sums of rows and
 * gathered rows. Attention's scores and probabilities [heads, T, T] are most of it. docs/performance.md has the price.
 */
function isCheap({ op, outputs }: Node): boolean {
  const inAttention = outputs[0]!.shape.length >= 3;
  return ALWAYS_CHEAP.has(op) || (inAttention && CHEAP_IN_ATTENTION.has(op));
}

const ALWAYS_CHEAP: ReadonlySet<string> = new Set([
  "swiglu",
  "geglu",
  "gelu",
  "geluTanh",
  "rmsNorm",
  "rope",
  "transpose",
  "reshape",
]);
const CHEAP_IN_ATTENTION: ReadonlySet<string> = new Set(["matmul", "add", "softmax", "mul", "tanh"]);

/** What is wanted of a forward pass besides log-probabilities. */
type ScoreDetail = Pick<Objective, "rowStatistics"> & { readonly hidden?: boolean };

/**
 * The forward pass alone: "logps" [C] and, but for a reward model, "tokenLogps" [R]; in detail "statistic:NAME" [R] and the
 * "hidden" rows [R, d].
 */
export function scoreProgram(model: LanguageModel, parameters: Parameters, detail: ScoreDetail = {}): Program {
  return { outputs: scoreOutputs(scoreRows(model, parameters, packedInputs(model), detail)) };
}

interface Scores {
  /** A log-probability of each completion, or its reward [C]. */
  readonly logps: Tensor;
  readonly tokenLogps?: Tensor;
  readonly hidden?: Tensor;
  readonly statistics: Partial<Record<RowStatistic, Tensor>>;
}

function scoreRows(
  model: LanguageModel,
  parameters: Parameters,
  packed: PackedInputs,
  { hidden, ...declared }: ScoreDetail,
): Scores {
  if (model.scores === "reward") return { logps: rewardCompletions(model, parameters, packed), statistics: {} };
  const rows = scoreCompletions(model, parameters, packed);
  return {
    logps: rows.completions,
    tokenLogps: rows.tokens,
    ...(hidden && { hidden: rows.hidden }),
    statistics: rowStatistics(declared, model, rows.logits),
  };
}

function scoreOutputs({ statistics, ...scores }: Scores): Record<string, Tensor> {
  const named = Object.entries(statistics).map(([name, value]) => [statisticOutput(name), value] as const);
  return { ...scores, ...Object.fromEntries(named) };
}
