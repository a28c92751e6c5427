/**
 * Texts whose bytes were read in the wrong encoding somewhere on their way, or lost:
 * - U+FFFD, which a decoder writes in the place of bytes that it can't read, and halves of surrogate pairs;
 * - mojibake: UTF-8 read as Windows-1252 or Latin-1, where `é` becomes `Ã©` and `’` becomes `â€™`;
 * - control characters other than tab and line ends, and HTML entities that were never decoded.
 */

import { type Check, Tally } from "../check.ts";

const REPLACED = /\ufffd|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;
/** The second and third bytes of UTF-8, 0x80 to 0xbf, as Windows-1252 shows them. */
const CONTINUATION = "[\\u0080-\\u00bf€‚ƒ„…†‡ˆ‰Š‹ŒŽ‘’“”•–—˜™š›œžŸ]";
const MOJIBAKE = new RegExp(
  `[ÃÅÐ]${CONTINUATION}|Â[\\u00a0-\\u00bf]|â€${CONTINUATION}|â[\\u0080-\\u009f]|ð(?:Ÿ|\\u009f)|ï»¿`,
);
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
const ENTITY = /&(?:amp|lt|gt|quot|nbsp|#39|#x27);/;

const kinds = [
  {
    pattern: REPLACED,
    name: "characters that were lost",
    level: "problem",
    why: "U+FFFD stands where a decoder could not read bytes, or half a character is left. The model learns to write it.",
    remedy: "Make the file again from its source, read as UTF-8.",
  },
  {
    pattern: MOJIBAKE,
    name: "text in the wrong encoding",
    level: "warning",
    why: "UTF-8 was read as Latin-1 or Windows-1252 (é as Ã©). The model learns to write it so.",
    remedy: "Mend the texts (in Python: ftfy.fix_text), or make the file again read as UTF-8.",
  },
  {
    pattern: CONTROL,
    name: "control characters",
    level: "note",
    why: "They show nothing and take tokens that no prompt will have.",
    remedy: "Remove them from the texts.",
  },
  {
    pattern: ENTITY,
    name: "undecoded HTML entities",
    level: "note",
    why: "&amp; and its kind are left from a web page. The model learns to write them.",
    remedy: "Decode them, unless the answers are about HTML.",
  },
] as const;

/** How much of a text is shown where it is wrong. */
const AROUND = 12;

export function encoding(named: number): Check {
  const tallies = kinds.map((kind) => ({ ...kind, tally: new Tally(named) }));
  let rows = 0;
  return {
    see({ origin, prompt, completions }) {
      rows++;
      const texts = [prompt, ...completions.map(({ text }) => text)];
      for (const { pattern, tally } of tallies) {
        for (const text of texts) {
          const at = text.search(pattern);
          if (at < 0) continue;
          tally.add(origin, JSON.stringify(text.slice(Math.max(0, at - AROUND), at + AROUND)));
          break;
        }
      }
    },
    findings: () =>
      tallies.flatMap(({ tally, name, level, why, remedy }) => tally.finding({ name, level, why, remedy }, rows)),
  };
}
