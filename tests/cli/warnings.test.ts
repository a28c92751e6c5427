/** What the terminal says of trouble: warnings, suspects, samples, and why a run ended. */

import { describe, expect, test } from "vitest";
import { endedText } from "../../src/cli/stopped.ts";
import { comparisonLines } from "../../src/cli/terminal/outcome.ts";
import { evaluationLine } from "../../src/cli/terminal/progress.ts";
import { RunReporter } from "../../src/cli/terminal/run-reporter.ts";
import { Screen } from "../../src/cli/terminal/screen.ts";
import { textWidth } from "../../src/cli/terminal/text.ts";
import { findingLines, warningLines } from "../../src/cli/terminal/warnings.ts";
import type { RunResult, Warning } from "../../src/training/observer.ts";
import { recorder } from "./support.ts";

const warning: Warning = {
  step: 40,
  name: "length-bias",
  found: "the margin goes with the longer completion",
  advice: "Balance the lengths in the data.",
};

const result: RunResult = {
  output: "runs/x",
  result: "runs/x/adapter",
  step: 60,
  steps: 200,
  suspects: 0,
  warnings: [],
  samples: [],
};

describe("a warning", () => {
  test("is its name, what was found and what to do, in lines that fit", () => {
    expect(warningLines(warning, 60)).toEqual([
      "warning length-bias: the margin goes with the longer",
      "  completion. Balance the lengths in the data.",
    ]);
    for (const width of [20, 40, 200]) {
      for (const line of warningLines(warning, width)) expect(textWidth(line)).toBeLessThanOrEqual(width);
    }
  });

  test("is said when it is given", () => {
    const stream = recorder();
    new RunReporter(new Screen(stream)).onWarning(warning);
    expect(stream.text()).toBe(`${warningLines(warning, 100).join("\n")}\n`);
  });
});

describe("at the end", () => {
  test("nothing is said where there is nothing to look at", () => {
    expect(findingLines(result)).toEqual([]);
    expect(endedText(result)).toBeUndefined();
  });

  test("warnings are listed by name and step, suspects by number, with their files", () => {
    const first = { ...warning, step: 0, name: "conflicting-pairs" };
    expect(findingLines({ ...result, warnings: [first, warning], suspects: 1200 })).toEqual([
      "",
      "warnings  conflicting-pairs (at the start), length-bias (step 40): runs/x/warnings.jsonl",
      "suspects  1,200 rows were ranked far backwards, which may be labelled wrong: runs/x/suspects.jsonl",
    ]);
    expect(findingLines({ ...result, suspects: 1 })[1]).toMatch(/^suspects {2}1 row was /);
  });

  test("a run that ended of itself says why, and whose evaluation its result is of", () => {
    const best = { step: 50, metric: "eval_loss", value: 0.5 } as const;
    const stopped = "eval_loss has not improved in 2 evaluations";
    expect(endedText({ ...result, stopped, best })).toBe(
      "stopped after step 60 of 200: eval_loss has not improved in 2 evaluations. The result is the model of step 50.",
    );
    expect(endedText({ ...result, step: 200, best })).toBe(
      "The result is the model of step 50. It was the best in eval_loss.",
    );
    expect(endedText({ ...result, best: { ...best, step: 60 } })).toBeUndefined();
  });
});

describe("an evaluation with samples", () => {
  const metrics = {
    step: 5,
    eval_loss: 0.5,
    eval_kl: 3,
    eval_kl_samples: 2.345,
    eval_kl_samples_stderr: 0.123,
    "eval_samples/repetition": 0.05,
    "eval_samples/ended": 0.9,
  };

  test("shows KL on them instead of on the data", () => {
    expect(evaluationLine(metrics, 50)).toBe("eval  5/50  loss 0.5000  KL on samples 2.35 ± 0.12");
  });

  test("is a line without held-out rows as well", () => {
    const { eval_loss, eval_kl, ...sampled } = metrics;
    expect(evaluationLine(sampled, 50)).toBe("eval  5/50  KL on samples 2.35 ± 0.12");
  });

  test("has its numbers in the final table", () => {
    const before = { ...metrics, step: 0, eval_loss: Math.LN2, eval_kl: 0, eval_kl_samples: 0 };
    expect(`\n${comparisonLines({ before, after: metrics }).join("\n")}\n`).toBe(`
on held-out rows       step 0   step 5
loss                   0.6931   0.5000
KL on the data, nats    0.000    3.000
KL on samples, nats     0.000    2.345
repeated 4-grams         5.0%     5.0%
samples that end        90.0%    90.0%
`);
  });
});
