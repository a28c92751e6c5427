import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { divergenceOnSamples, scoreCompletions } from "../../src/demo/divergence.ts";
import { sampleReviews, tally } from "../../src/demo/reviews.ts";
import { type LoadedModel, loadModel } from "../../src/evaluation/loaded-model.ts";
import { MODEL } from "./example.ts";

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(MODEL, { threads: 1 });
});
afterAll(() => model[Symbol.asyncDispose]());

describe("the divergence on samples", () => {
  it("of a model from itself is 0 to float32 rounding: sampling and scoring give a token the same probability", async () => {
    const reviews = await sampleReviews(model, 20, 0);
    const { mean, standardError } = await divergenceOnSamples(model, reviews);
    expect(mean).toBeGreaterThanOrEqual(0);
    expect(mean).toBeLessThan(1e-6);
    expect(standardError).toBeLessThan(1e-6);
  });

  it("weighs a token that the policy gives twice the reference's probability by 1/2 - 1 + ln 2", async () => {
    const reviews = await sampleReviews(model, 5, 0);
    const likelier = reviews.map(({ logps: [first, ...others], ...review }) => {
      return { ...review, logps: [first! + Math.LN2, ...others] };
    });
    const { mean } = await divergenceOnSamples(model, likelier);
    expect(mean).toBeCloseTo(Math.LN2 - 0.5, 4);
  });
});

describe("log-probabilities of completions", () => {
  it("come in the order asked, whatever the lengths that they are packed by", async () => {
    const reviews = await sampleReviews(model, 30, 1);
    const sequences = reviews.map(({ prompt, tokens }) => ({ prompt, completion: Int32Array.from(tokens) }));
    const scores = await scoreCompletions(model, sequences);
    reviews.forEach((review, i) => {
      expect(scores[i]!.logp).toBeCloseTo(
        review.logps.reduce((a, b) => a + b, 0),
        3,
      );
    });
  });
});

describe("sampled reviews", () => {
  it("are the same for the same seed, others for another", async () => {
    const texts = async (seed: number) => (await sampleReviews(model, 8, seed)).map(({ text }) => text);
    expect(await texts(3)).toEqual(await texts(3));
    expect(await texts(4)).not.toEqual(await texts(3));
  });

  it("are tallied by their sentiment", () => {
    const reviews = (["positive", "negative", "positive", "unclear"] as const).map((sentiment) => ({ sentiment }));
    expect(tally(reviews)).toEqual({ positive: 2, negative: 1, unclear: 1 });
  });
});
