/** Tables in the terminal: texts beside their labels, and columns of cells. */

import type { Paint } from "./screen.ts";
import { padEnd, padStart, textWidth, wrap } from "./text.ts";

/** Each text wrapped to `width` beside its label. */
export function labelledLines(
  rows: readonly (readonly [label: string, text: string])[],
  { width, labelWidth, paint }: { readonly width: number; readonly labelWidth: number; readonly paint: Paint },
): string[] {
  return rows.flatMap(([label, text]) =>
    wrap(text, width - labelWidth).map((line, i) => paint("dim", padEnd(i === 0 ? label : "", labelWidth)) + line),
  );
}

/** Rows of as many cells each, the first column to the left and the others to the right; the first row, its heads, is dim. */
export function columnLines(rows: readonly (readonly string[])[], paint: Paint, gap: number): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((cells) => textWidth(cells[column]!))));
  const [heads, ...lines] = rows.map((cells) =>
    cells
      .map((cell, i) => (i === 0 ? padEnd(cell, widths[i]!) : padStart(cell, widths[i]! + gap)))
      .join("")
      .trimEnd(),
  );
  return [paint("dim", heads!), ...lines];
}
