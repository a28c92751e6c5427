/** Markdown that reference pages are made of. */

export function code(text: string): string {
  return `\`${text}\``;
}

/** Beyond this many characters a column is not padded: nobody sees its right end in a line of text. */
const WIDEST = 48;

/** A table with columns of one width, but for wide ones. */
export function table(heads: readonly string[], rows: readonly (readonly string[])[]): string {
  const cells = [heads, ...rows].map((row) => row.map((text) => text.replaceAll("|", "\\|")));
  const widths = heads.map((_, column) => {
    const longest = Math.max(3, ...cells.map((row) => row[column]!.length));
    return longest > WIDEST ? 3 : longest;
  });
  const line = (row: readonly string[]) => `| ${row.map((text, i) => text.padEnd(widths[i]!)).join(" | ")} |`;
  const rule = line(widths.map((width) => "-".repeat(width)));
  return [line(cells[0]!), rule, ...cells.slice(1).map(line)].join("\n");
}
