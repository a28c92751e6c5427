/** What a run says in the terminal: before, while and after it goes, on a screen and in a log. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { comparisonLines, sampleLines } from "../../src/cli/terminal/outcome.ts";
import { evaluationLine, type Progress, progressLine, RecentSteps } from "../../src/cli/terminal/progress.ts";
import { RunReporter } from "../../src/cli/terminal/run-reporter.ts";
import { Screen } from "../../src/cli/terminal/screen.ts";
import { summaryLines } from "../../src/cli/terminal/summary.ts";
import { padEnd, textWidth } from "../../src/cli/terminal/text.ts";
import { Ledger } from "../../src/data/ledger.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import type { Metrics, RunSummary } from "../../src/training/observer.ts";
import { recorder } from "./support.ts";

const screenOf = (lines: readonly string[]) => `\n${lines.join("\n")}\n`;

describe("the progress line", () => {
  const progress: Progress = {
    step: 120,
    steps: 1289,
    loss: 0.64213,
    margin: 0.11349,
    accuracy: 0.638,
    examplesPerSecond: 1.912,
    unit: "pairs",
    secondsLeft: 725,
  };

  test("says how it goes", () => {
    expect(progressLine(progress, 100)).toBe(
      "step   120/1,289  loss 0.6421  margin +0.113  accuracy 64%  1.91 pairs/s  12 min 05 s left",
    );
  });

  test("leaves out what has no room, the least important first", () => {
    expect([80, 70, 50, 35, 20, 10].map((width) => progressLine(progress, width))).toEqual([
      "step   120/1,289  loss 0.6421  margin +0.113  accuracy 64%  12 min 05 s left",
      "step   120/1,289  loss 0.6421  accuracy 64%  12 min 05 s left",
      "step   120/1,289  loss 0.6421  12 min 05 s left",
      "step   120/1,289  loss 0.6421",
      "step   120/1,289",
      "step   12…",
    ]);
  });

  test("never is wider than the terminal", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 120 }), fc.integer({ min: 1, max: 1e6 }), (width, step) => {
        expect(textWidth(progressLine({ ...progress, step }, width))).toBeLessThanOrEqual(width);
      }),
    );
  });

  test("has means of the last steps, and the time left at the pace between their ends", () => {
    const recent = new RecentSteps(100, "pairs", 3);
    const step = (n: number, loss: number) => ({ step: n, loss, "rewards/margins": n, examples_per_second: 2 });
    recent.add(step(1, 9), 0);
    recent.add(step(2, 3), 10);
    recent.add(step(3, 2), 12);
    recent.add(step(4, 1), 16);
    expect(recent.progress()).toEqual({
      step: 4,
      steps: 100,
      loss: 2,
      margin: 3,
      accuracy: undefined,
      examplesPerSecond: 2,
      unit: "pairs",
      secondsLeft: 3 * 96,
    });
  });

  test("an evaluation is a line of its own", () => {
    const metrics = {
      step: 20,
      eval_loss: 0.2367,
      "eval_rewards/margins": 2.15,
      "eval_rewards/accuracies": 0.95,
      eval_kl: 3.4,
    };
    const line = "eval  20/200  loss 0.2367  margin +2.150  accuracy 95.0%  KL 3.400";
    expect(evaluationLine(metrics, 200)).toBe(line);
    // Where the reference follows the policy, its numbers are against the step that it has come to.
    expect(evaluationLine({ ...metrics, reference_step: 0 }, 200)).toBe(line);
    expect(evaluationLine({ ...metrics, reference_step: 16 }, 200)).toBe(`${line}  against step 16`);
  });
});

const summary: RunSummary = {
  config: resolveConfig(methods.dpo!, {
    model: "models/SmolLM2-135M-Instruct.Q4_1.gguf",
    data: "pairs.jsonl",
    output: "runs/first",
  }),
  family: "llama",
  parameters: 134_515_008,
  trainable: 4_884_480,
  examples: 2312,
  heldOut: 100,
  unit: "pairs",
  tokens: 534_201,
  steps: 289,
  firstStep: 0,
  memory: { total: 1.1e9, weights: 538e6, training: 98e6, activations: 244e6, engine: 22e7 },
  availableMemory: 22.8e9,
  ledger: new Ledger([{ name: "rows", files: ["pairs.jsonl"] }]),
};

describe("the summary before a run", () => {
  test("says what is trained on what, and where it goes", () => {
    expect(screenOf(summaryLines(summary, 100))).toMatchInlineSnapshot(`
      "
      model     SmolLM2-135M-Instruct.Q4_1.gguf: llama, 135M parameters
      training  LoRA of rank 16: 4.9M parameters (3.6%), sigmoid loss, beta 0.1
      data      2,312 pairs of 534,201 tokens together, 100 held-out pairs
      steps     289 of 8 pairs, adamw at 5e-5, linear
      memory    about 1.1 GB of 22.8 GB available: weights 538 MB, optimizer 98 MB, activations 244 MB
      writes    runs/first
      "
    `);
  });

  test("says where a run that was forced needs more memory than there is", () => {
    expect(summaryLines({ ...summary, availableMemory: 0.9e9 }, 120)[4]).toBe(
      "memory    about 1.1 GB, more than the 900 MB available: weights 538 MB, optimizer 98 MB, activations 244 MB",
    );
  });

  test("fits a narrow terminal", () => {
    const lines = summaryLines(summary, 50);
    expect(lines.filter((line) => textWidth(line) > 50)).toEqual([]);
    expect(screenOf(lines)).toMatchInlineSnapshot(`
      "
      model     SmolLM2-135M-Instruct.Q4_1.gguf: llama,
                135M parameters
      training  LoRA of rank 16: 4.9M parameters (3.6%),
                sigmoid loss, beta 0.1
      data      2,312 pairs of 534,201 tokens together,
                100 held-out pairs
      steps     289 of 8 pairs, adamw at 5e-5, linear
      memory    about 1.1 GB of 22.8 GB available:
                weights 538 MB, optimizer 98 MB,
                activations 244 MB
      writes    runs/first
      "
    `);
  });

  test("of full tuning, and of a resumed run that continues an adapter", () => {
    const full = { ...summary.config, tuning: "full" as const };
    const [, training] = summaryLines({ ...summary, config: full, trainable: summary.parameters }, 100);
    expect(training).toBe("training  all 135M parameters, sigmoid loss, beta 0.1");
    const continued = { ...summary.config, adapter: "runs/zero/adapter" };
    const lines = summaryLines({ ...summary, config: continued, firstStep: 100, heldOut: 0 }, 100);
    expect(lines.slice(1, 4)).toEqual([
      "training  the adapter runs/zero/adapter: 4.9M parameters (3.6%), sigmoid loss, beta 0.1",
      "data      2,312 pairs of 534,201 tokens together, no held-out pairs",
      "steps     289 of 8 pairs, adamw at 5e-5, linear, going on after step 100",
    ]);
  });

  test("names the folder of a model where every run's has the same name, and the steps of warm-up", () => {
    const config = { ...summary.config, model: "runs/first/model", warmupSteps: 40 };
    const [model, , , steps] = summaryLines({ ...summary, config }, 100);
    expect(model).toBe("model     first/model: llama, 135M parameters");
    expect(steps).toBe("steps     289 of 8 pairs, adamw at 5e-5, linear after 40 of warm-up");
  });

  test("counts the desirable among labelled completions", () => {
    const ledger = new Ledger([{ name: "rows", files: ["labelled.jsonl"] }]);
    for (const label of [true, false, true]) ledger.noteLabel(label);
    const lines = summaryLines({ ...summary, ledger, examples: 3, unit: "completions", tokens: 99, heldOut: 0 }, 100);
    expect(lines[2]).toBe("data      3 completions (2 desirable) of 99 tokens together, no held-out completions");
  });

  test("has the ledger where something happened to the rows", () => {
    const ledger = new Ledger([{ name: "rows", files: ["pairs.jsonl"] }]);
    ledger.read = 2315;
    ledger.used = 2312;
    ledger.drop(0, "identical completions", { file: "pairs.jsonl", line: 7 }, "chosen and rejected are identical");
    ledger.shorten(["prompt too long"], { file: "pairs.jsonl", line: 9 });
    expect(screenOf(summaryLines({ ...summary, ledger }, 100).slice(6))).toMatchInlineSnapshot(`
      "

      training rows
      rows read                         2,315  pairs.jsonl
        used                            2,312
        of these shortened                  1
          prompt too long                   1  line 9
        dropped                             1
          identical completions             1  line 7
            chosen and rejected are identical
      "
    `);
  });
});

describe("the outcome of a run", () => {
  const evaluation = (step: number, loss: number, margin: number, accuracy: number, kl: number): Metrics => ({
    step,
    eval_loss: loss,
    "eval_rewards/margins": margin,
    "eval_rewards/accuracies": accuracy,
    eval_kl: kl,
  });

  test("is compared with its beginning", () => {
    const lines = comparisonLines({
      before: evaluation(0, Math.LN2, 0, 0, 0),
      after: evaluation(289, 0.5123, 0.421, 0.712, 1.23),
    });
    expect(screenOf(lines)).toMatchInlineSnapshot(`
      "
      on held-out rows       step 0   step 289
      loss                   0.6931     0.5123
      reward accuracy          0.0%      71.2%
      reward margin           0.000     +0.421
      KL on the data, nats    0.000      1.230
      "
    `);
  });

  test("without held-out pairs is that of the training pairs", () => {
    const step = (n: number, loss: number): Metrics => ({
      step: n,
      loss,
      "rewards/margins": n / 100,
      "rewards/accuracies": 0.5,
    });
    expect(screenOf(comparisonLines({ before: step(1, 0.69), after: step(20, 0.6) }))).toMatchInlineSnapshot(`
      "
      on the training rows of a step   step 1   step 20
      loss                             0.6900    0.6000
      reward accuracy                   50.0%     50.0%
      reward margin                    +0.010    +0.200
      "
    `);
  });

  test("is left out where there is nothing to compare", () => {
    expect(comparisonLines({})).toEqual([]);
    expect(comparisonLines({ before: evaluation(0, 1, 0, 0, 0), after: evaluation(0, 1, 0, 0, 0) })).toEqual([]);
  });

  const sample = {
    step: 289,
    prompt: "<|im_start|>user\nHow is the pacing in “The Forest in the City”?<|im_end|>\n<|im_start|>assistant\n",
    reference: "The pacing is slow, and the shots of the city at night are dull. 退屈な映画です。",
    policy: "The pacing is assured.\n\nA film to see twice.",
  };

  test("has both answers side by side", () => {
    expect(screenOf(sampleLines(sample, 72))).toMatchInlineSnapshot(`
      "
      user
      How is the pacing in “The Forest in the City”?
      assistant
      before                             │ after
      The pacing is slow, and the shots  │ The pacing is assured.
      of the city at night are dull.     │
      退屈な映画です。                   │ A film to see twice.
      "
    `);
  });

  test("names the step that a reference has followed to", () => {
    const [heads] = sampleLines({ ...sample, reference_step: 256 }, 72).slice(3);
    expect(heads).toMatch(/^step 256 +│ after$/);
    const evaluated = (n: number, reference_step: number) => ({ ...evaluation(n, 1, 0, 0, 0), reference_step });
    const [title] = comparisonLines({ before: evaluated(0, 0), after: evaluated(289, 256) });
    expect(title).toMatch(/^on held-out rows, against step 256 +step 0 +step 289$/);
  });

  test("has one answer under the other where columns would be too narrow", () => {
    const lines = sampleLines(sample, 40);
    expect(lines.filter((line) => textWidth(line) > 40)).toEqual([]);
    expect(screenOf(lines)).toMatchInlineSnapshot(`
      "
      user
      How is the pacing in “The Forest in the
      City”?
      assistant
      before
        The pacing is slow, and the shots of
        the city at night are dull.
        退屈な映画です。
      after
        The pacing is assured.

        A film to see twice.
      "
    `);
  });
});

describe("the screen", () => {
  test("a terminal's status line is written over, and gives way to lines that stay", () => {
    const stream = recorder({ isTTY: true, columns: 40 });
    const screen = new Screen(stream, "xterm");
    screen.status("one");
    screen.status("two");
    screen.print("done");
    expect(stream.text()).toBe("\rone\u001b[K\rtwo\u001b[K\r\u001b[Kdone\n");
  });

  test.each([
    ["a file", { hasColors: (): boolean => true }, "xterm"],
    ["a dumb terminal", { isTTY: true, hasColors: (): boolean => false }, "dumb"],
  ])("%s gets no status line and no colour", (_, kind, term) => {
    const stream = recorder(kind);
    const screen = new Screen(stream, term);
    screen.status("one");
    screen.print(screen.paint("bold", "done"));
    expect(stream.text()).toBe("done\n");
  });

  test("colours are for terminals that have them", () => {
    const paint = (hasColors: boolean) =>
      new Screen(recorder({ isTTY: true, hasColors: () => hasColors }), "xterm").paint("bold", "x");
    expect([paint(true), paint(false)]).toEqual(["\u001b[1mx\u001b[22m", "x"]);
  });
});

describe("a whole run in a log", () => {
  test("has about ten lines of steps, however long the run", () => {
    const stream = recorder();
    const reporter = new RunReporter(new Screen(stream), () => 0);
    reporter.onStart(summary);
    for (let step = 1; step <= summary.steps; step++) {
      reporter.onStep({ step, loss: 0.5, examples_per_second: 1 });
    }
    const steps = stream.text().match(/^step .*$/gm)!;
    expect(steps).toHaveLength(10);
    expect(steps.at(-1)).toMatch(/^step 289\/289 /);
  });

  test("a run that had ended says so", () => {
    const stream = recorder();
    new RunReporter(new Screen(stream)).finish({
      output: "runs/x",
      step: 3,
      steps: 3,
      samples: [],
      suspects: 0,
      warnings: [],
    });
    expect(stream.text()).toBe("The run had come to its end already.\n");
  });
});

test("padding counts cells", () => {
  expect(padEnd("日本", 6)).toBe("日本  ");
});
