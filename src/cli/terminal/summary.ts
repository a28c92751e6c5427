/** What is said before a run begins: what is trained on what, how long, in how much memory, and where it goes. */

import { basename, dirname, join, resolve } from "node:path";
import type { Ledger } from "../../data/ledger.ts";
import { withoutCacheFolders } from "../../hub/index.ts";
import type { RunPart, RunSummary } from "../../training/observer.ts";
import { formatBytes, formatCount, formatMagnitude, formatSetting, formatShare } from "./numbers.ts";
import { type Paint, plain } from "./screen.ts";
import { labelledLines } from "./table.ts";
import { printable } from "./text.ts";

/** What a run of two parts is doing. */
const parts: Readonly<Record<RunPart, string>> = {
  first: "1 of 2, fine-tuning on the chosen completions",
  second: "2 of 2, tuning on preferences, from and against what came of the first",
};

/** The summary's lines, none wider than `width` but for what can't be broken: the ledger's table. */
export function summaryLines(summary: RunSummary, width: number, paint: Paint = plain): string[] {
  const rows: [string, string][] = [
    ...(summary.part === undefined ? [] : [["part", parts[summary.part]] as [string, string]]),
    ["model", `${titleOf(summary.config.model)}: ${summary.family}, ${formatMagnitude(summary.parameters)} parameters`],
    ["training", describeTuning(summary)],
    ["data", describeData(summary)],
    ["steps", describeSteps(summary)],
    ["memory", describeMemory(summary)],
    ["writes", summary.config.output],
  ];
  const labelWidth = Math.max(...rows.map(([label]) => label.length)) + 2;
  return [
    ...labelledLines(rows, { width, labelWidth, paint }),
    ...ledgerLines("training rows", summary.ledger),
    ...ledgerLines("held-out rows", summary.evalLedger),
    ...ledgerLines("reference rows", summary.regularizationLedger),
  ];
}

/** A model's file name, with its folder's where every run's is the same, or its name on the hub with the beginning of its commit. */
function titleOf(model: string): string {
  const [, name, commit] = /^hf:(.*)@([0-9a-f]{7})[0-9a-f]{33}$/.exec(model) ?? [];
  if (name !== undefined) return `${name}@${commit}`;
  const own = basename(model);
  return own === "model" ? join(basename(dirname(resolve(model))), own) : own;
}

function describeTuning({ config, trainable, parameters }: RunSummary): string {
  const objective = `${config.loss.join(" + ")} loss${describeBeta(config.objective)}`;
  const share = `${formatMagnitude(trainable)} parameters (${formatShare(trainable / parameters)})`;
  if (config.tuning === "full") return `all ${formatMagnitude(trainable)} parameters, ${objective}`;
  const kind = config.adapter === undefined ? `LoRA of rank ${config.loraRank}` : `the adapter ${config.adapter}`;
  return `${kind}: ${share}, ${objective}`;
}

function describeBeta({ beta }: RunSummary["config"]["objective"]): string {
  return typeof beta === "number" ? `, beta ${formatSetting(beta)}` : "";
}

function describeData({ examples, heldOut, unit, tokens, ledger }: RunSummary): string {
  const held = heldOut === 0 ? `no held-out ${unit}` : `${formatCount(heldOut)} held-out ${unit}`;
  const { labels, shape } = ledger.toJSON();
  const desirable = labels === undefined ? "" : ` (${formatCount(labels.desirable)} desirable)`;
  return `${formatCount(examples)} ${unit}${desirable} of ${formatCount(tokens)} tokens together, ${held}${shape === undefined ? "" : `; rows read as ${shape}`}`;
}

function describeSteps({ config, unit, steps, firstStep }: RunSummary): string {
  const { warmupSteps } = config;
  const warmup = warmupSteps === 0 ? "" : ` after ${formatCount(warmupSteps)} of warm-up`;
  const rate = `${config.optimizer} at ${formatSetting(config.learningRate)}, ${config.schedule}${warmup}`;
  const resumed = firstStep === 0 ? "" : `, going on after step ${formatCount(firstStep)}`;
  return `${formatCount(steps)} of ${config.batchSize} ${unit}, ${rate}${resumed}`;
}

function describeMemory({ memory: { total, weights, training, activations }, availableMemory }: RunSummary): string {
  const available = formatBytes(availableMemory);
  const room = total <= availableMemory ? ` of ${available} available` : `, more than the ${available} available`;
  const parts = { weights, optimizer: training, activations };
  const list = Object.entries(parts).map(([name, bytes]) => `${name} ${formatBytes(bytes)}`);
  return `about ${formatBytes(total)}${room}: ${list.join(", ")}`;
}

/** The ledger where there is something to know, else nothing: `data` says how many rows there are. */
export function ledgerLines(title: string, ledger: Ledger | undefined): string[] {
  if (ledger === undefined) return [];
  const { shortened, dropped, boundaryMerged, unwrittenTools, specialTokens, sources } = ledger.toJSON();
  const uneventful =
    shortened + dropped === 0 &&
    boundaryMerged === undefined &&
    unwrittenTools === undefined &&
    Object.keys(specialTokens).length === 0 &&
    sources === undefined;
  return uneventful ? [] : ["", title, ...printable(withoutCacheFolders(ledger.toString())).split("\n")];
}
