/** `preftune dpo`: one run of preference tuning. */

import { join } from "node:path";
import { Option } from "commander";
import { ConfigError } from "../../errors.ts";
import { type DpoOptions, dpoSchema } from "../../training/config.ts";
import { dpo } from "../../training/dpo.ts";
import { readRunConfig } from "../../training/run-directory.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { readConfigFile, type Settings } from "../config-file.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings, layered } from "../settings.ts";
import { commandLine } from "../shell.ts";
import { stoppedText, stoppingText } from "../stopped.ts";
import { RunReporter } from "../terminal/run-reporter.ts";
import { Screen } from "../terminal/screen.ts";

interface OwnOptions {
  readonly config?: string;
  readonly resume?: true;
  readonly quiet?: true;
}

export const dpoCommand: CommandDefinition<typeof dpoSchema> = {
  name: "dpo",
  summary: "Tune a model on preference pairs, by DPO or IPO",
  description:
    "Everything about the run goes into the folder --output: settings, metrics, samples, checkpoints, and at the end the " +
    "adapter or the model. Ctrl-C finishes the step, saves and says how to resume.",
  schema: dpoSchema,
  groups: {
    "Model and data": {
      model: "path",
      data: "files",
      evalData: "files",
      limit: true,
      shuffle: true,
      chat: true,
      onBadRow: true,
      maxLength: true,
      maxPromptLength: true,
      truncation: true,
    },
    Objective: { loss: true, beta: true, labelSmoothing: true, referenceFree: true, ipoSum: true },
    Tuning: { tuning: true, loraRank: true, loraAlpha: true, loraTargets: true, rsLora: true, adapter: "folder" },
    Optimization: {
      batchSize: true,
      epochs: true,
      maxSteps: true,
      learningRate: true,
      optimizer: true,
      weightDecay: true,
      schedule: true,
      warmupSteps: true,
      maxGradNorm: true,
    },
    "Evaluation and checkpoints": {
      evalEvery: true,
      saveEvery: true,
      keepCheckpoints: true,
      samplePrompts: true,
      sampleTokens: true,
    },
    Run: { output: "folder", seed: true, threads: true, microBatchTokens: true },
  },
  own: [
    new Option("--config <file>", "settings in YAML, by the flags' names; flags win"),
    new Option("--resume", "go on with the interrupted run in --output, with its own settings"),
    new Option("--quiet", "print nothing but errors and the folder of the result"),
  ],
  examples: [
    "preftune dpo --model SmolLM2-135M-Instruct.gguf --data pairs.jsonl --output runs/first",
    "preftune dpo --config run.yaml --output runs/second --beta 0.3",
    "preftune dpo --resume --output runs/first",
  ],
  run,
};

async function run(invocation: Invocation): Promise<number> {
  const { io } = invocation;
  const { resume = false, quiet = false } = invocation.own as OwnOptions;
  const options = settle(invocation);
  const reporter = quiet ? undefined : new RunReporter(new Screen(io.stdout));
  using interruption = watchInterrupt(() => {
    io.stderr.write(`\n${stoppingText}\n`);
  });
  const result = await dpo(options, { observer: reporter, resume, signal: interruption.signal }).finally(() => {
    reporter?.clear();
  });
  if (result.result === undefined) {
    io.stderr.write(`${stoppedText(result)}\n`);
    return interruption.exitCode ?? 1;
  }
  reporter?.finish(result);
  if (reporter) io.stdout.write(`\n${nextText(options, result.result)}\n`);
  else io.stdout.write(`${result.result}\n`);
  return 0;
}

/** The settings of the run: the interrupted run's own under the file's under the flags. */
function settle({ flags, given, own }: Invocation): DpoOptions {
  const { config, resume } = own as OwnOptions;
  const asked = config === undefined ? given : layered(readConfigFile(config, flags), given);
  return checkSettings(dpoSchema, flags, resume ? layered(resumedSettings(asked), asked) : asked);
}

function resumedSettings(asked: Settings): Settings {
  const output = asked.get("output")?.value;
  if (typeof output !== "string")
    throw new ConfigError("--resume needs --output, the folder of the run to go on with.");
  const file = join(output, "config.json");
  return new Map(
    Object.entries(readRunConfig(output)).map(([key, value]) => [key, { value, where: `${file}: ${key}` }]),
  );
}

/** Where the result is, and what can be done with it. */
function nextText({ model, tuning }: DpoOptions, result: string): string {
  const target = tuning === "full" ? ["--model", result] : ["--model", model, "--adapter", result];
  return [`result  ${result}`, `try it  ${commandLine("preftune", "generate", ...target, "--prompt", "...")}`].join(
    "\n",
  );
}
