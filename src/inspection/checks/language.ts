/**
 * Answers in another language than their prompt. A text's language is told by its script, and for languages in Latin script by
 * which one's most frequent words it has; short texts have none.
 */

import { type Check, Tally } from "../check.ts";

/** Scripts that tell a language or a family of them; Japanese mixes its own with Han. */
const SCRIPTS: readonly (readonly [string, RegExp])[] = [
  ["Japanese", /[\u3040-\u30ff]/g],
  ["Korean", /[\uac00-\ud7af\u1100-\u11ff]/g],
  ["Chinese", /[\u4e00-\u9fff\u3400-\u4dbf]/g],
  ["Cyrillic", /[\u0400-\u052f]/g],
  ["Arabic", /[\u0600-\u06ff\u0750-\u077f]/g],
  ["Hebrew", /[\u0590-\u05ff]/g],
  ["Greek", /[\u0370-\u03ff]/g],
  ["Devanagari", /[\u0900-\u097f]/g],
  ["Thai", /[\u0e00-\u0e7f]/g],
];

/** Frequent words that no other of these languages has, or has as often. */
const WORDS: Readonly<Record<string, string>> = {
  English: "the and of to is that it you with this are not have for",
  German: "der die und das ist nicht ein ich zu mit sie den auf eine auch",
  French: "le les des et est une dans que pour qui pas vous sur avec ce",
  Spanish: "el los las y es una que por con para del se lo como su",
  Italian: "il di che è una per non della sono gli con anche del nel ho",
  Portuguese: "o os uma não que com para em da do é mais por você ao",
  Dutch: "de het een en van ik niet dat zijn met op voor je maar ook",
  Polish: "się nie jest na że do to w z jak ale przez od dla czy",
  Turkish: "bir ve bu için çok ile da ne var ben daha olarak gibi",
};

const LANGUAGES = Object.keys(WORDS);
const LANGUAGES_OF = new Map<string, number[]>();
LANGUAGES.forEach((language, i) => {
  for (const word of WORDS[language]!.split(" ")) LANGUAGES_OF.set(word, [...(LANGUAGES_OF.get(word) ?? []), i]);
});

/** As much of a text as is looked at. */
const LOOK = 320;
/** A language needs this many frequent words, and half as many again as the next. */
const LEAST_WORDS = 4;
const LEAD = 1.5;

/** The language or script of a text; undefined where it can't be told. */
export function languageOf(text: string): string | undefined {
  const start = text.slice(0, LOOK);
  return scriptOf(start) ?? latinLanguageOf(start);
}

function scriptOf(text: string): string | undefined {
  // Nearly every text is plain: none of the scripts is then looked for.
  if (!/[\u0370-\u1fff\u2e80-\uffff]/.test(text)) return undefined;
  const letters = text.match(/\p{L}/gu)?.length ?? 0;
  return SCRIPTS.find(([, script]) => 3 * (text.match(script)?.length ?? 0) > letters && letters >= 6)?.[0];
}

function latinLanguageOf(text: string): string | undefined {
  const counts = new Float64Array(LANGUAGES.length);
  for (const word of text.toLowerCase().split(/[\s.,!?;:"()]+/)) {
    const languages = LANGUAGES_OF.get(word);
    if (languages) for (const i of languages) counts[i]! += 1 / languages.length;
  }
  const order = LANGUAGES.map((_, i) => i).sort((a, b) => counts[b]! - counts[a]!);
  const [first, second] = [counts[order[0]!]!, counts[order[1]!]!];
  return first >= LEAST_WORDS && first >= LEAD * second ? LANGUAGES[order[0]!] : undefined;
}

export function language(named: number): Check {
  const mixed = new Tally(named);
  const rows = new Map<string, Tally>();
  let total = 0;
  return {
    see({ origin, prompt, completions }) {
      total++;
      const asked = languageOf(prompt.slice(-LOOK));
      const answers = completions.map(({ role, text }) => ({ role, language: languageOf(text) }));
      const other = answers.find(
        (answer) => asked !== undefined && answer.language !== undefined && answer.language !== asked,
      );
      if (other) mixed.add(origin, `prompt ${asked}, ${other.role} ${other.language}`);
      const own = answers[0]?.language ?? asked;
      if (own === undefined) return;
      const tally = rows.get(own) ?? new Tally(named);
      rows.set(own, tally);
      tally.add(origin, own);
    },
    findings() {
      const [most, ...others] = [...rows].sort(([, a], [, b]) => b.count - a.count);
      return [
        ...mixed.finding(
          {
            name: "answers in another language than the prompt",
            level: "warning",
            why: "Unless they are translations, the model learns to leave the user's language.",
            remedy: "Look at them, and remove those that are no translations.",
          },
          total,
        ),
        ...(most ? others : []).flatMap(([name, tally]) =>
          tally.finding(
            {
              name: `rows in ${name}`,
              level: "note",
              why: `Most rows are in ${most![0]}. A few in another language teach little of it, and an evaluation of all says little of them.`,
              remedy: "Mean it, or remove them.",
            },
            total,
          ),
        ),
      ];
    },
  };
}
