/** A run's metrics.jsonl in columns, which follows the file: only new bytes are read, and all of it again where it was cut back. */

import { setImmediate } from "node:timers/promises";
import { type OpenFile, openFile, readRange } from "./files.ts";
import { MetricLines } from "./metric-lines.ts";

/** Read at once; between them other requests are served. Ten milliseconds to parse. */
const CHUNK = 2 ** 20;
/** No line of this program comes near; what has no end until there is not read on. */
const LONGEST_LINE = 2 ** 24;
/** Bytes before what is to be read next that tell whether the file is still the one that was read. */
const MARK = 256;

const NEWLINE = 10;
/** Names of evaluations begin so. */
const EVALUATION = Buffer.from('"eval_');

/** What is read of a log. */
export interface LogPart {
  /** Whether lines of training steps are left out: without them it is searched ten times as fast. */
  readonly evaluationsOnly?: boolean;
  /** The names whose numbers are read, all if not given: a few take half the time and little memory. */
  readonly wanted?: ReadonlySet<string>;
}

export class MetricLog {
  lines: MetricLines;
  /** Where the next line begins that was not read. */
  position = 0;
  private mark: Buffer = Buffer.alloc(0);
  private inode = -1;
  private reading: Promise<void> | undefined;

  constructor(
    readonly path: string,
    private readonly part: LogPart = {},
  ) {
    this.lines = new MetricLines(part.wanted);
  }

  /** Reads what is new. A file that is gone has no lines. */
  async catchUp(): Promise<void> {
    this.reading ??= this.readOn().finally(() => {
      this.reading = undefined;
    });
    await this.reading;
  }

  private async readOn(): Promise<void> {
    await using file = await openFile(this.path);
    if (file === undefined) {
      this.forget();
      return;
    }
    if (!(await this.isSame(file))) this.forget();
    this.inode = file.inode;
    let [chunk, skipping] = [CHUNK, false];
    while (this.position < file.size) {
      const bytes = await readRange(file, this.position, Math.min(file.size, this.position + chunk));
      if (bytes.length === 0) break;
      const end = bytes.lastIndexOf(NEWLINE) + 1;
      if (end > 0) {
        this.add(skipping ? bytes.subarray(bytes.indexOf(NEWLINE) + 1, end) : bytes.subarray(0, end));
        [chunk, skipping] = [CHUNK, false];
        this.moveOn(bytes.subarray(0, end));
      } else if (skipping || bytes.length >= LONGEST_LINE) {
        if (!skipping) this.lines.broken++;
        skipping = true;
        this.moveOn(bytes);
      } else if (this.position + bytes.length >= file.size) {
        break; // Half a line: the rest of it is still to be written.
      } else {
        chunk *= 2;
      }
      await setImmediate();
    }
  }

  private add(bytes: Buffer): void {
    if (!this.part.evaluationsOnly) {
      this.lines.add(bytes.toString("latin1"));
      return;
    }
    for (let at = bytes.indexOf(EVALUATION); at >= 0; ) {
      const end = bytes.indexOf(NEWLINE, at) + 1;
      this.lines.add(bytes.toString("latin1", bytes.lastIndexOf(NEWLINE, at) + 1, end));
      at = bytes.indexOf(EVALUATION, end);
    }
  }

  private moveOn(bytes: Buffer): void {
    this.position += bytes.length;
    this.mark = Buffer.from(bytes.subarray(-MARK));
  }

  private async isSame(file: OpenFile): Promise<boolean> {
    if (this.position === 0) return true;
    if (file.inode !== this.inode || file.size < this.position) return false;
    const before = await readRange(file, this.position - this.mark.length, this.position);
    return before.equals(this.mark);
  }

  private forget(): void {
    this.lines = new MetricLines(this.part.wanted);
    this.position = 0;
    this.mark = Buffer.alloc(0);
  }
}
