/** What is in preference files, before anything is trained on them: what will be used, how long it is, and what is wrong with it. */

import { z } from "zod";
import { pairings } from "../data/derive.ts";
import { refuseDropWithoutUse } from "../data/drop.ts";
import type { LedgerReport } from "../data/ledger.ts";
import { visitExamples } from "../data/load.ts";
import { scores } from "../data/texts.ts";
import { type LengthLimits, limitsOf, limitsWithin, type Truncation } from "../data/truncate.ts";
import { datasetFinder, findModel, type HubOptions, withoutCacheFolders } from "../hub/index.ts";
import { modelFor } from "../models/index.ts";
import { type MethodName, objectivesOf } from "../objectives/index.ts";
import { parseSettings } from "../parse-settings.ts";
import { tokenizerFromFiles } from "../text/tokenizer.ts";
import { trainingShape } from "../training/config.ts";
import { methods } from "../training/methods.ts";
import type { Check, Finding, Level } from "./check.ts";
import { chatTemplate } from "./checks/chat-template.ts";
import { duplicates } from "./checks/duplicates.ts";
import { encoding } from "./checks/encoding.ts";
import { missingEnds } from "./checks/ends.ts";
import { language } from "./checks/language.ts";
import { leaks } from "./checks/leaks.ts";
import { ledgerFindings } from "./checks/ledger.ts";
import { lengthPreference } from "./checks/length.ts";
import { nearDuplicates } from "./checks/near-duplicates.ts";
import { opposites } from "./checks/opposites.ts";
import { truncated } from "./checks/truncated.ts";
import { type LengthDistribution, lengthDistribution } from "./lengths.ts";
import { type PreviewRow, previewRow } from "./preview.ts";
import { type InspectedRow, inspectedRow } from "./row.ts";

const { model, data, evalData, format, columns, limit, drop, chat, maxLength, maxPromptLength, truncation } =
  trainingShape;
const count = z.number().int().min(0);

export const dataInspectionShape = {
  model,
  data: data.describe("the rows to look at"),
  evalData: evalData.describe("held-out rows, to look for in the others"),
  method: z
    .enum(Object.keys(methods) as [MethodName, ...MethodName[]])
    .default("dpo")
    .describe("the command that will train on them, by which rows are read"),
  format,
  columns,
  pairs: z
    .enum(pairings)
    .optional()
    .describe("of rows with several completions: the pair of best and worst, or all pairs"),
  score: z
    .enum([...scores, "last"])
    .optional()
    .describe("which tokens are learned, where the method has that choice"),
  limit,
  drop,
  chat,
  maxLength,
  maxPromptLength,
  truncation,
  show: count.default(2).describe("how many rows to show as the model will see them"),
  examples: count.default(5).describe("how many rows to name of each finding"),
};

export type DataInspectionOptions = z.input<z.ZodObject<typeof dataInspectionShape>>;

export interface DataReport {
  readonly model: string;
  readonly method: MethodName;
  /** As a run with this model has them. */
  readonly limits: LengthLimits & { readonly truncation: Truncation };
  readonly ledger: LedgerReport;
  readonly evalLedger?: LedgerReport;
  readonly preview: readonly PreviewRow[];
  /** Of prompts, of completions by what they are, and of prompts with their longest completion: what --max-length bounds. */
  readonly lengths: readonly LengthDistribution[];
  /** The share of the rows used that are cut to fit. */
  readonly shortened: number;
  /** The gravest first. */
  readonly findings: readonly Finding[];
}

/** Called now and then with the number of rows seen. */
type OnRows = (rows: number) => void;

