/** The text of simple HTML, as posts have it: paragraphs and lists as lines, code in Markdown's marks, everything else its words. */

const NAMED: Readonly<Record<string, string>> = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: " " };

/** Tags that end a paragraph, and those that end a line. */
const PARAGRAPH = /<\/?(?:p|div|pre|ul|ol|blockquote|h[1-6]|table|hr)(?:\s[^<>]*)?\/?>/gi;
const LINE = /<(?:br|\/li|\/tr)(?:\s[^<>]*)?\/?>/gi;

/** The text of HTML; a text without any tag stays as it is. */
export function textOfHtml(html: string): string {
  if (!/<\/?[a-z][^<>]*>/i.test(html)) return html;
  return decodeEntities(
    html
      .replace(/<pre(?:\s[^<>]*)?>\s*<code(?:\s[^<>]*)?>/gi, "<p>```\n")
      .replace(/\n?<\/code>\s*<\/pre>/gi, "\n```<p>")
      .replace(/<\/?code(?:\s[^<>]*)?>/gi, "`")
      .replace(/<li(?:\s[^<>]*)?>/gi, "- ")
      .replace(LINE, "\n")
      .replace(PARAGRAPH, "\n\n")
      .replace(/<\/?[a-z][^<>]*>/gi, ""),
  )
    .replace(/\n{3,}/g, "\n\n")
    .trim();
}

function decodeEntities(text: string): string {
  return text.replace(/&(?:#(\d{1,7})|#x([\da-f]{1,6})|([a-z]+));/gi, (entity, decimal, hex, name: string) => {
    const code = decimal ? Number(decimal) : hex ? Number.parseInt(hex as string, 16) : undefined;
    if (code === undefined) return NAMED[name.toLowerCase()] ?? entity;
    return code <= 0x10ffff ? String.fromCodePoint(code) : entity;
  });
}
