/**
 * The program of one training step on a packed micro-batch: forward pass, objective, and the gradient of
 *
 *   scale * sum over examples of loss
 *
 * with respect to every trainable input. With scale = 1 / (examples in the optimizer step) the gradients of the step's
 * micro-batches add up to exactly the large batch's.
 */

import type { LanguageModel } from "../models/model.ts";
import type { Parameters } from "../models/parameters.ts";
import { packedInputs, scoreCompletions } from "../models/scoring.ts";
import { completionCount, completionInputs, type Objective } from "../objectives/index.ts";
import { gradients, input, mul, type Node, type Program, reduceSum, type Tensor } from "../tensor/index.ts";

/** Names of outputs: "losses" [E], "logps" [C], "tokenLogps" [R], "metric:NAME" [E], and "gradient:NAME" shaped like its input. */
export const metricOutput = (name: string): string => `metric:${name}`;
export const gradientOutput = (name: string): string => `gradient:${name}`;

/** Builds the step. `trainable` lists the inputs to differentiate, once the forward pass has made them. */
export function stepProgram(
  model: LanguageModel,
  parameters: Parameters,
  objective: Objective,
  trainable: () => readonly { readonly name: string; readonly tensor: Tensor }[],
): Program {
  const packed = packedInputs(model, completionCount(objective));
  const scored = scoreCompletions(model, parameters, packed);
  const given = completionInputs(objective);
  const { losses, metrics } = objective.build({
    ...given,
    policy: scored.completions,
    tokens: { ...given.tokens, policy: scored.tokens, membership: packed.membership },
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
      logps: scored.completions,
      tokenLogps: scored.tokens,
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

const ALWAYS_CHEAP: ReadonlySet<string> = new Set(["swiglu", "rmsNorm", "rope", "transpose", "reshape"]);
const CHEAP_IN_ATTENTION: ReadonlySet<string> = new Set(["matmul", "add", "softmax"]);

/** The forward pass alone: "logps" [C] and "tokenLogps" [R]. */
export function scoreProgram(model: LanguageModel, parameters: Parameters): Program {
  const scored = scoreCompletions(model, parameters, packedInputs(model));
  return { outputs: { logps: scored.completions, tokenLogps: scored.tokens } };
}
