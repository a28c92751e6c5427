/** The model card of a run's result, in the hub's format: a YAML header, then what it was made of, how, and what came of it. */

import { commandLine } from "../../command-line.ts";
import type { LedgerReport } from "../../data/ledger.ts";
import type { GivenSource } from "../../data/source-settings.ts";
import { formatSource } from "../../data/sources.ts";
import { baseModelName } from "../../hub/index.ts";
import { type FlatConfig, flatConfig, incidental, type TrainingConfig } from "../config.ts";
import { methods } from "../methods.ts";
import type { Metrics } from "../observer.ts";
import { resultKind } from "./run-directory.ts";

export interface CardContents {
  readonly config: TrainingConfig;
  /** What became of the rows. */
  readonly ledger?: LedgerReport | undefined;
  readonly evalLedger?: LedgerReport | undefined;
  /** The license of the base model, where it is known. */
  readonly license?: string | undefined;
  /** The first evaluation and the last. */
  readonly before?: Metrics | undefined;
  readonly after?: Metrics | undefined;
}

const TITLES: Readonly<Record<string, string>> = {
  adapter: "Adapter tuned on preferences",
  model: "Model tuned on preferences",
  reward: "Reward model of preferences",
  sft: "Fine-tuned on texts",
};

const HOW_TO_READ =
  "Loaded by transformers' `AutoModelForSequenceClassification`, its one logit is the reward: only differences between completions of the same " +
  "prompt mean something. It is read at a text's last token, so a completion must stand there with its end token and nothing after it " +
  "(many chat templates write a newline there: leave it out).";

/** How the line that every card begins with does. */
const TUNED_BY = "Tuned by [preftune]";

/** A dataset's name on the hub. */
const HUB = /^hf:([^/\s]+\/[^/@:\s]+)/;

/** The text of README.md. */
export function modelCard({ config, ledger, evalLedger, license, before, after }: CardContents): string {
  const { method, model, data, evalData } = config;
  return [
    ...header(config, license),
    "",
    `# ${TITLES[method] ?? TITLES[resultKind(config)]}`,
    "",
    `${TUNED_BY}(https://www.npmjs.com/package/preftune) from \`${model}\` on ${quoted(data)}${evalData ? `, evaluated on ${quoted(evalData)}` : ""}.`,
    ...(config.sftFirst
      ? ["", "It was fine-tuned on the preferred completions first, and that is its reference."]
      : []),
    ...(method === "reward" ? ["", HOW_TO_READ] : []),
    "",
    ...dataTable(ledger, evalLedger),
    "## Objective and settings",
    "",
    ...Object.entries(settingsOf(config)).map(([key, value]) => `- ${key}: ${value}`),
    ...beforeAndAfter(before, after),
    "",
    "## How to make it again",
    "",
    "```sh",
    reproducingCommand(config),
    "```",
    "",
  ].join("\n");
}

/** The card with a link to the run's report, a file beside it: below its first line, or last where somebody has written another. */
export function cardWithReport(card: string, file: string): string {
  // The hub shows the source of an HTML file, not the page.
  const link = `[The run's report](${file}) has its charts, settings, samples and held-out rows on one page: download it and open it in a browser.`;
  const lines = card.trimEnd().split("\n");
  const first = lines.findIndex((line) => line.startsWith(TUNED_BY));
  return `${lines.toSpliced(first < 0 ? lines.length : first + 1, 0, "", link).join("\n")}\n`;
}

/** What was read of the data, and used. */
function dataTable(ledger: LedgerReport | undefined, evalLedger: LedgerReport | undefined): string[] {
  if (ledger === undefined) return [];
  const count = (n: number) => n.toLocaleString("en-US");
  const row = (name: string, { shape = "", read, used, shortened, droppedBy }: LedgerReport) => {
    const causes = Object.entries(droppedBy).map(([cause, tally]) => `${count(tally.count)} ${cause}`);
    return `| ${[name, shape, count(read), count(used), count(shortened), causes.join(", ") || "0"].join(" | ")} |`;
  };
  return [
    "## Data",
    "",
    "| rows | shape | read | used | of these shortened | dropped |",
    "|---|---|---|---|---|---|",
    row("trained on", ledger),
    ...(evalLedger ? [row("held out", evalLedger)] : []),
    "",
  ];
}

