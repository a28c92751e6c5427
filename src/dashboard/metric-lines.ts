/**
 * The lines of metrics.jsonl into columns, fast: nearly all lines of a log have the names of an earlier one in the same order, so
 * a line is held against such a template, and only its numbers are read. JSON.parse reads the others, and is half as fast.
 */

import { type Column, Table } from "./table.ts";

/** Kinds of lines that are remembered: of training and of evaluation, with and without what is not always measured. */
const MOST_TEMPLATES = 16;
const [OPEN, CLOSE] = [123, 125];
/** Read whatever is wanted: the axes, and what tells a training step's line from an evaluation's. */
const ALWAYS: readonly string[] = ["step", "time", "examples", "loss"];

/** What a line begins with before each of its numbers, as bytes in latin1, and where the numbers go. */
interface Template {
  readonly parts: readonly string[];
  /** Undefined for numbers that nobody wants. */
  readonly columns: readonly (Column | undefined)[];
  readonly table: Table;
  /** Whether only some names are wanted and it has a number for each: then a line that has them at its places hides none under a name that nobody wants. */
  readonly complete: boolean;
}

/** Text of a log decoded as latin1: a character a byte. */
type ByteText = string;

export class MetricLines {
  /** Lines with a `loss` are of training steps, the others of evaluations. */
  readonly training = new Table();
  readonly evaluation = new Table();
  /** Lines that are no JSON object with a step. */
  broken = 0;
  private readonly templates: Template[] = [];
  private readonly wanted: ReadonlySet<string> | undefined;

  /** `wanted` are the names whose numbers are read, besides the loss and those of the axes; all if not given. */
  constructor(wanted?: Iterable<string>) {
    this.wanted = wanted && new Set([...wanted, ...ALWAYS]);
  }

  get bytes(): number {
    return this.training.bytes + this.evaluation.bytes;
  }

  /** Reads whole lines, each with its end. */
  add(text: ByteText): void {
    for (let start = 0; start < text.length; ) {
      const end = text.indexOf("\n", start);
      this.addLine(text, start, end);
      start = end + 1;
    }
  }

  private addLine(text: ByteText, start: number, end: number): void {
    for (const template of this.templates) {
      if (fill(template, text, start, end)) {
        template.table.endRow();
        return;
      }
      template.table.dropRow();
    }
    this.addUnknown(text.slice(start, end));
  }

  private addUnknown(line: ByteText): void {
    const values = parsed(line);
    if (values === undefined || !Number.isFinite(values.step)) {
      this.broken++;
      return;
    }
    const table = "loss" in values ? this.training : this.evaluation;
    const names = Object.keys(values);
    const columns = names.map((name) => this.columnOf(table, name, values[name]));
    columns.forEach((column, i) => {
      if (column !== undefined) column.values[table.rows] = (values[names[i]!] as number | null) ?? Number.NaN;
    });
    table.endRow();
    const parts = line.match(/[{,]"(?:[^"\\]|\\.)*":/g) ?? [];
    const plain = parts.length === names.length && names.every((name, i) => nameIn(parts[i]!) === name);
    if (!plain || this.templates.length >= MOST_TEMPLATES) return;
    const read = new Set(names.filter((_, i) => columns[i] !== undefined));
    const complete = this.wanted !== undefined && [...this.wanted].every((name) => read.has(name));
    this.templates.push({ parts, columns, table, complete });
  }

  private columnOf(table: Table, name: string, value: unknown): Column | undefined {
    if (typeof value !== "number" && value !== null) return undefined;
    return this.wanted?.has(name) === false ? undefined : table.column(name);
  }
}

/**
 * Reads a line by a template. False where it is another; what was set is then to be dropped. What nobody wants is passed over from
 * comma to comma where the template has all that is wanted.
 */
function fill({ parts, columns, table, complete }: Template, text: ByteText, start: number, end: number): boolean {
  if (text.charCodeAt(start) !== OPEN || text.charCodeAt(end - 1) !== CLOSE) return false;
  let at = start;
  for (let i = 0; i < parts.length; i++) {
    const column = columns[i];
    if ((column !== undefined || !complete) && !text.startsWith(parts[i]!, at)) return false;
    const from = at + (column === undefined ? 1 : parts[i]!.length);
    const comma = text.indexOf(",", from);
    const isLast = i === parts.length - 1;
    const stop = isLast ? end - 1 : comma;
    if (stop <= from || stop >= end || (isLast && comma >= 0 && comma < end)) return false;
    if (column !== undefined) {
      const written = text.slice(from, stop);
      const value = Number(written);
      // null is a number that was not finite; whatever else is no number is for JSON.parse to say.
      if (Number.isNaN(value) && written !== "null") return false;
      column.values[table.rows] = value;
    }
    at = stop;
  }
  return true;
}

function parsed(line: ByteText): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(line, "latin1").toString());
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}

/** The name in `,"name":`. */
function nameIn(part: ByteText): string {
  return JSON.parse(Buffer.from(part.slice(1, -1), "latin1").toString()) as string;
}