/** Reads all rows once, and no weights. Throws PreftuneError for a model or a file that can't be opened, and where no row can be used. */
export async function inspectData(
  settings: DataInspectionOptions,
  onRows: OnRows = () => {},
  hub: HubOptions = {},
): Promise<DataReport> {
  const asked = parseSettings(z.strictObject(dataInspectionShape), settings);
  const { method, show, examples: named } = asked;
  refuseDropWithoutUse(asked.drop, asked.evalData);
  const given = limitsOf(asked);
  using checkpoint = (await findModel(asked.model, hub)).checkpoint;
  const limits = limitsWithin(given, modelFor(checkpoint).maxPositions);
  const options = { ...asked, ...limits };
  const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
  const needs = { rows: objectivesOf(method)[0]!.rows };
  const reading = { ...options, tokenizer, onBadRow: "drop" as const };
  const checks = checksOf(named, limits, {
    isChatModel: tokenizer.hasChatTemplate,
    hasHeldOut: options.evalData !== undefined,
  });
  const lengths = new Lengths();
  const preview: PreviewRow[] = [];
  let rows = 0;
  const count = () => {
    if (++rows % 512 === 0) onRows(rows);
  };

  const trained = await visitExamples(
    needs,
    { ...reading, files: options.data, find: datasetFinder("training") },
    (visited) => {
      const row = inspectedRow(visited, tokenizer, options.chat);
      if (preview.length < show) preview.push(previewRow(visited, tokenizer));
      lengths.add(row);
      for (const check of checks) check.see(row);
      count();
    },
  );
  const heldOut =
    options.evalData &&
    (await visitExamples(
      needs,
      {
        ...reading,
        limit: undefined,
        files: options.evalData,
        find: datasetFinder("evaluation"),
        trainedOn: trained.known,
      },
      (visited) => {
        const row = inspectedRow(visited, tokenizer, options.chat);
        for (const check of checks) check.seeHeldOut?.(row);
        count();
      },
    ));

  const [report, evalReport] = [trained.ledger.toJSON(), heldOut?.ledger.toJSON()];
  return withNamesOfHub({
    model: options.model,
    method,
    limits: { ...limits, truncation: options.truncation },
    ledger: report,
    ...(evalReport && { evalLedger: evalReport }),
    preview,
    lengths: lengths.distributions(),
    shortened: report.shortened / report.used,
    findings: byGravity([
      ...ledgerFindings(report, limits),
      ...(evalReport ? heldOutProblems(evalReport, limits) : []),
      ...checks.flatMap((check) => check.findings()),
    ]),
  });
}

/** What a run stops at or leaves out of held-out rows too. */
function heldOutProblems(report: LedgerReport, limits: LengthLimits): Finding[] {
  const problems = ledgerFindings(report, limits).filter(({ level }) => level === "problem");
  return problems.map((finding) => ({ ...finding, name: `held-out rows: ${finding.name}` }));
}

/** The report with names of datasets in the place of their folders in the cache, which nobody has given. */
function withNamesOfHub(report: DataReport): DataReport {
  return JSON.parse(JSON.stringify(report), (_, value) =>
    typeof value === "string" ? withoutCacheFolders(value) : value,
  ) as DataReport;
}

function checksOf(
  named: number,
  limits: LengthLimits,
  { isChatModel, hasHeldOut }: { isChatModel: boolean; hasHeldOut: boolean },
): Check[] {
  const always = [duplicates, nearDuplicates, opposites, lengthPreference, truncated, encoding, language];
  const needed = [...always, ...(isChatModel ? [chatTemplate] : []), ...(hasHeldOut ? [leaks] : [])];
  return [...needed.map((check) => check(named)), missingEnds(named, limits)];
}

const GRAVITY: readonly Level[] = ["problem", "warning", "note"];

function byGravity(findings: readonly Finding[]): Finding[] {
  return findings.toSorted((a, b) => GRAVITY.indexOf(a.level) - GRAVITY.indexOf(b.level) || b.share - a.share);
}

/** Lengths of all rows, before anything is cut. */
class Lengths {
  private readonly prompts: number[] = [];
  private readonly wholes: number[] = [];
  private readonly byRole = new Map<string, number[]>();

  add({ promptTokens, completions }: InspectedRow): void {
    this.prompts.push(promptTokens);
    let longest = 0;
    for (const { role, tokens } of completions) {
      longest = Math.max(longest, tokens);
      const own = this.byRole.get(role);
      if (own) own.push(tokens);
      else this.byRole.set(role, [tokens]);
    }
    this.wholes.push(promptTokens + longest);
  }

  distributions(): LengthDistribution[] {
    return [
      lengthDistribution("prompt", this.prompts),
      ...[...this.byRole].map(([role, lengths]) => lengthDistribution(role, lengths)),
      lengthDistribution("prompt and longest completion", this.wholes),
    ];
  }
}
