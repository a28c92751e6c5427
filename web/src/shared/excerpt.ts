/** A line of a source file, found by what it says, so that a figure shows the code as it is. */

export interface Excerpt {
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
}

/** The first line that contains the text. Throws where there is none: the figure would show code that is gone. */
export function excerpt(path: string, source: string, text: string): Excerpt {
  const lines = source.split("\n");
  const index = lines.findIndex((line) => line.includes(text));
  if (index < 0) throw new Error(`${path} has no line with: ${text}`);
  return { path, line: index + 1, text: lines[index]!.trim() };
}
