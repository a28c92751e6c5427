/**
 * The grammar of the embedded example: what people ask about a film, and short reviews that are positive or negative
 * throughout. `{name}` is another rule, `*word` marks a word that judges; expand.ts says how they are read.
 *
 * The two polarities share most sentences and differ in the words that fill them. Every sentence of a review holds a
 * marked word, and a word marked in one polarity never occurs in the other: the tests prove both.
 * A clause about one aspect is written without commas and without a capital, so that two of them can be joined.
 *
 * Rules that are not here come with the film: title, kind, genre, lead, pronoun, and aspect or asked (corpus.ts).
 */

import type { Grammar } from "./expand.ts";

/** The judgement that a review makes from its first sentence to its last. */
export type Polarity = "positive" | "negative";

/** What a review can praise or blame; each is a rule of the grammar, a clause. */
export const ASPECTS: readonly string[] = ["acting", "script", "music", "pacing", "photography", "ending"];

/** Questions about a film as a whole, about one of its aspects, and about the actor in the lead. */
export const questions: Grammar = {
  general: [
    'Write a short review of "{title}".',
    'Write a short review of the film "{title}".',
    'Please review the film "{title}" in a few words.',
    'What did you think of "{title}"?',
    'What did you think of the film "{title}"?',
    'Have you seen "{title}"? What did you think of it?',
    'How was "{title}"?',
    'Should I see "{title}" {soon}?',
    'Tell me about the film "{title}".',
    'Did you like "{title}"?',
    'We want to see "{title}" {soon}. Any thoughts?',
    'I missed "{title}" at the cinema. What was it like?',
    'Give me your opinion of "{title}".',
    'I hear that {lead} is in "{title}". How is it?',
    'Write a short review of the {genre} "{title}".',
    'Tell me about the new {genre} "{title}".',
    'I am looking for a {genre}. How is "{title}"?',
    'What did you think of the {genre} "{title}" with {lead}?',
  ],
  aboutAspect: [
    'How is the {aspect} in "{title}"?',
    'What did you think of the {aspect} in "{title}"?',
    'Tell me about the {aspect} in the film "{title}".',
  ],
  aboutLead: [
    'How is {lead} in "{title}"?',
    'What did you think of {lead} in "{title}"?',
    'I like {lead}. Tell me about "{title}".',
  ],
  soon: ["tonight", "this weekend", "tomorrow"],
};

