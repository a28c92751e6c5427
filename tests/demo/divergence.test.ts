import { describe, expect, it } from "vitest";
import { completionLogps, divergenceOnSamples, estimate } from "../../src/demo/divergence.ts";
import { sampleReviews, tally } from "../../src/demo/reviews.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import { MODEL } from "./example.ts";

describe("an estimate", () => {
  it("is the mean with the sample deviation over the root of the number of samples", () => {
    const { mean, standardError } = estimate([1, 2, 3, 4]);
    expect(mean).toBe(2.5);
    expect(standardError).toBeCloseTo(Math.sqrt(5 / 3 / 4), 12);
  });
});

describe("the divergence on samples", () => {
  it("of a model from itself is 0 to float32 rounding: sampling and scoring give a token the same probability", async () => {
    await using model = await loadModel(MODEL);
    const reviews = await sampleReviews(model, 20, 0);
    const { mean, standardError } = await divergenceOnSamples(model, reviews);
    expect(Math.abs(mean)).toBeLessThan(1e-4);
    expect(standardError).toBeLessThan(1e-4);
  });

  it("is the mean log-ratio: for answers given twice the probability of the reference, ln 2", async () => {
    await using model = await loadModel(MODEL);
    const reviews = await sampleReviews(model, 5, 0);
    const likelier = reviews.map((review) => ({ ...review, logps: [Math.LN2, ...review.logps] }));
    const { mean } = await divergenceOnSamples(model, likelier);
    expect(mean).toBeCloseTo(Math.LN2, 4);
  });
});

describe("log-probabilities of completions", () => {
  it("come in the order asked, whatever the lengths that they are packed by", async () => {
    await using model = await loadModel(MODEL);
    const reviews = await sampleReviews(model, 30, 1);
    const sequences = reviews.map(({ prompt, tokens }) => ({ prompt, completion: Int32Array.from(tokens) }));
    const logps = await completionLogps(model, sequences);
    reviews.forEach((review, i) => {
      expect(logps[i]).toBeCloseTo(
        review.logps.reduce((a, b) => a + b, 0),
        3,
      );
    });
  });
});

describe("sampled reviews", () => {
  it("are the same for the same seed, others for another", async () => {
    await using model = await loadModel(MODEL);
    const texts = async (seed: number) => (await sampleReviews(model, 8, seed)).map(({ text }) => text);
    expect(await texts(3)).toEqual(await texts(3));
    expect(await texts(4)).not.toEqual(await texts(3));
  });

  it("are tallied by their sentiment", () => {
    const reviews = (["positive", "negative", "positive", "unclear"] as const).map((sentiment) => ({ sentiment }));
    expect(tally(reviews)).toEqual({ positive: 2, negative: 1, unclear: 1 });
  });
});
