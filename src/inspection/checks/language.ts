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

/** What a character is that is no letter of these words: one of another word, or what parts words. */
const [OTHER, BREAK] = [0, 1];

/**
 * All these words as one automaton, so that no string is made of a text's words: `letters` has a number for every character that they
 * are made of, `next` the state after a state and a letter, `languages` whose word a state is the end of. State 0 is a word's
 * beginning, 1 a word that is none of these.
 */
const { letters, next, languages, width } = automaton();

function automaton() {
  const alphabet = [...new Set(Object.values(WORDS).join(""))].filter((letter) => letter !== " ");
  const letters = new Uint8Array(0x250);
  for (let code = 0; code < letters.length; code++) {
    const character = String.fromCharCode(code);
    const place = alphabet.indexOf(character.toLowerCase());
    letters[code] = /[\s.,!?;:"()]/.test(character) ? BREAK : place < 0 ? OTHER : 2 + place;
  }
  const width = alphabet.length + 2;
  const rows: number[][] = [[], []];
  const languages: number[][] = [[], []];
  for (const [i, language] of LANGUAGES.entries()) {
    for (const word of WORDS[language]!.split(" ")) {
      let state = 0;
      for (const character of word) {
        const letter = letters[character.charCodeAt(0)]!;
        if (rows[state]![letter] === undefined) {
          rows[state]![letter] = rows.push([]) - 1;
          languages.push([]);
        }
        state = rows[state]![letter]!;
      }
      languages[state]!.push(i);
    }
  }
  const next = new Uint16Array(rows.length * width).fill(1);
  rows.forEach((row, state) => {
    row.forEach((to, letter) => {
      next[state * width + letter] = to;
    });
  });
  return { letters, next, languages, width };
}

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
  let state = 0;
  for (let i = 0; i <= text.length; i++) {
    const letter = i < text.length ? letterAt(text, i) : BREAK;
    if (letter !== BREAK) {
      state = next[state * width + letter]!;
      continue;
    }
    const found = languages[state]!;
    for (const language of found) counts[language]! += 1 / found.length;
    state = 0;
  }
  const [first, second] = counts.toSorted().reverse();
  return first! >= LEAST_WORDS && first! >= LEAD * second! ? LANGUAGES[counts.indexOf(first!)] : undefined;
}

function letterAt(text: string, at: number): number {
  const code = text.charCodeAt(at);
  if (code < letters.length) return letters[code]!;
  return /\s/.test(text[at]!) ? BREAK : OTHER;
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
              remedy: "Leave them in if they are meant, or remove them.",
            },
            total,
          ),
        ),
      ];
    },
  };
}
