import { readdirSync, readFileSync, statSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { scoreCompletions } from "../../src/demo/divergence.ts";
import { titles } from "../../src/demo/films.ts";
import { heldOutConversations } from "../../src/demo/pretrain.ts";
import { type Review, sampleReviews, tally } from "../../src/demo/reviews.ts";
import { type LoadedModel, loadModel } from "../../src/evaluation/loaded-model.ts";
import { type Score, score } from "../../src/evaluation/score.ts";
import { EXAMPLE, MODEL } from "../demo/example.ts";

/** Made with transformers by tests/reference/film_reviews_logps.py. */
type Golden = Record<"chosen" | "rejected", { tokens: number; logp: number }>[];

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(MODEL, { threads: 1 });
});
afterAll(() => model[Symbol.asyncDispose]());

describe("the committed model", () => {
  it("takes at most 4 MB with everything that belongs to it", () => {
    const sizes = readdirSync(MODEL).map((name) => statSync(`${MODEL}/${name}`).size);
    expect(sizes.reduce((total, size) => total + size, 0)).toBeLessThan(4e6);
  });

  it("scores held-out reviews as transformers does", async () => {
    const golden: Golden = JSON.parse(
      readFileSync(new URL("../golden/film-reviews-logps.json", import.meta.url), "utf8"),
    );
    const scores: Score[] = [];
    const data = `${EXAMPLE}preferences-eval.jsonl`;
    await score({ model: MODEL, data, limit: golden.length, threads: 1 }, (row) => scores.push(row));
    expect(scores).toHaveLength(2 * golden.length);
    for (const { index, completion, tokens, logp } of scores) {
      const expected = golden[index]![completion];
      expect(tokens).toBe(expected.tokens);
      expect(Math.abs(logp - expected.logp)).toBeLessThan(1e-4);
    }
  });

  it("predicts conversations about films that it has never heard of", async () => {
    const conversations = heldOutConversations(model.tokenizer);
    const sequences = conversations.map(({ prompt, completions }) => ({ prompt, completion: completions[0]! }));
    const scores = await scoreCompletions(model, sequences);
    const tokens = sequences.reduce((total, { completion }) => total + completion.length, 0);
    const loss = -scores.reduce((total, { logp }) => total + logp, 0) / tokens;
    expect(loss).toBeLessThan(0.6);
  });
});

describe("its reviews of films that it has never heard of", () => {
  let reviews: Review[];
  beforeAll(async () => {
    reviews = await sampleReviews(model, 200, 0);
  });
  const share = (holds: (review: Review) => boolean) => reviews.filter(holds).length / reviews.length;
  const quoted = (text: string) => text.match(/"(.+?)"/)?.[1];

  it("are as often praise as blame", () => {
    const { positive, unclear } = tally(reviews);
    expect(positive / reviews.length).toBeGreaterThan(0.35);
    expect(positive / reviews.length).toBeLessThan(0.65);
    expect(unclear / reviews.length).toBeLessThan(0.06);
  });

  it("come to an end, in clean sentences", () => {
    expect(share(({ tokens }) => tokens.at(-1) === model.tokenizer.eosId)).toBeGreaterThan(0.98);
    expect(share(({ text }) => /^(?:["A-Z][^.!?]*[.!](?: |$)){1,3}$/.test(text))).toBeGreaterThan(0.95);
  });

  it("mostly name the film that was asked about", () => {
    const naming = reviews.filter(({ text }) => quoted(text) !== undefined);
    expect(naming.length).toBeGreaterThan(50);
    const right = naming.filter(({ question, text }) => quoted(text) === quoted(question));
    expect(right.length / naming.length).toBeGreaterThan(0.7);
    expect(titles("train")).not.toContain(quoted(reviews[0]!.question));
  });
});
