/** The invented films of the example: titles, genres and the people in them. None of these words judges. */

import { Random } from "./random.ts";

/** Films to train on, or films kept apart for evaluation; no title is in both. */
export type Split = "train" | "held-out";

const ADJECTIVES = [
  ..."Quiet Silver Last Hidden Golden Distant Crooked Second Winter Midnight Glass Borrowed".split(" "),
  ..."Wandering Broken Secret Northern Sleeping Blue Forgotten Velvet Painted Lost".split(" "),
];

const NOUNS = [
  ..."Harbor Garden River Letter Lantern Bridge Station Mountain Window Clockmaker Song Map".split(" "),
  ..."Storm Lighthouse Library Piano Train Gardener Stranger Key Mirror Tower Kite Forest".split(" "),
];

const PLACES = ["the Sea", "the Snow", "the Rain", "the City", "the Valley", "the Moonlight"];

const RECIPIENTS = ["Clara", "Emil", "Rosa", "Felix", "a Friend", "Two Sisters", "the King", "Tomorrow"];

const HELD_OUT_SHARE = 0.2;

const FILMS = splitTitles();

export const GENRES: readonly string[] = [
  ..."drama comedy thriller mystery romance western".split(" "),
  "love story",
  "fairy tale",
];

/** Someone on the screen, with the pronoun that a later clause uses. */
interface Actor {
  readonly name: string;
  readonly pronoun: string;
}

export const ACTORS: readonly Actor[] = [
  ...cast("Nora Vale, Ida Lind, Vera Carter, Lena Moreau, Maya Hayes, Alma Brandt", "she"),
  ...cast("Oscar Costa, Hugo Winters, Leo Novak, Martin Rossi, Simon Adeyemi, Jonas Meyer", "he"),
];

/** The titles of one split, in a fixed order. */
export function titles(split: Split): readonly string[] {
  return FILMS[split];
}

function cast(names: string, pronoun: string): Actor[] {
  return names.split(", ").map((name) => ({ name, pronoun }));
}

/** Shuffled before the cut, so that both splits hold every kind of title. */
function splitTitles(): Record<Split, readonly string[]> {
  const all = NOUNS.flatMap((noun) => [
    ...ADJECTIVES.map((adjective) => `The ${adjective} ${noun}`),
    ...PLACES.map((place) => `The ${noun} in ${place}`),
    ...RECIPIENTS.map((recipient) => `A ${noun} for ${recipient}`),
  ]);
  const shuffled = new Random(0).shuffled(all);
  const cut = Math.round(all.length * HELD_OUT_SHARE);
  return { "held-out": shuffled.slice(0, cut), train: shuffled.slice(cut) };
}