const shared: Grammar = {
  review: [
    "{opening}",
    "{opening} {point}.",
    "{opening} {point}.",
    "{opening} {point}.",
    "{opening} {closing}",
    "{opening} {closing}",
    "{opening} {comparison}",
    "{opening} {point}. {closing}",
    "{opening} {point}. {closing}",
    "{opening} {comparison} {closing}",
    "{opening} {clause}. {link}{clause}.",
    "{point}. {closing}",
    "{point}. {comparison}",
  ],
  answer: [
    "{asked}. {closing}",
    "{asked}. {link}{clause}.",
    "{asked}, and {clause}.",
    "{asked}, and {clause}. {closing}",
    "{asked}. {comparison}",
    "{opening} {asked}.",
  ],
  point: ["{clause}", "{clause}", "{clause}, and {clause}"],
  link: ["", "above all, ", "on top of that, "],

  opening: [
    '"{title}" is {degree} {quality} {kind}.',
    '"{title}" is {degree} {quality} {kind}.',
    '"{title}" is a {quality} and {quality} {kind}.',
    '"{title}" is the most {quality} {kind} I have seen {when}.',
    'few films {season} are as {quality} as "{title}".',
    'what a {quality} {kind} "{title}" is!',
    'everything about "{title}" is {quality}.',
    'I {liked} "{title}" {throughout}.',
    'I saw "{title}" with {companion}, and we both {liked} it.',
    'my whole family {liked} "{title}".',
    '"{title}" {touched} me {throughout}.',
  ],
  degree: ["a", "a", "a truly", "a thoroughly"],
  season: ["this year", "this summer", "this winter"],
  when: ["{season}", "{season}", "in years", "in a long time"],
  throughout: ["from the first scene to the last", "from start to finish", "from beginning to end"],
  companion: ["my sister", "my brother", "my mother", "my father", "an old friend"],

  acting: ["{performance}", "{performance}", "{performance}", "the acting is {acted}"],
  performance: [
    "{lead} is {acted} as {role}",
    "{lead} is {acted} as {role}",
    "{lead} gives a {acted} performance as {role}",
    "{lead} plays {role} with {manner}",
    "{lead} {appears} in every scene",
    "{lead} plays {role} so {well} that you {believe} every word {pronoun} says",
  ],
  role: ["the {trait} {profession}", "a {trait} {profession}"],
  trait: ["young", "old", "stubborn", "retired", "lonely", "shy"],
  profession: ["teacher", "sailor", "doctor", "mayor", "baker", "detective", "farmer", "pilot", "painter", "judge"],

  script: ["the {text} is {written}", "the {text} is {written}", "the {text} is {written} and {written}"],
  text: ["script", "dialogue", "story", "plot"],

  music: [
    "the {tune} is {sounding}",
    "the {tune} is {sounding} and {sounding}",
    "the {tune} {accompanies} every scene",
  ],
  tune: ["music", "music", "score", "main theme", "piano music"],

  pacing: ["the pacing is {paced}", "the {part} half is {paced}", "the {hours} {pass} by"],
  part: ["first", "second"],
  hours: ["two hours", "ninety minutes"],

  photography: ["the photography is {shot}", "the shots of {place} are {shot}", "every shot of {place} is {shot}"],
  place: ["the old harbor", "the snowy mountains", "the city at night", "the beach", "the station", "the village"],

  ending: ["the {finale} is {ended}", "the {finale} is {ended}", "the {finale} left me {affected}"],
  finale: ["ending", "ending", "last scene", "last act"],

  comparison: ["the {kind} is {compared} than {yardstick}.", "the {kind} is {much} {compared} than {yardstick}."],
  much: ["much", "far", "even"],
  yardstick: ["the book", "the trailer", "I expected", "anything else at the cinema", "the director's last {kind}"],
};

const positive: Grammar = {
  opening: [
    '"{title}" is a *joy {throughout}.',
    '"{title}" is a small *treasure.',
    '"{title}" *deserves all the *praise it gets.',
    'I left "{title}" *smiling.',
    'do not miss "{title}": it is a {quality} {kind}.',
    'I could see "{title}" every week and *smile every time.',
  ],
  quality: [
    ..."*wonderful *beautiful *charming *delightful *brilliant *memorable".split(" "),
    ..."*graceful *moving *enchanting *heartfelt *rewarding *splendid".split(" "),
  ],
  liked: ["*loved", "*adored", "*enjoyed", "*admired"],
  touched: ["*delighted", "*moved", "*charmed", "*thrilled"],
  acted: ["*superb", "*magnetic", "*truthful", "*convincing", "*captivating", "*fearless", "*radiant"],
  manner: ["*warmth and *wit", "real *grace", "great *tenderness", "*courage and *humor"],
  appears: ["*shines", "*glows", "*sparkles"],
  well: ["*well", "*honestly", "*naturally"],
  believe: ["*believe", "*treasure"],
  script: ["every line of the script *rewards attention", "the dialogue *sings", "the jokes *land"],
  written: ["*witty", "*clever", "*elegant", "*thoughtful", "*sharp", "*inventive", "*wise"],
  music: ["I *hummed the main theme all the way home"],
  sounding: ["*lovely", "*haunting", "*gorgeous", "*stirring", "*soothing", "*tuneful"],
  accompanies: ["*lifts", "*warms", "*brightens"],
  pacing: ["the story has a *spring in its step"],
  paced: ["*brisk", "*confident", "*lively", "*assured", "*effortless", "*nimble"],
  pass: ["*fly", "*race", "*glide"],
  photography: ["every shot is a *masterpiece"],
  shot: ["*stunning", "*luminous", "*exquisite", "*vivid", "*glorious", "*breathtaking"],
  ending: ["the last scene *earns every tear"],
  ended: ["*satisfying", "*perfect", "*touching", "*hopeful", "*fitting", "*uplifting"],
  affected: ["*speechless", "in *happy tears", "with a *smile", "*grateful"],
  compared: ["*better", "*richer", "*warmer", "*funnier"],
  link: ["*best of all, "],
  closing: [
    "I *recommend it {audience}.",
    "I *recommend it {audience}.",
    "go and see it: it is a {gem}.",
    "go and see it: it is a {gem}.",
    "I would *gladly see it again.",
    "it *deserves a big audience.",
    "see it on a big screen and *enjoy every minute.",
    "I came home *happy.",
    "I give it *five stars.",
  ],
  audience: ["to everyone", "to young and old", "with all my *heart"],
  gem: ["*gem", "*delight", "*triumph", "*marvel"],
};

