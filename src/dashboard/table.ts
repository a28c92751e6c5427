/** Lines of a log as columns: one array of doubles a name, NaN where a line has no such number. */

import type { Axis } from "./protocol.ts";

/** The numbers of a name; those beyond the table's rows are NaN, but for what was set of the row that comes next. */
export interface Column {
  values: Float64Array;
}

/** A log of this program has some forty names. One with thousands is not of it, and would take all memory. */
const MOST_COLUMNS = 500;

export class Table {
  rows = 0;
  private capacity = 64;
  private readonly columns = new Map<string, Column>();
  private readonly axes = new Map<Axis, { values: Float64Array; rows: number }>();

  /** The names that any line has, in the order in which they came up. */
  get names(): string[] {
    return [...this.columns.keys()];
  }

  get bytes(): number {
    return 8 * this.capacity * (this.columns.size + this.axes.size);
  }

  /** The column of a name, which is made where there is none; undefined where there are too many. Its value at `rows` is the next row's. */
  column(name: string): Column | undefined {
    const known = this.columns.get(name);
    if (known !== undefined || this.columns.size >= MOST_COLUMNS) return known;
    const column = { values: new Float64Array(this.capacity).fill(Number.NaN) };
    this.columns.set(name, column);
    return column;
  }

  /** Forgets what was set of a row that turned out to be none. */
  dropRow(): void {
    for (const { values } of this.columns.values()) values[this.rows] = Number.NaN;
  }

  endRow(): void {
    this.rows++;
    if (this.rows === this.capacity) this.grow();
  }

  private grow(): void {
    this.capacity *= 2;
    for (const column of this.columns.values()) {
      const larger = new Float64Array(this.capacity);
      larger.set(column.values);
      column.values = larger.fill(Number.NaN, column.values.length);
    }
  }

  /** The numbers of a name [rows]; undefined where no line has it. */
  values(name: string): Float64Array | undefined {
    return this.columns.get(name)?.values.subarray(0, this.rows);
  }

  /**
   * Where each row is on an axis [rows], never decreasing (a clock may be set back): NaN before the first line that says so, and
   * undefined where none does.
   */
  axis(axis: Axis): Float64Array | undefined {
    const column = this.values(axis);
    if (column === undefined) return undefined;
    let known = this.axes.get(axis);
    if (known === undefined || known.values.length < this.capacity) {
      const values = new Float64Array(this.capacity);
      if (known) values.set(known.values);
      known = { values, rows: known?.rows ?? 0 };
      this.axes.set(axis, known);
    }
    const { values } = known;
    let furthest = known.rows === 0 ? Number.NaN : values[known.rows - 1]!;
    for (; known.rows < this.rows; known.rows++) {
      const value = column[known.rows]!;
      if (Number.isFinite(value) && !(value < furthest)) furthest = value;
      values[known.rows] = furthest;
    }
    return values.subarray(0, this.rows);
  }
}

/** The rows [start, end) of an axis that lie within the bounds. */
export function rowsWithin(axis: Float64Array, from = -Infinity, to = Infinity): [start: number, end: number] {
  return [firstWhere(axis, (value) => value >= from), firstWhere(axis, (value) => value > to)];
}

/** The first index whose value has a property that all after it have too, as what is NaN at the beginning has not. */
function firstWhere(values: Float64Array, holds: (value: number) => boolean): number {
  let [low, high] = [0, values.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(values[middle]!)) high = middle;
    else low = middle + 1;
  }
  return low;
}
