/** What a check of data is: it sees rows one by one and says what it has found. */

import type { RowOrigin } from "../data/example.ts";
import type { InspectedRow } from "./row.ts";

export interface Check {
  /** Sees a row to train on. */
  see(row: InspectedRow): void;
  /** Sees a held-out row, after all rows to train on. */
  seeHeldOut?(row: InspectedRow): void;
  /** What was found; nothing in clean data. */
  findings(): Finding[];
}

export interface Finding {
  readonly name: string;
  /** `problem`: training learns something wrong from it; `warning`: it may; `note`: worth knowing. */
  readonly level: Level;
  readonly count: number;
  /** Count among the rows that could have it. */
  readonly share: number;
  /** The first rows, and what is to see there. */
  readonly rows: readonly FoundRow[];
  /** Why it matters. */
  readonly why: string;
  /** What to do, with the flag that does it where there is one. */
  readonly remedy: string;
}

export type Level = "problem" | "warning" | "note";

interface FoundRow {
  readonly origin: RowOrigin;
  readonly detail?: string;
}

/** Counts rows of one kind and keeps the first. */
export class Tally {
  count = 0;
  readonly rows: FoundRow[] = [];

  constructor(private readonly named: number) {}

  add(origin: RowOrigin, detail?: string): void {
    this.count++;
    if (this.rows.length < this.named) this.rows.push(detail === undefined ? { origin } : { origin, detail });
  }

  /** As a finding among `total` rows; none where nothing was counted. */
  finding(about: Pick<Finding, "name" | "level" | "why" | "remedy">, total: number): Finding[] {
    const { count, rows } = this;
    return count === 0 ? [] : [{ ...about, count, share: count / total, rows }];
  }
}
