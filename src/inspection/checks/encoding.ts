/** Texts that were garbled on their way (garbled.ts), control characters other than tab and line ends, HTML entities that were never decoded. */

import { excerptAround, LOST, MOJIBAKE } from "../../data/garbled.ts";
import { type Check, Tally } from "../check.ts";

// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for.
const CONTROL = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]/;
const ENTITY = /&(?:amp|lt|gt|quot|nbsp|#39|#x27);/;

const kinds = [
  {
    pattern: LOST,
    name: "characters that were lost",
    level: "problem",
    why: "U+FFFD stands where a decoder could not read bytes, or half a character is left. The model learns to write it.",
    remedy: "Make the file again from its source, read as UTF-8; --drop garbled leaves them out.",
  },
  {
    pattern: MOJIBAKE,
    name: "text in the wrong encoding",
    level: "warning",
    why: "UTF-8 was read as Latin-1 or Windows-1252 (é as Ã©). The model learns to write it so.",
    remedy:
      "Mend the texts (in Python: ftfy.fix_text), or make the file again read as UTF-8; --drop garbled leaves them out.",
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

export function encoding(named: number): Check {
  const tallies = kinds.map((kind) => ({ ...kind, tally: new Tally(named) }));
  let rows = 0;
  return {
    see({ origin, prompt, completions }) {
      rows++;
      const texts = [prompt, ...completions.map(({ text }) => text)];
      for (const { pattern, tally } of tallies) {
        const found = excerptAround(pattern, texts);
        if (found !== undefined) tally.add(origin, found);
      }
    },
    findings: () =>
      tallies.flatMap(({ tally, name, level, why, remedy }) => tally.finding({ name, level, why, remedy }, rows)),
  };
}
