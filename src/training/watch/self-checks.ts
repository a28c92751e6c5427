/**
 * What a run checks of itself before it trusts its own numbers. Each failure is a defect of preftune or a broken model
 * file, never a setting, and training on would only hide it: the run stops with an explanation.
 */

import { describeOrigin, type TokenizedExample } from "../../data/example.ts";
import { TrainingError } from "../../errors.ts";
import { type FlatArray, globalNorm } from "../policy/flat.ts";
import type { CompletionScore, Engine, StepOutput } from "../step/engine.ts";

/** How far two float32 computations of one log-probability may be apart, in nats: both sum thousands of roundings. */
const tolerance = (logp: number): number => 2e-3 + 1e-5 * Math.abs(logp);

/** At step 0 the policy is the reference: equal log-probabilities, and so the objective's own loss there, rewards of 0. */
export function checkStartsAtReference(output: StepOutput, reference: readonly CompletionScore[]): void {
  output.scores.forEach(({ logp }, i) => {
    const expected = reference[i]!.logp;
    if (!(Math.abs(logp - expected) <= tolerance(expected))) {
      throw new TrainingError(
        `Self-check failed: before the first step the policy must be the reference, but their log-probabilities of a completion are ${logp} and ${expected} nats. Please report this with the model's name.`,
      );
    }
  });
}

/** The engine's losses must be those that the objective has in double precision, at the reference where there is one. */
export function checkLossIsExact(output: StepOutput, exact: Pick<StepOutput, "losses">): void {
  Array.from(output.losses).forEach((loss, i) => {
    const known = exact.losses[i]!;
    if (!(Math.abs(loss - known) <= 1e-2 * Math.max(1, Math.abs(known)))) {
      throw new TrainingError(
        `Self-check failed: the first loss must be ${known.toFixed(6)}, but it is ${loss}. Please report this with the model's name.`,
      );
    }
  });
}

/** An example's completions scored each alone must have the log-probabilities that they had packed with all others. */
export async function checkPackingIsExact(
  engine: Engine,
  packed: StepOutput,
  { prompt, completions, scored }: TokenizedExample,
): Promise<void> {
  for (const [i, completion] of completions.entries()) {
    const single = { prompt, completions: [completion], ...(scored && { scored: [scored[i]!] }) };
    const [alone] = await engine.score("reference", [single]);
    const together = packed.scores[i]!.logp;
    if (!(Math.abs(alone!.logp - together) <= tolerance(alone!.logp))) {
      throw new TrainingError(
        `Self-check failed: a completion scored alone has ${alone!.logp} nats, packed with others ${together}. Please report this with the model's name.`,
      );
    }
  }
}

/** Every trainable tensor must be reached by the gradient. A fresh adapter's A matrices are not until its B are non-zero. */
export function checkGradientsReachAll(gradients: FlatArray, trainable: FlatArray): void {
  const isZero = (values: Float32Array) => values.every((x) => x === 0);
  const freshB = new Set(
    [...trainable.views].filter(([name, { data }]) => name.endsWith(".lora_B") && isZero(data)).map(([name]) => name),
  );
  for (const [name, { data }] of gradients.views) {
    if (!isZero(data) || (freshB.size > 0 && name.endsWith(".lora_A"))) continue;
    throw new TrainingError(`Self-check failed: no gradient reaches "${name}", so it would not be trained.`);
  }
}

/** Stops at a loss that is not a number, before it reaches the weights. `step` counts from 1; 0 is before the first. */
export function checkFinite(output: StepOutput, group: readonly TokenizedExample[], step: number): void {
  const bad = group.filter((_, i) => !Number.isFinite(output.losses[i]));
  if (bad.length > 0) throw nonFinite("loss", bad, step);
}

export function checkFiniteNorm(norm: number, examples: readonly TokenizedExample[], step: number): void {
  if (!Number.isFinite(norm)) throw nonFinite("gradient", examples, step);
}

/** What is written, a checkpoint or the result, must be finite: a last step may leave weights that no loss has seen. */
export function checkFiniteWeights(trainable: FlatArray, step: number): void {
  for (const [name, { data }] of trainable.views) {
    if (Number.isFinite(globalNorm(data))) continue;
    throw new TrainingError(
      `Step ${step} made values of "${name}" non-finite, so it was not saved; earlier checkpoints are good. Lower --learning-rate.`,
    );
  }
}

function nonFinite(what: string, rows: readonly TokenizedExample[], step: number): TrainingError {
  const where = rows.map(({ origin }) => describeOrigin(origin)).join(", ");
  return new TrainingError(
    step === 0
      ? `Before the first step the ${what} is not finite at ${where}. The model's weights hold values that are not finite, or far out of range.`
      : `Step ${step}: the ${what} is not finite at ${where}. Checkpoints from before are good. Lower --learning-rate, or look at these rows.`,
  );
}
