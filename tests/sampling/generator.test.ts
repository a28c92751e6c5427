import { describe, expect, test } from "vitest";
import { packExamples } from "../../src/data/microbatch.ts";
import { checkpointParameters, rotaryInputValues, withLora } from "../../src/models/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Value } from "../../src/runtime/runtime.ts";
import { Generator } from "../../src/sampling/index.ts";
import { scoreProgram } from "../../src/training/step/step.ts";
import { countingRuntime, generate, randomPrompt, randomWeights, recompute, tiny, tinyWeights } from "./fixtures.ts";

const prompts = [5, 1, 12, 3, 7, 2].map((length, seed) => randomPrompt(length, seed));
const tokensOf = (generations: readonly { readonly tokens: number[] }[]) => generations.map(({ tokens }) => tokens);

describe("greedy generation", () => {
  test("with the cache it is what computing the whole sequence for every token gives", async () => {
    const cached = await generate(prompts, { maxNewTokens: 20 });
    for (const [i, prompt] of prompts.entries()) {
      expect(cached[i]!.tokens).toEqual(await recompute(prompt, 20));
    }
  });

  test("with an adapter too", async () => {
    const parameters = withLora(checkpointParameters(tiny.weights), tiny.weights, {
      rank: 2,
      alpha: 4,
      rankStabilized: false,
      modules: tiny.linearModules,
    });
    scoreProgram(tiny, parameters); // Building any program makes the adapter's inputs known.
    const adapter = randomWeights(
      parameters.inputs.map(({ name, shape }) => [name, shape] as const),
      3,
    );
    const subject = { model: tiny, weights: { ...tinyWeights, ...adapter }, parameters };
    const [adapted] = await generate([prompts[0]!], { maxNewTokens: 20 }, subject);
    expect(adapted!.tokens).toEqual(await recompute(prompts[0]!, 20, subject));
    expect(adapted!.tokens).not.toEqual((await generate([prompts[0]!], { maxNewTokens: 20 }))[0]!.tokens);
  });

  test("the interpreter says the same in float64", async () => {
    const subject = { model: tiny, weights: tinyWeights, runtime: interpreter };
    const exact = await generate(prompts.slice(0, 2), { maxNewTokens: 6 }, subject);
    const engine = await generate(prompts.slice(0, 2), { maxNewTokens: 6 });
    expect(tokensOf(engine)).toEqual(tokensOf(exact));
    exact.forEach(({ logps }, i) => {
      logps.forEach((logp, j) => {
        expect(engine[i]!.logps[j]).toBeCloseTo(logp, 4);
      });
    });
  });

  test("a prompt may be longer than one run takes", async () => {
    const long = randomPrompt(700, 1);
    const generations = await generate([prompts[0]!, long, prompts[1]!], { maxNewTokens: 4, batchSize: 2 });
    expect(generations[1]!.tokens).toEqual(await recompute(long, 4));
    expect(generations[2]!.tokens).toEqual(await recompute(prompts[1]!, 4));
  });
});

describe("many prompts at once", () => {
  for (const sampling of [{}, { temperature: 1, topP: 0.9, seed: 5 }]) {
    test(`give what each gives alone (${JSON.stringify(sampling)})`, async () => {
      // Some end early, so that their rows are closed up under the others.
      const options = { maxNewTokens: 12, stopTokens: [1, 2, 3], ...sampling };
      const together = await generate(prompts, { ...options, batchSize: prompts.length });
      expect(new Set(together.map(({ reason }) => reason))).toEqual(new Set(["stop", "length"]));
      for (const batchSize of [1, 2, 4]) {
        expect(tokensOf(await generate(prompts, { ...options, batchSize }))).toEqual(tokensOf(together));
      }
    });
  }

  test("the same prompt several times is computed once and sampled apart", async () => {
    const runtime = countingRuntime(nodeRuntime);
    const samples = await generate(
      [prompts[2]!, prompts[0]!, prompts[2]!, prompts[2]!],
      { maxNewTokens: 3, temperature: 1, batchSize: 2 },
      { model: tiny, weights: tinyWeights, runtime },
    );
    const newest = 4 * (3 - 1); // The last token of a sequence is chosen, and not computed.
    expect(runtime.tokens.reduce((a, b) => a + b)).toBe(prompts[2]!.length + prompts[0]!.length + newest);
    expect(new Set([samples[0], samples[2], samples[3]].map((sample) => sample!.tokens.join())).size).toBe(3);
  });

  test("none give none", async () => {
    expect(await generate([], { maxNewTokens: 3 })).toEqual([]);
  });
});

describe("seeds", () => {
  const sampled = (seed: number) => generate(prompts, { maxNewTokens: 12, temperature: 1.5, seed });

  test("the same seed draws the same tokens, another seed others", async () => {
    const first = await sampled(1);
    expect(await sampled(1)).toEqual(first);
    expect(tokensOf(await sampled(2))).not.toEqual(tokensOf(first));
  });

  test("greedy generation does not depend on the seed", async () => {
    const first = await generate(prompts, { maxNewTokens: 12, seed: 1 });
    expect(await generate(prompts, { maxNewTokens: 12, seed: 2 })).toEqual(first);
  });
});