function quoted(sources: readonly GivenSource[]): string {
  return sources.map((source) => `\`${formatSource(source)}\``).join(", ");
}

function header(config: TrainingConfig, license: string | undefined): string[] {
  const { method, tuning, loss } = config;
  const tags = ["preftune", method, ...loss, ...(tuning === "lora" ? ["lora"] : [])];
  if (method !== "sft") tags.push("preference-tuning");
  const datasets = new Set(
    [...config.data, ...(config.evalData ?? [])].flatMap((source) => HUB.exec(formatSource(source))?.[1] ?? []),
  );
  return [
    "---",
    `base_model: ${JSON.stringify(baseModelName(config.model))}`,
    `library_name: ${resultKind(config) === "adapter" ? "peft" : "transformers"}`,
    ...(license === undefined ? [] : [`license: ${JSON.stringify(license)}`]),
    `pipeline_tag: ${method === "reward" ? "text-classification" : "text-generation"}`,
    "tags:",
    ...[...new Set(tags)].map((tag) => `- ${tag}`),
    ...(datasets.size > 0 ? ["datasets:", ...[...datasets].map((name) => `- ${JSON.stringify(name)}`)] : []),
    "---",
  ];
}

function settingsOf(config: TrainingConfig): Record<string, unknown> {
  const { method, loss, objective, tuning, loraRank, loraAlpha, learningRate, schedule, batchSize, epochs } = config;
  const { maxLength, seed } = config;
  const lora = tuning === "lora" ? { loraRank, loraAlpha } : {};
  const rest = { learningRate, schedule, batchSize, epochs, maxLength, seed };
  return { method, loss: loss.join(", "), ...objective, tuning, ...lora, ...rest };
}

/** Two training steps are of different pairs: only evaluations are before and after of the same. */
function beforeAndAfter(before: Metrics | undefined, after: Metrics | undefined): string[] {
  const keys = Object.keys(after ?? {}).filter((key) => key.startsWith("eval_") && before?.[key] !== undefined);
  if (keys.length === 0) return [];
  const rows = keys.map((key) => `| ${key} | ${before![key]!.toPrecision(4)} | ${after![key]!.toPrecision(4)} |`);
  return ["", "## On held-out rows", "", "| metric | before | after |", "|---|---|---|", ...rows];
}

/** The command that makes the same run: every setting that is not the default. */
function reproducingCommand(config: TrainingConfig): string {
  const { method } = config;
  // Where a run lies is not part of it: the same run elsewhere has the same card.
  const output = ["--output", "again"];
  if ([...config.data, ...(config.evalData ?? [])].some(saysMore)) {
    return commandLine("preftune", method, "--config", "config.json", ...output);
  }
  const flat = flatConfig(config);
  const { shape } = methods[config.method]!.schema;
  const flags = Object.keys(shape)
    .filter((key) => flat[key] !== undefined && !isDefault(key, flat, config))
    .flatMap((key) => flagOf(key, flat[key]));
  return commandLine("preftune", method, ...flags, ...output);

  function isDefault(key: string, values: FlatConfig, { lossWeights }: TrainingConfig): boolean {
    if (incidental.has(key)) return true;
    if (key === "lossWeights") return lossWeights.every((weight) => weight === 1);
    return JSON.stringify(values[key]) === JSON.stringify(shape[key]!.safeParse(undefined).data);
  }
}

/** Whether a source has a shape or columns of its own. */
function saysMore(source: GivenSource): boolean {
  return typeof source !== "string" && (source.format !== undefined || source.columns !== undefined);
}

function flagOf(key: string, value: unknown): string[] {
  const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  if (typeof value === "boolean") return [value ? `--${name}` : `--no-${name}`];
  return [`--${name}`, Array.isArray(value) ? value.map(formatSource).join(",") : String(value)];
}