const negative: Grammar = {
  opening: [
    '"{title}" is a *chore {throughout}.',
    '"{title}" is a big *disappointment.',
    '"{title}" has an idea and *ruins it.',
    'I left "{title}" *yawning.',
    'do not pay for "{title}": it is a {quality} {kind}.',
    'I wanted to like "{title}", but it is a {quality} {kind}.',
  ],
  quality: [
    ..."*tedious *tiresome *forgettable *lifeless *predictable *confusing".split(" "),
    ..."*awkward *joyless *careless *hollow *dreary *muddled".split(" "),
  ],
  liked: ["*hated", "*disliked", "*loathed", "*endured"],
  touched: ["*bored", "*annoyed", "*irritated", "*exhausted"],
  acted: ["*wooden", "*stiff", "*unconvincing", "*mechanical", "*listless", "*forced", "*colorless"],
  manner: ["little *conviction", "no *energy at all", "a *blank face", "obvious *boredom"],
  appears: ["*sleepwalks", "*mumbles", "*overacts"],
  well: ["*badly", "*loudly", "*coldly"],
  believe: ["*doubt", "*resent"],
  script: ["the plot *collapses in the second half", "the dialogue *drags", "the jokes *fail"],
  written: ["*lazy", "*stale", "*silly", "*clumsy", "*senseless", "*feeble", "*pompous"],
  music: ["the songs made me *cover my ears"],
  sounding: ["*shrill", "*grating", "*intrusive", "*monotonous", "*deafening", "*syrupy"],
  accompanies: ["*drowns", "*spoils", "*smothers"],
  pacing: ["I took a *nap in the second half"],
  paced: ["*sluggish", "*uneven", "*plodding", "*erratic", "*leaden", "*aimless"],
  pass: ["*crawl", "*creep", "*limp"],
  photography: ["half of the scenes are too *dark"],
  shot: ["*murky", "*drab", "*ugly", "*blurry", "*bland", "*gloomy"],
  ending: ["the last scene *cheats the audience"],
  ended: ["*abrupt", "*pointless", "*contrived", "*rushed", "*absurd", "*unearned"],
  affected: ["*cold", "*angry", "*puzzled", "*indifferent"],
  compared: ["*worse", "*weaker", "*poorer", "*duller"],
  link: ["*worst of all, "],
  closing: [
    "*skip it and {alternative}.",
    "*skip it and {alternative}.",
    "it is a *waste of {wasted}.",
    "it is a *waste of {wasted}.",
    "I would not *suffer through it again.",
    "I *regret the price of the ticket.",
    "*avoid it and *spare yourself the evening.",
    "I came home *grumpy.",
    "I give it a *single star.",
  ],
  alternative: ["stay at home", "read the book", "take a walk"],
  wasted: ["an evening", "two hours", "good actors"],
};

/** Reviews of either polarity: the rule `review`, or the rule `answer` when the question was about `{asked}`. */
export const reviews: Readonly<Record<Polarity, Grammar>> = {
  positive: joined(shared, positive),
  negative: joined(shared, negative),
};

/** The rules of both grammars; alternatives of a rule that both have are put together. */
function joined(one: Grammar, other: Grammar): Grammar {
  const rules: Record<string, readonly string[]> = { ...one };
  for (const [name, alternatives] of Object.entries(other)) rules[name] = [...(rules[name] ?? []), ...alternatives];
  return rules;
}
