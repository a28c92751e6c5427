/**
 * What became of every row: used as it was, shortened, or dropped, by cause and with the first rows of each, so that nothing is
 * lost silently. Printed as a short table before a run, and kept in the run directory as `data.json`.
 */

import type { RowOrigin } from "./example.ts";
import { nameOf } from "./files/standard-input.ts";
import type { Cause } from "./problem.ts";

/** How many rows of a cause are named. */
const namedRows = 5;

interface Tally {
  readonly count: number;
  /** The first rows, in order. */
  readonly rows: readonly RowOrigin[];
  /** What was wrong with the first. */
  readonly example?: string;
}

/** What became of the rows of one of several sources. */
interface SourceReport {
  readonly name: string;
  readonly files: readonly string[];
  readonly shape?: string;
  /** Its weight in the mixture. */
  readonly weight?: number;
  readonly read: number;
  readonly used: number;
  readonly dropped: number;
  /** How many rows of the mixture are its rows, where there is one. */
  readonly mixed?: number;
}

/** The ledger as it stands in `data.json`. */
export interface LedgerReport {
  readonly files: readonly string[];
  /** The shape of the rows; several where files have different ones. */
  readonly shape?: string;
  /** Each of several sources. */
  readonly sources?: readonly SourceReport[];
  readonly read: number;
  readonly used: number;
  /** Of the rows used, those that were cut to fit. */
  readonly shortened: number;
  readonly dropped: number;
  readonly shortenedBy: Readonly<Record<string, Tally>>;
  readonly droppedBy: Readonly<Record<string, Tally>>;
  /** Rows used whose completion was tokenized on its own, since its first characters merge with the prompt's last. */
  readonly boundaryMerged?: Tally;
  /** Rows used whose tools or tool calls the chat template does not write. */
  readonly unwrittenTools?: Tally;
  /** Rows used whose text contains special tokens, by token. */
  readonly specialTokens: Readonly<Record<string, Tally>>;
  /** How many completions are desirable and how many are not, where rows say so. A pair has one of each. */
  readonly labels?: Labels;
}

export interface Labels {
  readonly desirable: number;
  readonly undesirable: number;
}

class Tallies {
  private readonly tallies = new Map<string, { count: number; rows: RowOrigin[]; example?: string }>();

  add(name: string, origin: RowOrigin, example?: string): void {
    let tally = this.tallies.get(name);
    if (tally === undefined) {
      tally = { count: 0, rows: [], ...(example === undefined ? {} : { example }) };
      this.tallies.set(name, tally);
    }
    tally.count++;
    if (tally.rows.length < namedRows) tally.rows.push(origin);
  }

  toRecord(): Record<string, Tally> {
    return Object.fromEntries(this.tallies);
  }
}

/** What a ledger says of a source. */
interface LedgerSource {
  readonly name: string;
  readonly files: readonly string[];
  readonly weight?: number | undefined;
}

interface Account {
  readonly shapes: Set<string>;
  read: number;
  used: number;
  dropped: number;
  mixed?: number;
}

function sourceReport({ name, files, weight }: LedgerSource, { shapes, ...counts }: Account): SourceReport {
  return {
    name,
    files,
    ...(shapes.size > 0 && { shape: [...shapes].join(", ") }),
    ...(weight !== undefined && { weight }),
    ...counts,
  };
}

export class Ledger {
  read = 0;
  used = 0;
  shortened = 0;
  dropped = 0;
  private readonly shortenedBy = new Tallies();
  private readonly droppedBy = new Tallies();
  private readonly merged = new Tallies();
  private readonly unwritten = new Tallies();
  private readonly special = new Tallies();
  private labels: Labels | undefined;
  private readonly accounts: Account[];

  constructor(private readonly sources: readonly LedgerSource[]) {
    this.accounts = sources.map(() => ({ shapes: new Set(), read: 0, used: 0, dropped: 0 }));
  }

  /** Counts a row of a source (by its place among them). */
  noteRead(source: number): void {
    this.read++;
    this.accounts[source]!.read++;
  }

  noteUsed(source: number): void {
    this.used++;
    this.accounts[source]!.used++;
  }

  noteShape(source: number, shape: string): void {
    this.accounts[source]!.shapes.add(shape);
  }

  /** How many rows of the mixture are each source's. */
  noteMixture(counts: readonly number[]): void {
    counts.forEach((count, source) => {
      this.accounts[source]!.mixed = count;
    });
  }

  /** The shapes that the rows have. */
  get shapes(): readonly string[] {
    return [...new Set(this.accounts.flatMap(({ shapes }) => [...shapes]))];
  }

  drop(source: number, cause: Cause, origin: RowOrigin, message: string): void {
    this.dropped++;
    this.accounts[source]!.dropped++;
    this.droppedBy.add(cause, origin, message);
  }

