/**
 * Keys and values of the tokens seen so far: one flat list of rows for all sequences, in order of arrival. A row has an
 * owner, a prompt or one sequence that continues it, and a sequence sees the rows of its prompt and its own. So a prompt
 * stands once for all its samples, nothing is padded, and what is done with leaves its rows to be closed up.
 */

import type { Value } from "../runtime/runtime.ts";
import { cacheParts, ownOutput, PAST_POSITIONS, pastInput } from "./decode.ts";

/** A token on its way into the cache. */
export interface CacheRow {
  readonly owner: number;
  readonly position: number;
  /** The owner whose rows it sees besides its own: the prompt's; for a token of a prompt itself, the prompt's again. */
  readonly prompt: number;
}

const INITIAL_ROWS = 256;

export class KeyValueCache {
  private readonly width: number;
  private readonly buffers: Map<string, Float32Array<ArrayBuffer>>;
  private owners = new Int32Array(INITIAL_ROWS);
  private positions = new BigInt64Array(INITIAL_ROWS);
  private rows = 0;

  /** An empty cache for `layers` layers whose keys and values have `width` elements each. */
  constructor(layers: number, width: number) {
    this.width = width;
    this.buffers = new Map(cacheParts(layers).map((part) => [part, new Float32Array(INITIAL_ROWS * width)]));
  }

  /** Cached tokens. */
  get length(): number {
    return this.rows;
  }

  /** The past as inputs of the decode program: views [length, width] and [length], without a copy. */
  past(): Record<string, Value> {
    const dims = [this.rows, this.width];
    const parts = [...this.buffers].map(([part, data]) => [
      pastInput(part),
      { dims, data: data.subarray(0, this.rows * this.width) },
    ]);
    const positions = { dims: [this.rows], data: this.positions.subarray(0, this.rows) };
    return { ...Object.fromEntries(parts), [PAST_POSITIONS]: positions };
  }

  /** Who sees whom when these rows are appended: 0 where a row may look, -infinity where not [rows, length + rows]. */
  mask(added: readonly CacheRow[]): Value {
    const columns = this.rows + added.length;
    const data = new Float32Array(added.length * columns).fill(Number.NEGATIVE_INFINITY);
    added.forEach(({ owner, prompt }, i) => {
      const start = i * columns;
      for (let j = 0; j < this.rows; j++) {
        if (this.owners[j] === owner || this.owners[j] === prompt) data[start + j] = 0;
      }
      for (let j = 0; j <= i; j++) {
        if (added[j]!.owner === owner) data[start + this.rows + j] = 0;
      }
    });
    return { dims: [added.length, columns], data };
  }

  /** Appends rows with the keys and values that the decode program made for them. */
  append(added: readonly CacheRow[], outputs: Readonly<Record<string, Value>>): void {
    this.reserve(this.rows + added.length);
    for (const [part, data] of this.buffers) {
      data.set(outputs[ownOutput(part)]!.data as Float32Array, this.rows * this.width);
    }
    this.owners.set(
      added.map(({ owner }) => owner),
      this.rows,
    );
    this.positions.set(
      added.map(({ position }) => BigInt(position)),
      this.rows,
    );
    this.rows += added.length;
  }

  /** Closes up the rows whose owners are gone, once they are the larger part: moving rows costs as much as reading them. */
  collect(isLive: (owner: number) => boolean): void {
    const kept: number[] = [];
    for (let row = 0; row < this.rows; row++) if (isLive(this.owners[row]!)) kept.push(row);
    if (2 * kept.length > this.rows) return;
    kept.forEach((from, to) => {
      this.owners[to] = this.owners[from]!;
      this.positions[to] = this.positions[from]!;
      for (const data of this.buffers.values()) {
        data.copyWithin(to * this.width, from * this.width, (from + 1) * this.width);
      }
    });
    this.rows = kept.length;
  }

  private reserve(rows: number): void {
    if (rows <= this.owners.length) return;
    const capacity = Math.max(rows, 2 * this.owners.length);
    const owners = new Int32Array(capacity);
    owners.set(this.owners);
    this.owners = owners;
    const positions = new BigInt64Array(capacity);
    positions.set(this.positions);
    this.positions = positions;
    for (const [part, data] of this.buffers) {
      const grown = new Float32Array(capacity * this.width);
      grown.set(data.subarray(0, this.rows * this.width));
      this.buffers.set(part, grown);
    }
  }
}
