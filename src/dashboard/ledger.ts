/** The ledgers of a data.json that anybody may have written: what has not the types of the ledger's is left out. */

import type { LedgerReport } from "../data/ledger.ts";
import { isObject } from "./files.ts";

type Tally = NonNullable<LedgerReport["boundaryMerged"]>;
type SourceReport = NonNullable<LedgerReport["sources"]>[number];

export function ledgersOf(data: Readonly<Record<string, unknown>>): Record<string, LedgerReport> {
  return Object.fromEntries(
    Object.entries(data).flatMap(([part, value]) => {
      const ledger = asLedger(value);
      return ledger === undefined ? [] : [[part, ledger]];
    }),
  );
}

function asLedger(value: unknown): LedgerReport | undefined {
  if (!isObject(value) || !Array.isArray(value.files)) return undefined;
  const { read, used, shortened, dropped, labels, shape, sources } = value;
  if (!areNumbers(read, used, shortened, dropped)) return undefined;
  const [boundaryMerged, unwrittenTools] = [asTally(value.boundaryMerged), asTally(value.unwrittenTools)];
  return {
    files: value.files.filter((file) => typeof file === "string"),
    ...(typeof shape === "string" && { shape }),
    ...(Array.isArray(sources) && { sources: sources.filter(isSource) }),
    ...({ read, used, shortened, dropped } as Pick<LedgerReport, "read" | "used" | "shortened" | "dropped">),
    shortenedBy: talliesOf(value.shortenedBy),
    droppedBy: talliesOf(value.droppedBy),
    ...(boundaryMerged && { boundaryMerged }),
    ...(unwrittenTools && { unwrittenTools }),
    specialTokens: talliesOf(value.specialTokens),
    ...(isObject(labels) && areNumbers(labels.desirable, labels.undesirable) && { labels: labels as never }),
  };
}

function talliesOf(value: unknown): Record<string, Tally> {
  const entries = Object.entries(isObject(value) ? value : {});
  return Object.fromEntries(
    entries.flatMap(([name, one]) => {
      const tally = asTally(one);
      return tally === undefined ? [] : [[name, tally]];
    }),
  );
}

function asTally(value: unknown): Tally | undefined {
  if (!isObject(value) || !areNumbers(value.count) || !Array.isArray(value.rows)) return undefined;
  const { count, rows, example } = value;
  return {
    count: count as number,
    rows: rows.filter((row) => isObject(row) && typeof row.file === "string" && areNumbers(row.line)),
    ...(typeof example === "string" && { example }),
  };
}

function isSource(value: unknown): value is SourceReport {
  if (!isObject(value) || typeof value.name !== "string") return false;
  const { read, used, dropped, weight = 0, mixed = 0 } = value;
  return areNumbers(read, used, dropped, weight, mixed);
}

function areNumbers(...values: unknown[]): boolean {
  return values.every(Number.isFinite);
}
