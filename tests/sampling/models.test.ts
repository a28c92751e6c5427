/** Golden numbers from transformers' `generate`: tests/reference/sampling_generate.py. */

import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { loadWeights, modelFor } from "../../src/models/index.ts";
import { stopTokens } from "../../src/sampling/index.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { SMOLLM2, STORIES, sharedMissing } from "../support/shared.ts";
import { generate, golden, recompute } from "./fixtures.ts";

interface GoldenGeneration {
  readonly prompt: string;
  readonly promptIds: number[];
  readonly tokens: number[];
  readonly logps: number[];
  readonly text: string;
}

describe.skipIf(sharedMissing)("the shared models generate what transformers generates (needs ../shared)", () => {
  const expected = golden<Record<"SmolLM2" | "stories260K", GoldenGeneration[]>>("generate.json");

  async function open(path: string) {
    using checkpoint = await openCheckpoint(path);
    const model = modelFor(checkpoint);
    const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
    const subject = { model, weights: await loadWeights(checkpoint, model) };
    return { subject, tokenizer, stops: stopTokens(checkpoint, tokenizer) };
  }

  test.each([
    ["SmolLM2", SMOLLM2, 24],
    ["stories260K", STORIES, 96],
  ] as const)("%s", async (name, path, maxNewTokens) => {
    const { subject, tokenizer, stops } = await open(path);
    const prompts = expected[name].map(({ prompt }) => tokenizer.encode(prompt));
    expect(prompts.map((ids) => Array.from(ids))).toEqual(expected[name].map(({ promptIds }) => promptIds));

    const generations = await generate(prompts, { maxNewTokens, stopTokens: stops }, subject);
    generations.forEach(({ tokens, logps, reason }, i) => {
      const reference = expected[name][i]!;
      expect(tokens).toEqual(reference.tokens);
      expect(reason).toBe(tokens.length < maxNewTokens ? "stop" : "length");
      expect(tokenizer.decode(tokens, { skipSpecialTokens: true })).toBe(reference.text);
      logps.forEach((logp, j) => {
        expect(Math.abs(logp - reference.logps[j]!)).toBeLessThan(2e-4);
      });
    });
  });

  test("with the cache stories260K says what it says without one", async () => {
    const { subject, tokenizer } = await open(STORIES);
    const prompt = Array.from(tokenizer.encode("The dog"));
    const [generation] = await generate([prompt], { maxNewTokens: 48 }, subject);
    expect(generation!.tokens).toEqual(await recompute(prompt, 48, subject));
  });
});
