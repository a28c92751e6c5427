import { describe, expect, it } from "vitest";
import { pretrainingConversations, prompts } from "../../src/demo/corpus.ts";
import { type Grammar, markedWords, writeText } from "../../src/demo/expand.ts";
import { ACTORS, GENRES, titles } from "../../src/demo/films.ts";
import { ASPECTS, type Polarity, questions, reviews } from "../../src/demo/grammar.ts";
import { Random } from "../../src/demo/random.ts";
import { lexicon, sentiment } from "../../src/demo/sentiment.ts";

const FROM_THE_FILM = ["title", "kind", "genre", "lead", "pronoun", "aspect", "asked", "clause"];
const POLARITIES: readonly Polarity[] = ["positive", "negative"];
const opposite = { positive: "negative", negative: "positive" } as const;

const conversations = pretrainingConversations(11, 10_000);
const corpus = conversations.map(([question, review], index) => ({
  question: question!.content,
  review: review!.content,
  polarity: POLARITIES[index % 2]!,
}));

function words(texts: Iterable<string>): Set<string> {
  return new Set([...texts].flatMap((text) => text.toLowerCase().match(/[a-z]+/g) ?? []));
}

/** The alternatives of every rule without the names of the rules that they use. */
function literals(grammar: Grammar): string[] {
  return Object.values(grammar)
    .flat()
    .map((text) => text.replace(/\{\w+\}/g, ""));
}

function sentences(review: string): string[] {
  return review.split(/(?<=[.!]) /);
}

describe("writing from rules", () => {
  it("puts the marks away, the articles right and capitals at the start of sentences", () => {
    const grammar = { start: ["a {thing} and a {thing}. it is {thing}!"], thing: ["*awkward one"] };
    expect(writeText(grammar, "start", new Random(1))).toBe("An awkward one and an awkward one. It is awkward one!");
  });

  it("takes no alternative twice while another is left", () => {
    const grammar = { start: ["{n}{n}{n}{n}"], n: ["1", "2", "3", "4"] };
    for (let seed = 0; seed < 50; seed++) {
      expect([...writeText(grammar, "start", new Random(seed))].sort()).toEqual(["1", "2", "3", "4"]);
    }
  });

  it("refuses a rule that the grammar does not have", () => {
    expect(() => writeText({ start: ["{nowhere}"] }, "start", new Random(1))).toThrow(
      'the grammar has no rule named "nowhere"',
    );
  });

  it("knows the marked words of a grammar", () => {
    expect(markedWords({ a: ["it is *Fine and {b}"], b: ["*so *good"] })).toEqual(new Set(["fine", "so", "good"]));
  });
});

describe("the rules", () => {
  const starts = { questions: ["general", "aboutAspect", "aboutLead"], reviews: ["review", "answer", ...ASPECTS] };
  const named = (grammar: Grammar) =>
    new Set(
      Object.values(grammar)
        .flat()
        .flatMap((text) => [...text.matchAll(/\{(.*?)\}/g)].map((match) => match[1]!)),
    );

  it.each([
    ["questions", questions, starts.questions],
    ["positive reviews", reviews.positive, [...starts.reviews, "performance"]],
    ["negative reviews", reviews.negative, [...starts.reviews, "performance"]],
  ])("of %s are all used, and none is missing", (_, grammar, start) => {
    const used = named(grammar);
    expect([...used].filter((name) => !(name in grammar) && !FROM_THE_FILM.includes(name))).toEqual([]);
    expect(Object.keys(grammar).filter((name) => !used.has(name) && !start.includes(name))).toEqual([]);
  });
});

describe("the lexicon", () => {
  it.each(POLARITIES)("of %s reviews has no word that the other polarity can write", (polarity) => {
    const others = words(literals(reviews[opposite[polarity]]));
    expect([...lexicon[polarity]].filter((word) => others.has(word))).toEqual([]);
  });

  it("has no word of a question, a title, a genre or a name", () => {
    const named = [...titles("train"), ...titles("held-out"), ...GENRES, ...ACTORS.map((actor) => actor.name)];
    const neutral = words([...literals(questions), ...named]);
    const judging = [...lexicon.positive, ...lexicon.negative];
    expect(judging.filter((word) => neutral.has(word))).toEqual([]);
  });

  it("is about as rich in praise as in blame", () => {
    expect(lexicon.positive.size).toBeGreaterThan(90);
    expect(Math.abs(lexicon.positive.size - lexicon.negative.size)).toBeLessThan(10);
  });
});

