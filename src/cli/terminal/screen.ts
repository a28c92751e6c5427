/** The terminal, or the file or pipe in its place: lines that stay, and one line that is written over. */

import { styleText } from "node:util";

export type Style = "bold" | "dim" | "green" | "red" | "yellow" | "cyan";
export type Paint = (style: Style, text: string) => string;

/** Text as it is, for what is not a terminal. */
export const plain: Paint = (_, text) => text;

/** What is used of a stream: process.stdout is one. */
export interface ScreenStream {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
  hasColors?(): boolean;
}

/** Lines are not made longer than this where nothing says how wide they may be. */
const defaultWidth = 100;

export class Screen {
  /** Whether a line can be written over. */
  readonly interactive: boolean;
  /** Colours, where the terminal has them and NO_COLOR does not forbid them. */
  readonly paint: Paint;
  private readonly stream: ScreenStream;
  private statusShown = false;

  /** `term` is what kind of terminal it is: one that is `dumb` knows no line to be written over. */
  constructor(stream: ScreenStream, term: string | undefined = process.env.TERM) {
    this.stream = stream;
    this.interactive = stream.isTTY === true && term !== "dumb";
    const colours = stream.isTTY === true && stream.hasColors?.() === true;
    this.paint = colours ? (style, text) => styleText(style, text, { validateStream: false }) : plain;
  }

  get width(): number {
    return this.stream.columns || defaultWidth; // Some terminals say that they have 0 columns.
  }

  /** Writes lines that stay. */
  print(...lines: readonly string[]): void {
    this.clearStatus();
    for (const line of lines) this.stream.write(`${line}\n`);
  }

  /** Writes a line in the place of the last one that `status` wrote. Does nothing where lines can't be written over. */
  status(line: string): void {
    if (!this.interactive) return;
    this.stream.write(`\r${line}\u001b[K`);
    this.statusShown = true;
  }

  clearStatus(): void {
    if (this.statusShown) this.stream.write("\r\u001b[K");
    this.statusShown = false;
  }
}
