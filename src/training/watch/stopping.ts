/**
 * When a run ends before its last step, and which of its evaluations was the best. Both follow from the run's history
 * alone, so a resumed run decides as the uninterrupted one.
 */

import { ConfigError } from "../../errors.ts";
import type { Objective } from "../../objectives/index.ts";
import type { TrainingConfig } from "../config.ts";
import type { Best, Metrics } from "../observer.ts";
import type { History } from "./history.ts";

type StoppingConfig = Pick<
  TrainingConfig,
  "earlyStopping" | "bestMetric" | "keepBest" | "maxKl" | "maxKlAction" | "klSamples" | "evalData"
>;

/** The best evaluation after a training step, the first of equal ones. */
export function bestEvaluation(
  { evaluations }: Pick<History, "evaluations">,
  metric: Best["metric"],
): Best | undefined {
  const sign = metric === "eval_loss" ? -1 : 1;
  let best: Best | undefined;
  for (const { step, [metric]: value } of evaluations) {
    if (step === 0 || value === undefined) continue;
    if (best === undefined || sign * value > sign * best.value) best = { step, metric, value };
  }
  return best;
}

/** Whether the best evaluation's values are kept, and are the result. */
export function keepsBest({ keepBest, earlyStopping }: StoppingConfig): boolean {
  return keepBest || earlyStopping !== undefined;
}

/** KL to the reference as it was last measured, and on what; undefined where nothing measures it. */
export function currentDivergence(history: History): { nats: number; on: string } | undefined {
  const last = history.evaluations.at(-1);
  const samples = last?.eval_kl_samples;
  if (samples !== undefined) return { nats: samples, on: "the policy's own samples" };
  const held = last?.eval_kl;
  if (held !== undefined) return { nats: held, on: "held-out rows" };
  const trained = history.recent("kl");
  return trained === undefined ? undefined : { nats: trained, on: "the last training rows" };
}

/** Why the run ends here, in a sentence; undefined where it goes on. */
export function stopReason(config: StoppingConfig, history: History): string | undefined {
  const { earlyStopping, bestMetric, maxKl, maxKlAction } = config;
  const divergence = currentDivergence(history);
  if (maxKl !== undefined && maxKlAction === "stop" && divergence && divergence.nats > maxKl) {
    return `KL to the reference is ${divergence.nats.toFixed(2)} nats on ${divergence.on}, above --max-kl ${maxKl}`;
  }
  if (earlyStopping === undefined) return undefined;
  const best = bestEvaluation(history, bestMetric);
  const since = history.evaluations.filter(({ step }) => best && step > best.step).length;
  if (best === undefined || since < earlyStopping) return undefined;
  return `${bestMetric} has not improved in ${since} ${since === 1 ? "evaluation" : "evaluations"}: it was best after step ${best.step}, ${best.value.toPrecision(4)}`;
}

/** Throws ConfigError for an evaluation without the number that is to be the best. */
export function checkBestMetric(config: StoppingConfig, metrics: Metrics): void {
  if (!keepsBest(config) || "loss" in metrics || config.bestMetric in metrics) return;
  throw new ConfigError(
    `--best-metric ${config.bestMetric}: evaluations by this objective have no such number. Leave it out, and eval_loss is compared.`,
  );
}

/** Throws ConfigError for settings that would measure nothing. */
export function checkStopping(
  config: StoppingConfig,
  objective: Pick<Objective, "name" | "needsReference" | "scores">,
): void {
  const { earlyStopping, keepBest, maxKl, klSamples, evalData } = config;
  if (klSamples > 0 && objective.scores === "reward") {
    throw new ConfigError("--kl-samples has no effect on a reward model, which writes no answers: leave it out.");
  }
  if (maxKl !== undefined && objective.scores === "reward") {
    throw new ConfigError("--max-kl has nothing to measure: a reward model has no reference. Leave it out.");
  }
  if (evalData === undefined && (keepBest || earlyStopping !== undefined)) {
    const flag = keepBest ? "--keep-best" : "--early-stopping";
    throw new ConfigError(`${flag} compares evaluations, so it needs held-out rows: give --eval-data.`);
  }
  if (maxKl !== undefined && klSamples === 0 && !objective.needsReference) {
    throw new ConfigError(
      `--max-kl has nothing to measure: ${objective.name} has no reference, so only samples can say how far the policy has moved. Give --kl-samples.`,
    );
  }
}
