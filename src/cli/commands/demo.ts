/** `preftune demo`: the embedded example, tuned before one's eyes. */

import { dirname, relative } from "node:path";
import { z } from "zod";
import { commandLine } from "../../command-line.ts";
import { type DemoReport, demo, demoRun } from "../../demo/demo.ts";
import { trainingShape } from "../../training/config.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { kebabCase } from "../flags.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings } from "../settings.ts";
import { stoppedText, stoppingText } from "../stopped.ts";
import { introductionLines, reviewLines, tallyLine } from "../terminal/reviews.ts";
import { RunReporter } from "../terminal/run-reporter.ts";
import { Screen } from "../terminal/screen.ts";

const schema = z.strictObject({
  output: z.string().min(1).optional().describe("the run directory; runs/demo- and the time if not given"),
  seed: trainingShape.seed,
  threads: trainingShape.threads,
});

export const demoCommand: CommandDefinition<typeof schema> = {
  name: "demo",
  summary: "Tune the embedded example and show what becomes of it",
  description:
    "A tiny model that comes with preftune writes film reviews, good and bad ones. The demo tunes it on pairs that prefer " +
    "the good ones, in under a minute, and shows the same films reviewed before and after.",
  schema,
  groups: { Run: { output: "folder", seed: true, threads: true } },
  examples: ["preftune demo", "preftune demo --seed 1 --output runs/demo"],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { output = defaultOutput(new Date()), ...settings } = schema.parse(checkSettings(schema, flags, given));
  const options = { ...settings, output };
  const screen = new Screen(io.stdout);
  const reporter = new RunReporter(screen);
  using interruption = watchInterrupt(() => {
    io.stderr.write(`\n${stoppingText}\n`);
  });
  screen.print(...introductionLines(screen.width), "");
  const report = await demo(options, {
    signal: interruption.signal,
    observer: {
      onStage: (stage) => reporter.onStage(stage),
      onStart: (summary) => reporter.onStart(summary),
      onStep: (metrics) => reporter.onStep(metrics),
      onEvaluation: (metrics) => reporter.onEvaluation(metrics),
      onWarning: (warning) => reporter.onWarning(warning),
      onReviews: (when, reviews) => screen.print(tallyLine(when, reviews), ""),
    },
  }).finally(() => reporter.clear());
  if (!("divergence" in report)) {
    io.stderr.write(`${stoppedText("dpo", report.run)}\n`);
    return interruption.exitCode ?? 1;
  }
  reporter.finish({ ...report.run, samples: [] });
  screen.print("", ...reviewLines(report, screen.width, screen.paint), "", ...nextLines(report, byHand(options)));
  return 0;
}

/** `runs/demo-20260131-174502`, in local time. */
function defaultOutput(now: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const date = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `runs/demo-${date}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** The command that does what the demo has done, in another folder. */
export function byHand(options: { output: string; seed: number; threads?: number | undefined }): string {
  const run = demoRun({ ...options, output: "runs/by-hand" });
  const near = (path: string) => {
    const local = relative(process.cwd(), path);
    return local.startsWith("..") ? path : local;
  };
  const flags = { ...run, model: near(run.model), data: near(run.data), evalData: near(run.evalData) };
  const words = Object.entries(flags).flatMap(([key, value]) => [`--${kebabCase(key)}`, String(value)]);
  return commandLine("preftune", "dpo", ...words);
}

function nextLines({ run }: DemoReport, command: string): string[] {
  const indented = (text: string) => `  ${text}`;
  return [
    "everything about the run",
    indented(run.output),
    "look at it",
    indented(commandLine("preftune", "ui", dirname(run.output))),
    "the same by hand",
    indented(command),
  ];
}
