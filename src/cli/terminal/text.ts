/** Text in terminal cells: how wide it is, cut and wrapped to a width, and safe to print. */

const graphemes = new Intl.Segmenter("en", { granularity: "grapheme" });

/** East Asian wide and fullwidth blocks (UAX 11), which take two cells; emoji do too. */
const wide =
  /^(?:[\u1100-\u115f\u2e80-\u303e\u3041-\ua4cf\ua960-\ua97f\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}\u{20000}-\u{3fffd}]|\p{Emoji_Presentation}|.\ufe0f)/u;
const zeroWidth = /^[\p{Mark}\p{Format}\u200b]+$/u;

function cells(grapheme: string): number {
  if (zeroWidth.test(grapheme)) return 0;
  return wide.test(grapheme) ? 2 : 1;
}

/** Terminal cells of a line without control characters. */
export function textWidth(text: string): number {
  let width = 0;
  for (const { segment } of graphemes.segment(text)) width += cells(segment);
  return width;
}

/** Fills a line with spaces up to a width. */
export function padEnd(text: string, width: number): string {
  return text + " ".repeat(Math.max(0, width - textWidth(text)));
}

export function padStart(text: string, width: number): string {
  return " ".repeat(Math.max(0, width - textWidth(text))) + text;
}

/** The beginning of a line that fits, with an ellipsis where something is left out. */
export function clip(text: string, width: number): string {
  if (textWidth(text) <= width) return text;
  return width < 1 ? "" : `${width === 1 ? "" : split(text, width - 1)[0]}…`;
}

/** A text's lines, each broken between words so that none is wider than `width`; a longer word is cut. */
export function wrap(text: string, width: number): string[] {
  return printable(text)
    .split("\n")
    .flatMap((line) => wrapLine(line.trimEnd(), Math.max(1, width)));
}

function wrapLine(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = "";
  for (let word of text.split(/(?<=\s)(?=\S)/)) {
    if (line !== "" && textWidth((line + word).trimEnd()) > width) {
      lines.push(line.trimEnd());
      line = "";
    }
    while (textWidth(word.trimEnd()) > width) {
      const [head, tail] = split(word, width);
      lines.push(head);
      word = tail;
    }
    line += word;
  }
  return [...lines, line.trimEnd()];
}

/** Cuts a text after as many characters as fit, and at least one. */
function split(text: string, width: number): [string, string] {
  let end = 0;
  let used = 0;
  for (const { segment, index } of graphemes.segment(text)) {
    used += cells(segment);
    if (used > width && index > 0) break;
    end = index + segment.length;
  }
  return [text.slice(0, end), text.slice(end)];
}

/** Text without characters that would steer the terminal: a model may write any. Line breaks stay, tabs become spaces. */
export function printable(text: string): string {
  return text
    .replace(/\r\n?/g, "\n")
    .replace(/\t/g, "  ")
    .replace(/(?!\n)[\p{Control}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, "\ufffd");
}
