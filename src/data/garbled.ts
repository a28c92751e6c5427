/**
 * Texts whose bytes were read in the wrong encoding somewhere on their way, or lost:
 * - U+FFFD, which a decoder writes in the place of bytes that it can't read, and halves of surrogate pairs;
 * - mojibake: UTF-8 read as Windows-1252 or Latin-1, where `é` becomes `Ã©` and `’` becomes `â€™`.
 */

export const LOST = /\ufffd|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
/** The second and third bytes of UTF-8, 0x80 to 0xbf, as Windows-1252 shows them. */
const CONTINUATION = "[\\u0080-\\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]";
export const MOJIBAKE = new RegExp(
  `[ÃÅÐ]${CONTINUATION}|Â[\\u00a0-\\u00bf]|â€${CONTINUATION}|â[\\u0080-\\u009f]|ð(?:Ÿ|\\u009f)|ï»¿`,
);

/** How much of a text is shown where it is wrong. */
const AROUND = 12;

/** What is around the first match in any of the texts, as JSON has it. */
export function excerptAround(pattern: RegExp, texts: readonly string[]): string | undefined {
  for (const text of texts) {
    const at = text.search(pattern);
    if (at >= 0) return JSON.stringify(text.slice(Math.max(0, at - AROUND), at + AROUND));
  }
  return undefined;
}