describe("sentiment", () => {
  it("judges every review as it was meant, and every sentence of it", () => {
    const wrong = corpus.filter(({ review, polarity }) =>
      [review, ...sentences(review)].some((text) => sentiment(text) !== polarity),
    );
    expect(wrong).toEqual([]);
  });

  it("hears nothing in a question", () => {
    expect(new Set(corpus.map(({ question }) => sentiment(question)))).toEqual(new Set(["unclear"]));
  });

  it("follows the majority of a mixed text, and leaves a tie or silence unclear", () => {
    expect(sentiment("The music is lovely. The script is witty, and the ending is abrupt.")).toBe("positive");
    expect(sentiment("The music is LOVELY. The script is lazy; the ending, abrupt.")).toBe("negative");
    expect(sentiment("The music is lovely and shrill.")).toBe("unclear");
    expect(sentiment("The film has music.")).toBe("unclear");
    expect(sentiment("")).toBe("unclear");
  });

  it("does not see negation, as its documentation says", () => {
    expect(sentiment("It is not wonderful.")).toBe("positive");
  });
});

describe("reviews", () => {
  it("are the same for the same seed, and others for another", () => {
    expect(pretrainingConversations(11, 10)).toEqual(conversations.slice(0, 10));
    expect(pretrainingConversations(12, 10)).not.toEqual(conversations.slice(0, 10));
  });

  it("of the first seed begin as they always did", () => {
    expect(prompts(1, 3).map(([question]) => question!.content)).toMatchInlineSnapshot(`
      [
        "How is the ending in "The Painted Library"?",
        "Tell me about the ending in the film "The Distant Library".",
        "Should I see "The Midnight Kite" this weekend?",
      ]
    `);
    expect(pretrainingConversations(1, 2).map(([, review]) => review!.content)).toMatchInlineSnapshot(`
      [
        "The ending is satisfying, and Oscar Costa plays a shy baker with courage and humor. See it on a big screen and enjoy every minute.",
        ""A Station for Two Sisters" is a chore from the first scene to the last. Ida Lind plays the young farmer so coldly that you doubt every word she says.",
      ]
    `);
  });

  it("are nearly all different", () => {
    expect(new Set(corpus.map(({ review }) => review)).size).toBeGreaterThan(0.95 * corpus.length);
    expect(new Set(corpus.map(({ question }) => question)).size).toBeGreaterThan(0.5 * corpus.length);
  });

  it("are one to three clean sentences", () => {
    const sound = /^(?:["A-Z][^.!?{}*]*[.!](?: |$)){1,3}$/;
    expect(corpus.filter(({ review }) => !sound.test(review) || /\ba [aeiou]| {2}|\s$/i.test(review))).toEqual([]);
  });

  it("speak of the film that the question names, and of its actor and genre", () => {
    const quoted = (text: string) => text.match(/"(.+?)"/)?.[1];
    const named = (text: string) => ACTORS.find(({ name }) => text.includes(name))?.name;
    for (const { question, review } of corpus) {
      expect(quoted(question)).toBeDefined();
      expect(quoted(review) ?? quoted(question)).toBe(quoted(question));
      if (named(question)) expect(named(review) ?? named(question)).toBe(named(question));
      if (/^(How is|What did you think of) [A-Z]/.test(question)) expect(named(review)).toBe(named(question));
      for (const genre of GENRES) if (review.includes(` ${genre} `)) expect(question).toContain(genre);
    }
  });

  it("seldom use a judging word twice", () => {
    const repeated = corpus.filter(({ review }) => {
      const judging = (review.toLowerCase().match(/[a-z]+/g) ?? []).filter((word) => sentiment(word) !== "unclear");
      return new Set(judging).size < judging.length;
    });
    expect(repeated.length).toBeLessThan(0.02 * corpus.length);
  });
});