describe("log-probabilities", () => {
  for (const sampling of [{}, { temperature: 2, topP: 0.8 }]) {
    test(`are the scoring program's, whatever the sampling (${JSON.stringify(sampling)})`, async () => {
      const generations = await generate(prompts, { maxNewTokens: 10, ...sampling });
      const batch = packExamples(
        prompts.map((prompt, i) => ({
          prompt: Int32Array.from(prompt),
          completions: [Int32Array.from(generations[i]!.tokens)],
        })),
      );
      const vector = (data: BigInt64Array): Value => ({ dims: [data.length], data });
      const tokens = batch.tokens.length;
      await using program = await nodeRuntime.compile(scoreProgram(tiny, checkpointParameters(tiny.weights)));
      const { tokenLogps } = await program.run({
        ...tinyWeights,
        ...rotaryInputValues(tiny, tokens),
        tokens: vector(batch.tokens),
        positions: vector(batch.positions),
        mask: { dims: [tokens, tokens], data: batch.mask },
        rows: vector(batch.rows),
        targets: vector(batch.targets),
        membership: { dims: [prompts.length, batch.rows.length], data: batch.membership },
      });
      const scored = Array.from(tokenLogps!.data, Number);
      const generated = generations.flatMap(({ logps }) => logps);
      expect(generated).toHaveLength(scored.length);
      expect(Math.max(...generated.map((logp, i) => Math.abs(logp - scored[i]!)))).toBeLessThan(1e-4);
    });
  }
});

describe("the end of a sequence", () => {
  test("is the first stop token, which belongs to it", async () => {
    const [free] = await generate([prompts[0]!], { maxNewTokens: 20 });
    const stop = free!.tokens[4]!;
    const first = free!.tokens.indexOf(stop);
    const [stopped] = await generate([prompts[0]!], { maxNewTokens: 20, stopTokens: [stop] });
    expect(stopped).toEqual({
      tokens: free!.tokens.slice(0, first + 1),
      reason: "stop",
      logps: free!.logps.slice(0, first + 1),
    });
  });

  test("is maxNewTokens", async () => {
    const [generation] = await generate([prompts[0]!], { maxNewTokens: 1 });
    expect(generation).toMatchObject({ reason: "length", tokens: [expect.any(Number)] });
  });

  test("is the model's last position", async () => {
    const [two, none] = await generate([randomPrompt(1022, 1), randomPrompt(1024, 2)], { maxNewTokens: 20 });
    expect(two).toMatchObject({ reason: "length", tokens: [expect.any(Number), expect.any(Number)] });
    expect(none).toEqual({ tokens: [], reason: "length", logps: [] });
  });
});

test("every token is told as it is chosen, with the index of its prompt", async () => {
  const told = prompts.map((): number[] => []);
  const onToken = (token: number, index: number) => void told[index]!.push(token);
  const generations = await generate(prompts, { maxNewTokens: 5, batchSize: 4, onToken });
  expect(told).toEqual(tokensOf(generations));
});

test("weights are read where they are: a change in place is a change of the next token", async () => {
  const weights = randomWeights(tiny.weights, 7);
  const parameters = checkpointParameters(tiny.weights);
  await using generator = await Generator.create({ model: tiny, runtime: nodeRuntime, parameters, weights });
  const before = await generator.generate(prompts, { maxNewTokens: 5 });
  const head = weights["lm_head.weight"]!.data as Float32Array;
  head.forEach((x, i) => {
    head[i] = -x;
  });
  const after = await generator.generate(prompts, { maxNewTokens: 5 });
  expect(tokensOf(after)).not.toEqual(tokensOf(before));
  expect(tokensOf(after)).toEqual(tokensOf(await generate(prompts, { maxNewTokens: 5 }, { model: tiny, weights })));
});

describe("what can't be done is refused", () => {
  const messageOf = (prompt: number[], options: object, weights = tinyWeights) =>
    generate([[1], prompt], { maxNewTokens: 2, ...options }, { model: tiny, weights }).then(
      () => expect.unreachable(),
      (error: Error) => `${error.name}: ${error.message}`,
    );

  test("prompts", async () => {
    expect(await messageOf([], {})).toMatchInlineSnapshot(
      `"DataError: Prompt 2 has no tokens: there is nothing to continue."`,
    );
    expect(await messageOf(randomPrompt(1025, 1), {})).toMatchInlineSnapshot(
      `"DataError: Prompt 2 has 1025 tokens, but the model allows 1024. Shorten it."`,
    );
    expect(await messageOf([0, tiny.vocabularySize], {})).toMatch(
      `DataError: Prompt 2 has the token ${tiny.vocabularySize}, but the model knows ${tiny.vocabularySize} tokens`,
    );
  });

  test("options out of range", async () => {
    expect(await messageOf([1], { temperature: -1 })).toMatchInlineSnapshot(
      `"ConfigError: temperature must be 0 (greedy) or a positive number, not -1."`,
    );
    expect(await messageOf([1], { topP: 0 })).toMatchInlineSnapshot(
      `"ConfigError: topP must be above 0 and at most 1, not 0."`,
    );
    expect(await messageOf([1], { maxNewTokens: 0 })).toMatchInlineSnapshot(
      `"ConfigError: maxNewTokens must be a whole number above 0, not 0."`,
    );
    expect(await messageOf([1], { batchSize: 1.5 })).toMatchInlineSnapshot(
      `"ConfigError: batchSize must be a whole number above 0, not 1.5."`,
    );
  });

  test("a model that says nothing", async () => {
    const norm = { dims: [tiny.hiddenSize], data: new Float32Array(tiny.hiddenSize).fill(Number.NaN) };
    expect(await messageOf([1], {}, { ...tinyWeights, "model.norm.weight": norm })).toMatchInlineSnapshot(
      `"CheckpointError: The model's logits are not finite numbers, so no token can be chosen. Its weights hold NaN, infinity or values far out of range: the file is damaged, or training diverged."`,
    );
  });
});
