/** When a run ends early, and which evaluation was the best: decided from the run's numbers alone. */

import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { gaps, History, WINDOW } from "../../src/training/watch/history.ts";
import { bestEvaluation, checkBestMetric, checkStopping, stopReason } from "../../src/training/watch/stopping.ts";

const settings = { klSamples: 0, maxKlAction: "stop", keepBest: false, bestMetric: "eval_loss" } as const;

/** A history of evaluations at steps 0, 1, 2, ..., each with its training step before it. */
function evaluated(name: string, values: readonly number[], steps: Record<string, number> = {}): History {
  const history = new History();
  values.forEach((value, step) => {
    if (step > 0) history.add({ step, loss: 0.6, ...steps });
    history.add({ step, [name]: value } as Metrics);
  });
  return history;
}

describe("the best evaluation", () => {
  it("has the least loss after a training step, and is the first of equal ones", () => {
    const best = bestEvaluation(evaluated("eval_loss", [0.1, 0.6, 0.5, 0.7, 0.5]), "eval_loss");
    expect(best).toEqual({ step: 2, metric: "eval_loss", value: 0.5 });
  });

  it.each(["eval_rewards/accuracies", "eval_rewards/margins"] as const)("has the greatest %s", (metric) => {
    expect(bestEvaluation(evaluated(metric, [9, 0.6, 0.8, 0.7]), metric)).toEqual({ step: 2, metric, value: 0.8 });
  });

  it("is none before the first step", () => {
    expect(bestEvaluation(evaluated("eval_loss", [0.1]), "eval_loss")).toBeUndefined();
  });
});

describe("early stopping", () => {
  const reason = (...losses: number[]) => {
    return stopReason({ ...settings, earlyStopping: 2 }, evaluated("eval_loss", [0.69, ...losses]));
  };

  it("waits for so many evaluations without improvement, counted from the best", () => {
    expect(reason(0.6, 0.5)).toBeUndefined();
    expect(reason(0.6, 0.5, 0.55)).toBeUndefined();
    expect(reason(0.6, 0.5, 0.55, 0.49, 0.5)).toBeUndefined();
    expect(reason(0.6, 0.5, 0.55, 0.52)).toBe(
      "eval_loss has not improved in 2 evaluations: it was best after step 2, 0.5000",
    );
  });

  it("takes an equal value for no improvement", () => {
    expect(reason(0.5, 0.5, 0.5)).toMatch(/best after step 1/);
  });

  it("is off where it is not asked for", () => {
    expect(stopReason(settings, evaluated("eval_loss", [0.69, 0.5, 0.6, 0.7, 0.8, 0.9]))).toBeUndefined();
  });
});

describe("the leash", () => {
  const leash = { ...settings, maxKl: 5 };
  const both = (samples: number, held: number) => {
    const history = evaluated("eval_kl", [held]);
    history.evaluations.push({ step: 1, eval_kl: held, eval_kl_samples: samples });
    return history;
  };

  it("holds samples where there are any, else held-out rows, else the last training rows", () => {
    expect(stopReason(leash, both(6, 1))).toBe(
      "KL to the reference is 6.00 nats on the policy's own samples, above --max-kl 5",
    );
    expect(stopReason(leash, both(5, 100))).toBeUndefined();
    expect(stopReason(leash, evaluated("eval_kl", [0, 6], { kl: 1 }))).toMatch(/6\.00 nats on held-out rows/);
    const trained = new History();
    for (const kl of [4, 6, 8]) trained.add({ step: 1, loss: 1, kl });
    expect(stopReason(leash, trained)).toMatch(/6\.00 nats on the last training rows/);
  });

  it("that only warns does not stop", () => {
    expect(stopReason({ ...leash, maxKlAction: "warn" }, both(6, 1))).toBeUndefined();
  });
});

describe("settings that would measure nothing are refused:", () => {
  const withReference = { name: "sigmoid", needsReference: true };
  const check = (changes: object, objective: Parameters<typeof checkStopping>[1] = withReference) => {
    return () => checkStopping({ ...settings, ...changes }, objective);
  };

  it("comparing evaluations without held-out rows", () => {
    const message = (flag: string) => `${flag} compares evaluations, so it needs held-out rows: give --eval-data.`;
    expect(check({ earlyStopping: 1 })).toThrow(new ConfigError(message("--early-stopping")));
    expect(check({ keepBest: true })).toThrow(new ConfigError(message("--keep-best")));
    expect(check({ keepBest: true, evalData: ["x"] })).not.toThrow();
  });

  it("a leash for an objective without a reference, but not on samples", () => {
    const objective = { name: "simpo", needsReference: false };
    expect(check({ maxKl: 1 }, objective)).toThrow(/^--max-kl has nothing to measure: simpo .* Give --kl-samples\.$/);
    expect(check({ maxKl: 1, klSamples: 4 }, objective)).not.toThrow();
    expect(check({ maxKl: 1 })).not.toThrow();
  });

  it("samples of a reward model", () => {
    const objective = { name: "bradley_terry", needsReference: false, scores: "reward" } as const;
    expect(check({ klSamples: 1 }, objective)).toThrow(/reward model, which writes no answers/);
    expect(check({}, objective)).not.toThrow();
  });

  it("a best metric that evaluations do not have", () => {
    const config = { ...settings, keepBest: true, bestMetric: "eval_rewards/margins" } as const;
    expect(() => checkBestMetric(config, { step: 0, eval_loss: 1 })).toThrow(/^--best-metric eval_rewards\/margins: /);
    expect(() => checkBestMetric(config, { step: 1, loss: 1 })).not.toThrow();
    expect(() => checkBestMetric({ ...config, keepBest: false }, { step: 0, eval_loss: 1 })).not.toThrow();
  });
});

describe("a run's history", () => {
  it(`smooths over the last ${WINDOW} steps, those that have the number`, () => {
    const history = new History();
    for (let step = 1; step <= WINDOW + 5; step++)
      history.add({ step, loss: step, ...(step % 2 === 0 && { some: 1 }) });
    expect(history.recent("loss")).toBe((6 + WINDOW + 5) / 2);
    expect(history.recent("some")).toBe(1);
    expect(history.recent("none")).toBeUndefined();
    expect(history.first?.loss).toBe(1);
  });

  it("tells how much better the policy does on training rows than on held-out ones", () => {
    const history = new History();
    expect(gaps(history, { "eval_rewards/margins": 1 })).toEqual({});
    for (const margin of [1, 3]) history.add({ step: 1, loss: 1, "rewards/margins": margin });
    expect(gaps(history, { "eval_rewards/margins": 0.5, "eval_rewards/accuracies": 1 })).toEqual({
      "eval_gap/margins": 1.5,
    });
  });
});
