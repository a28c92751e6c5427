import { describe, expect, it } from "vitest";
import { longestSequence, packExamples } from "../../src/data/microbatch.ts";
import { checkpointParameters, rotaryInputValues } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { batchInputs } from "../../src/training/step/engine.ts";
import { scoreProgram } from "../../src/training/step/step.ts";
import { families, familyModel, familyWeights } from "../models/families.ts";
import { expectClose, numbers } from "../support/programs.ts";
import { generate } from "./fixtures.ts";

const NEW_TOKENS = 9;

describe("generation with the cache has the log-probabilities that scoring gives", () => {
  it.each(Object.keys(families.variants))("%s", async (variant) => {
    const model = familyModel(variant);
    const weights = familyWeights(model.weights);
    const prompts = families.examples.map(({ prompt }) => prompt);
    // The first prompt twice: what is shared between samples is seen by both.
    const asked = [prompts[0]!, ...prompts];
    const options = { maxNewTokens: NEW_TOKENS, temperature: 1, seed: 1, batchSize: 3 };
    const generations = await generate(asked, options, { model, weights });
    expect(generations.map(({ tokens }) => tokens.length)).toEqual(asked.map(() => NEW_TOKENS));

    const examples = asked.map((prompt, i) => ({
      prompt: Int32Array.from(prompt),
      completions: [Int32Array.from(generations[i]!.tokens)],
    }));
    await using program = await nodeRuntime.compile(scoreProgram(model, checkpointParameters(model.weights)));
    const rotary = rotaryInputValues(model, longestSequence(examples));
    const outputs = await program.run({ ...weights, ...rotary, ...batchInputs(packExamples(examples)) });
    expectClose(
      generations.flatMap(({ logps }) => logps),
      numbers(outputs.tokenLogps!),
      1e-5,
    );
  });
});
