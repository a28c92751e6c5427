/** What `preftune inspect model` prints. */

import type { ModelReport, TrainingEstimate } from "../../inspection/model.ts";
import type { TokenizerFacts } from "../../inspection/tokenizer.ts";
import { formatBytes, formatCount, formatDuration, formatMagnitude, formatRate, formatShare } from "./numbers.ts";
import { type Paint, plain } from "./screen.ts";
import { columnLines, labelledLines } from "./table.ts";
import { printable, wrap } from "./text.ts";

/** The report's lines, none wider than `width` but for the table of estimates. */
export function modelReportLines(report: ModelReport, width: number, paint: Paint = plain): string[] {
  const { family, architecture: a, parameters, dtypes, tokenizer, estimates } = report;
  const { total, ...parts } = parameters;
  const table = (rows: readonly (readonly [string, string])[]) => labelledLines(rows, { width, labelWidth: 14, paint });
  return [
    ...table([
      ["model", report.model],
      ["family", report.scores === "reward" ? `${family}, a reward model` : family],
      [
        "architecture",
        `${a.layers} layers of width ${a.hiddenSize}, ${a.attentionHeads} attention heads, ${formatCount(a.vocabularySize!)} tokens, up to ${formatCount(a.maxPositions!)} positions`,
      ],
      [
        "parameters",
        `${formatMagnitude(total)}: ${Object.entries(parts)
          .map(([name, n]) => `${name} ${formatMagnitude(n)} (${formatShare(n / total, 0)})`)
          .join(", ")}`,
      ],
      [
        "stored as",
        `${Object.entries(dtypes)
          .map(([type, n]) => `${type} (${formatShare(n / total, 0)})`)
          .join(", ")}; computed in float32, ${formatBytes(4 * total)}`,
      ],
    ]),
    "",
    ...table(tokenizerRows(tokenizer)),
    ...(tokenizer.chat ? wrap(tokenizer.chat.text, width - 4).map((line) => `    ${line}`) : []),
    ...(estimates.length === 0 ? [] : ["", ...estimateLines(report, paint)]),
  ];
}

function tokenizerRows({
  vocabulary,
  bos,
  eos,
  pad,
  before,
  special,
  chat,
}: TokenizerFacts): (readonly [string, string])[] {
  const named = (token: string | null) => token ?? "none";
  return [
    ["tokenizer", `${formatCount(vocabulary)} tokens, ${special} of them special`],
    ["begin, end", `${named(bos)}, ${named(eos)}; padding ${named(pad)} (never used: micro-batches have none)`],
    ["plain text", before === "" ? "begins as it stands" : `begins after ${before}`],
    [
      "conversations",
      chat === null
        ? "none: the model has no chat template"
        : `by its chat template, which makes ${chat.tokens} tokens of three messages with ${chat.words}:`,
    ],
  ];
}

function estimateLines({ estimates, batchSize, microBatchTokens }: ModelReport, paint: Paint): string[] {
  const heads = ["DPO", "longest", "trained", "memory", "a pair", "a step", "pairs/s"];
  const row = (one: TrainingEstimate) => [
    one.tuning === "lora" ? "LoRA" : "full",
    formatCount(one.maxLength),
    formatMagnitude(one.trained),
    formatBytes(one.memory),
    `${formatMagnitude(one.flops / 1e9 >= 1 ? Math.round(one.flops / 1e9) : Number((one.flops / 1e9).toFixed(3)))} GFLOP`,
    one.seconds === undefined
      ? ""
      : one.seconds < 10
        ? `${one.seconds.toFixed(one.seconds < 1 ? 2 : 1)} s`
        : formatDuration(one.seconds),
    one.pairsPerSecond === undefined ? "" : formatRate(one.pairsPerSecond),
  ];
  return [
    ...columnLines([heads, ...estimates.map(row)], paint, 2),
    paint(
      "dim",
      `Steps of ${batchSize} pairs, ${microBatchTokens} tokens to a micro-batch where more than one pair fits; prompts take half of the length.`,
    ),
  ].map(printable);
}