  /** Counts one row that was cut to fit, under each of its causes. */
  shorten(causes: readonly Cause[], origin: RowOrigin): void {
    this.shortened++;
    for (const cause of causes) this.shortenedBy.add(cause, origin);
  }

  noteMerged(origin: RowOrigin): void {
    this.merged.add("merged", origin);
  }

  noteUnwrittenTools(origin: RowOrigin, message: string): void {
    this.unwritten.add("tools", origin, message);
  }

  noteSpecialTokens(tokens: readonly string[], origin: RowOrigin): void {
    for (const token of tokens) this.special.add(token, origin);
  }

  noteLabel(isDesirable: boolean): void {
    const { desirable, undesirable } = this.labels ?? { desirable: 0, undesirable: 0 };
    this.labels = isDesirable ? { desirable: desirable + 1, undesirable } : { desirable, undesirable: undesirable + 1 };
  }

  toJSON(): LedgerReport {
    const { merged } = this.merged.toRecord();
    const { tools } = this.unwritten.toRecord();
    return {
      files: this.sources.flatMap(({ files }) => files),
      ...(this.shapes.length > 0 && { shape: this.shapes.join(", ") }),
      ...(this.sources.length > 1 && {
        sources: this.sources.map((source, i) => sourceReport(source, this.accounts[i]!)),
      }),
      read: this.read,
      used: this.used,
      shortened: this.shortened,
      dropped: this.dropped,
      shortenedBy: this.shortenedBy.toRecord(),
      droppedBy: this.droppedBy.toRecord(),
      ...(merged === undefined ? {} : { boundaryMerged: merged }),
      ...(tools === undefined ? {} : { unwrittenTools: tools }),
      specialTokens: this.special.toRecord(),
      ...(this.labels && { labels: this.labels }),
    };
  }

  /** A short table in plain text. */
  toString(): string {
    return formatLedger(this.toJSON());
  }
}

/** A ledger's report as a short table in plain text. */
export function formatLedger(report: LedgerReport): string {
  const count = (n: number) => n.toLocaleString("en-US");
  const width = count(report.read).length;
  const line = (label: string, n: number, detail = "") => `${label.padEnd(33)} ${count(n).padStart(width)}${detail}`;
  const tallies = (record: Readonly<Record<string, Tally>>) =>
    Object.entries(record).flatMap(([name, tally]) => [
      line(`    ${name}`, tally.count, `  ${rowList(tally, report.files.length > 1)}`),
      ...(tally.example === undefined ? [] : [`      ${tally.example}`]),
    ]);
  const notes = [
    ...(report.boundaryMerged === undefined ? [] : [["boundary token merged", report.boundaryMerged] as const]),
    ...(report.unwrittenTools === undefined ? [] : [["tools not written", report.unwrittenTools] as const]),
    ...Object.entries(report.specialTokens).map(([token, tally]) => [`special token ${token} in text`, tally] as const),
  ];
  return [
    line("rows read", report.read, `  ${fileNames(report.files)}${shapeNote(report)}`),
    ...(report.sources ?? []).map(({ name, used, mixed, shape }) => {
      const share = mixed === undefined ? "" : `, ${count(mixed)} of the mixture`;
      return line(`    of ${name}`, used, `  used${share}${shape === undefined ? "" : `; ${shape}`}`);
    }),
    line("  used", report.used),
    ...(report.labels === undefined
      ? []
      : [
          line("    desirable completions", report.labels.desirable),
          line("    undesirable completions", report.labels.undesirable),
        ]),
    ...notes.map(([label, tally]) => line(`    ${label}`, tally.count, `  ${rowList(tally, report.files.length > 1)}`)),
    ...(report.shortened === 0 ? [] : [line("  of these shortened", report.shortened), ...tallies(report.shortenedBy)]),
    line("  dropped", report.dropped),
    ...tallies(report.droppedBy),
  ].join("\n");
}

/** Of several sources each line says its own. */
function shapeNote({ shape, sources }: LedgerReport): string {
  return shape === undefined || sources !== undefined ? "" : ` (shape: ${shape})`;
}

/** How many files are named. */
const namedFiles = 4;

function fileNames(files: readonly string[]): string {
  const rest = files.length - namedFiles;
  const names = files.slice(0, namedFiles).map(nameOf).join(", ");
  return rest <= 0 ? names : `${names} and ${rest} more`;
}

function rowList({ rows, count }: Tally, withFiles: boolean): string {
  const unit = rows[0]?.unit ?? "line";
  const names = rows.map(({ file, line }) => (withFiles ? `${file}:${line}` : String(line)));
  return `${unit}${count === 1 ? "" : "s"} ${names.join(", ")}${count > rows.length ? ", ..." : ""}`;
}
