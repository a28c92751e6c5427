/** Lines of a log as columns: one array of doubles a name, NaN where a line has no such number. */

import type { Axis } from "./protocol.ts";

/** A log of this program has some forty names. One with thousands is not of it, and would take all memory. */
const MOST_COLUMNS = 500;

export class Table {
  rows = 0;
  private capacity = 64;
  private readonly columns = new Map<string, Float64Array>();
  private readonly axes = new Map<Axis, { values: Float64Array; rows: number }>();

  /** The names that any line has, in the order in which they came up. */
  get names(): string[] {
    return [...this.columns.keys()];
  }

  get bytes(): number {
    return 8 * this.capacity * (this.columns.size + this.axes.size);
  }

  /** Adds a column, of NaN so far. False where there are too many. */
  add(name: string): boolean {
    if (this.columns.has(name)) return true;
    if (this.columns.size >= MOST_COLUMNS) return false;
    this.columns.set(name, new Float64Array(this.capacity).fill(Number.NaN));
    return true;
  }

  /** Sets a number of the row that `endRow` will count. */
  set(name: string, value: number): void {
    const column = this.columns.get(name);
    if (column !== undefined) column[this.rows] = value;
  }

  /** Forgets what was set of a row that turned out to be none. */
  dropRow(): void {
    for (const column of this.columns.values()) column[this.rows] = Number.NaN;
  }

  endRow(): void {
    this.rows++;
    if (this.rows === this.capacity) this.grow();
  }

  private grow(): void {
    this.capacity *= 2;
    for (const [name, column] of this.columns) {
      const larger = new Float64Array(this.capacity);
      larger.set(column);
      this.columns.set(name, larger.fill(Number.NaN, column.length));
    }
  }

  /** The numbers of a name [rows]; undefined where no line has it. */
  values(name: string): Float64Array | undefined {
    return this.columns.get(name)?.subarray(0, this.rows);
  }

  /**
   * Where each row is on an axis [rows], never decreasing (a clock may be set back): NaN before the first line that says so, and
   * undefined where none does.
   */
  axis(axis: Axis): Float64Array | undefined {
    const column = this.columns.get(axis);
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
