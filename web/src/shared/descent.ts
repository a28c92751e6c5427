/**
 * Tuning the smallest policy there is, two answers and a logit for each, on the one preference that the first is better. The
 * objective, its gradient through the softmax, and the optimizer are those that train models.
 */

import { completionInputs, type Objective } from "../../../src/objectives/index.ts";
import { inPairs } from "../../../src/objectives/pair.ts";
import { interpreter } from "../../../src/runtime/interpreter.ts";
import type { Executable, Value } from "../../../src/runtime/runtime.ts";
import { gradients, input, logSumExp, reduceSum, reshape, sub } from "../../../src/tensor/index.ts";
import { adamW } from "../../../src/training/step/optimizers.ts";

export interface DescentPoint {
  /** log(pi(y_w) / pi_ref(y_w)) - log(pi(y_l) / pi_ref(y_l)), in nats. */
  readonly gap: number;
  readonly loss: number;
  /** pi(y_w). */
  readonly probability: number;
}

interface DescentOptions {
  readonly steps: number;
  readonly learningRate: number;
  /** pi_ref(y_w). */
  readonly reference: number;
}

/** The way of the policy from the reference on, a point for each step, the start included. */
export async function descend(
  objective: Objective,
  { steps, learningRate, reference }: DescentOptions,
): Promise<DescentPoint[]> {
  await using executable = await compile(objective);
  const start = [Math.log(reference), Math.log1p(-reference)] as const;
  const fixed = bound(executable, { reference: start, lengths: [1, 1] });
  const logits = Float32Array.from(start);
  const optimizer = adamW({ size: 2, weightDecay: 0 });
  const points: DescentPoint[] = [];
  for (let step = 0; ; step++) {
    const { logps, losses, gradient } = await executable.run({
      ...fixed,
      logits: { dims: [2], data: Float64Array.from(logits) },
    });
    const [chosen, rejected] = logps!.data as Float64Array;
    points.push({
      gap: chosen! - start[0] - (rejected! - start[1]),
      loss: Number(losses!.data[0]),
      probability: Math.exp(chosen!),
    });
    if (step === steps) return points;
    const gradients = Float32Array.from(gradient!.data as Float64Array);
    optimizer.update({ parameters: logits, gradients, learningRate, step: step + 1, gradientScale: 1 });
  }
}

/** The gap at which the objective's gradient vanishes, found by bisection; undefined where it never does below `limit`. */
export async function restingGap(objective: Objective, reference: number, limit: number): Promise<number | undefined> {
  await using executable = await compile(objective);
  const start = [Math.log(reference), Math.log1p(-reference)] as const;
  const fixed = bound(executable, { reference: start, lengths: [1, 1] });
  const slope = async (gap: number) => {
    const logits = Float64Array.of(start[0] + gap / 2, start[1] - gap / 2);
    const { gradient } = await executable.run({ ...fixed, logits: { dims: [2], data: logits } });
    return Number(gradient!.data[0]);
  };
  let [low, high] = [0, limit];
  if ((await slope(high)) < 0) return undefined;
  for (let i = 0; i < 60; i++) {
    const middle = (low + high) / 2;
    if ((await slope(middle)) < 0) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

function compile(objective: Objective): Promise<Executable> {
  const inputs = completionInputs(objective);
  const logits = input("logits", inputs.policy.shape);
  const answers = inPairs(logits);
  const logps = reshape(sub(answers, logSumExp(answers)), logits.shape);
  const { losses } = objective.build({ ...inputs, policy: logps });
  const [gradient] = gradients(reduceSum(losses), [logits]);
  return interpreter.compile({ outputs: { logps, losses, gradient: gradient! } });
}

function bound(executable: Executable, values: Readonly<Record<string, readonly number[]>>): Record<string, Value> {
  const used = Object.entries(values).filter(([name]) => executable.inputNames.includes(name));
  return Object.fromEntries(used.map(([name, data]) => [name, { dims: [data.length], data: Float64Array.from(data) }]));
}
