/** `preftune dpo` and the other methods of training: one run, from a model and rows to a run directory. */

import { dirname, join } from "node:path";
import { Option } from "commander";
import { commandLine } from "../../command-line.ts";
import { formatSource } from "../../data/sources.ts";
import { ConfigError, HubError } from "../../errors.ts";
import { trainingShape } from "../../training/config.ts";
import { readRunConfig } from "../../training/directory/run-directory.ts";
import { type Method, methods, resolveConfig, rowUnits, type TrainingOptions } from "../../training/methods.ts";
import { tune } from "../../training/run.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { readConfigFile, type Settings } from "../config-file.ts";
import { lengthFlags, rowFlags } from "../flag-groups.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings, layered } from "../settings.ts";
import { endedText, stoppedText, stoppingText } from "../stopped.ts";
import { RunReporter } from "../terminal/run-reporter.ts";
import { Screen } from "../terminal/screen.ts";

interface OwnOptions {
  readonly config?: string;
  readonly resume?: true;
  readonly force?: true;
  readonly quiet?: true;
}

/** What the values of settings are called in help, where their type does not say it. */
const placeholders: Readonly<Record<string, string>> = {
  fDivergence: "name",
  lossWeights: "weights",
  regularizationData: "files",
};

/** Settings of some methods that say what is learned from a row. */
const rowKeys: readonly string[] = ["pairs", "score"];

/** The command of a method of training. */
function trainingCommand(method: Method): CommandDefinition {
  const { name, summary, schema } = method;
  const objective = Object.keys(schema.shape).filter((key) => !(key in trainingShape || rowKeys.includes(key)));
  return {
    name,
    summary,
    description:
      "Everything about the run goes into the folder --output: settings, metrics, samples, checkpoints, and at the end the " +
      "adapter or the model. Ctrl-C finishes the step, saves and says how to resume.",
    schema,
    groups: {
      "Model and data": {
        model: "path",
        data: "files",
        evalData: "files",
        mixture: true,
        ...rowFlags,
        ...Object.fromEntries(rowKeys.filter((key) => key in schema.shape).map((key) => [key, true])),
        limit: true,
        shuffle: true,
        chat: true,
        onBadRow: true,
        drop: "kinds",
        ...lengthFlags,
      },
      Objective: Object.fromEntries(objective.map((key) => [key, placeholders[key] ?? true])),
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
        klSamples: true,
        maxKl: "nats",
        maxKlAction: true,
        earlyStopping: true,
        keepBest: true,
        bestMetric: "metric",
      },
      Run: { output: "folder", seed: true, threads: true, microBatchTokens: true },
    },
    own: [
      new Option("--config <file>", "settings in YAML, by the flags' names; flags win"),
      new Option("--resume", "go on with the interrupted run in --output, with its own settings"),
      new Option("--force", "start even where more memory is needed than there is"),
      new Option("--quiet", "print nothing but errors and the folder of the result"),
    ],
    examples: [
      `preftune ${name} --model SmolLM2-135M-Instruct.gguf --data ${rowUnits[method.objectives[0]!.rows]}.jsonl --output runs/first`,
      `preftune ${name} --config run.yaml --output runs/second --learning-rate 1e-5`,
      `preftune ${name} --resume --output runs/first`,
    ],
    run: (invocation) => run(method, invocation),
  };
}

export const trainingCommands: readonly CommandDefinition[] = Object.values(methods).map(trainingCommand);

async function run(method: Method, invocation: Invocation): Promise<number> {
  const { io } = invocation;
  const { resume = false, force = false, quiet = false } = invocation.own as OwnOptions;
  const options = settle(method, invocation);
  const reporter = quiet ? undefined : new RunReporter(new Screen(io.stdout));
  using interruption = watchInterrupt(() => {
    io.stderr.write(`\n${stoppingText}\n`);
  });
  const config = resolveConfig(method, options);
  const result = await tune(config, { observer: reporter, resume, force, signal: interruption.signal })
    .catch((error) => {
      if (error instanceof HubError && interruption.signal.aborted) return error;
      throw error;
    })
    .finally(() => {
      reporter?.clear();
    });
  if (result instanceof HubError) {
    io.stderr.write(`preftune: ${result.message}\n`);
    return interruption.exitCode ?? 1;
  }
  if (result.result === undefined) {
    io.stderr.write(`${stoppedText(method.name, result)}\n`);
    return interruption.exitCode ?? 1;
  }
  reporter?.finish(result);
  if (reporter) io.stdout.write(`\n${nextText(method, options, result.result)}\n`);
  else io.stdout.write(`${result.result}\n`);
  const ended = endedText(result);
  if (ended !== undefined) (reporter ? io.stdout : io.stderr).write(`${reporter ? "" : "preftune: "}${ended}\n`);
  return 0;
}

/** The settings of the run: the interrupted run's own under the file's under the flags. */
function settle(method: Method, { flags, given, own }: Invocation): TrainingOptions {
  const { config, resume } = own as OwnOptions;
  const asked = config === undefined ? given : layered(readConfigFile(config, flags, method.name), given);
  const settings = resume ? layered(resumedSettings(method, asked), asked) : asked;
  const options = checkSettings(method.schema, flags, settings) as TrainingOptions;
  if (options.tuning === "full") refuseAdapterFlags(given);
  return options;
}

/** Throws ConfigError for flags of an adapter where there is none. A file may have them, for the runs that have one. */
function refuseAdapterFlags(given: Settings): void {
  const idle = ["loraRank", "loraAlpha", "loraTargets", "rsLora"].find((key) => given.has(key));
  if (idle === undefined) return;
  throw new ConfigError(
    `${given.get(idle)!.where} has no effect with --tuning full, which trains no adapter. Leave it out.`,
  );
}

function resumedSettings({ name }: Method, asked: Settings): Settings {
  const output = asked.get("output")?.value;
  if (typeof output !== "string")
    throw new ConfigError("--resume needs --output, the folder of the run to go on with.");
  const file = join(output, "config.json");
  const { method, ...settings } = readRunConfig(output);
  if (method !== name) throw new ConfigError(`${output}: is a run of preftune ${method}. Resume it by that command.`);
  return new Map(Object.entries(settings).map(([key, value]) => [key, { value, where: `${file}: ${key}` }]));
}

function sourceList(data: TrainingOptions["data"]): string {
  return trainingShape.data.parse(data).map(formatSource).join(",");
}

/** Where the result is, and what can be done with it. */
function nextText(method: Method, { model, tuning, data, output }: TrainingOptions, result: string): string {
  const target = tuning === "full" ? ["--model", result] : ["--model", model, "--adapter", result];
  const words =
    method.name === "reward"
      ? ["score", "--reward-model", result, "--data", sourceList(data), "--output", "rewards.jsonl"]
      : ["generate", ...target, "--prompt", "..."];
  return [
    `result  ${result}`,
    `try it  ${commandLine("preftune", ...words)}`,
    `see it  ${commandLine("preftune", "ui", dirname(output))}`,
  ].join("\n");
}
