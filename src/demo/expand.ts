/**
 * Writing a text from a grammar of named rules.
 *
 * A rule is a list of alternatives. In an alternative `{name}` stands for a text of the rule `name`, and `*` before a word
 * marks it as one that judges (see sentiment.ts). Within one text no alternative of a rule is taken twice while another
 * is left, so a review never praises the music twice, nor calls two things "lovely".
 */

import type { Random } from "./random.ts";

/** Rules by name; an alternative that is listed twice is twice as likely. */
export type Grammar = Readonly<Record<string, readonly string[]>>;

const PLACEHOLDER = /\{(\w+)\}/g;

/** A text of the rule `start`: expanded, without marks, with "a" and "an" and the capitals of sentences put right. */
export function writeText(grammar: Grammar, start: string, random: Random): string {
  const left = new Map<string, string[]>();
  const expand = (rule: string): string => {
    if (!left.get(rule)?.length) left.set(rule, random.shuffled(alternatives(grammar, rule)));
    return left
      .get(rule)!
      .pop()!
      .replace(PLACEHOLDER, (_, name: string) => expand(name));
  };
  return withCapitals(withArticles(expand(start).replaceAll("*", "")));
}

/** The words that the rules of `grammar` mark as judging, in lower case. */
export function markedWords(grammar: Grammar): Set<string> {
  const texts = Object.values(grammar).flat();
  return new Set(texts.flatMap((text) => [...text.matchAll(/\*(\w+)/g)].map((match) => match[1]!.toLowerCase())));
}

function alternatives(grammar: Grammar, rule: string): readonly string[] {
  const found = grammar[rule];
  if (!found?.length) throw new Error(`the grammar has no rule named "${rule}"`);
  return found;
}

/** Spelling decides here, since no word of ours begins with a silent h or a sounded "you". */
function withArticles(text: string): string {
  return text.replace(/\b(a) (?=[aeiou])/gi, "$1n ");
}

function withCapitals(text: string): string {
  return text.replace(/(?:^|[.!?] )[a-z]/g, (start) => start.toUpperCase());
}
