import { describe, expect, it } from "vitest";
import { checkpointParameters } from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { linearSizes } from "../../src/models/parameters.ts";
import { objectivesOf } from "../../src/objectives/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { withMovingReference } from "../../src/training/policy/moving-reference.ts";
import { continuedPolicy, fullPolicy } from "../../src/training/policy/policy.ts";
import { Engine } from "../../src/training/step/engine.ts";
import { families, familyModel, familyWeights, formulaValues } from "../models/families.ts";
import { compileScorer, type Example, weightsOnly } from "../models/golden.ts";
import { expectClose } from "../support/programs.ts";

const BETA = 0.2;
const objective = objectivesOf("dpo")
  .find(({ name }) => name === "sigmoid")!
  .create({ beta: BETA });
/** The family's examples that have two completions. */
const pairs: readonly Example[] = families.examples.filter(({ completions }) => completions.length === 2);
const tokenized = pairs.map(({ prompt, completions }, i) => ({
  origin: { file: "pairs.jsonl", line: i + 1 },
  prompt: Int32Array.from(prompt),
  completions: completions.map((ids) => Int32Array.from(ids)),
}));
const maxPositions = Math.max(
  ...pairs.map(({ prompt, completions }) => prompt.length + Math.max(...completions.map((ids) => ids.length))),
);

describe("a step of full tuning, which computes much of the forward pass again", () => {
  // At the reference the loss is -log sigmoid(0), whose slope is -1/2: the gradient is beta / 2 (rejected - chosen).
  const coefficients = pairs.flatMap(() => [-BETA / 2, BETA / 2]);

  // One of each family whose layers compute something of their own.
  const variants = ["mistral", "qwen3", "gemma2", "gemma3", "phi3-short", "olmo2", "smollm3", "gpt2", "gpt_neox"];

  it.each(variants)("has the loss and the gradient of DPO for %s", async (variant) => {
    const model = familyModel(variant);
    const weights = familyWeights(model.weights);
    const policy = fullPolicy(model, weights);
    await using engine = await Engine.create({ policy, objective, runtime: nodeRuntime, threads: 1, maxPositions });
    const reference = await engine.score("reference", tokenized);
    const { losses } = await engine.step(tokenized, reference, 1);
    expectClose(
      losses,
      pairs.map(() => Math.LN2),
      1e-6,
    );

    const parameters = checkpointParameters(model.weights);
    const trained = () => [...model.weights.keys()].map((name) => ({ name, tensor: parameters.tensor(name) }));
    const score = await compileScorer({ model, parameters, runtime: nodeRuntime, trained });
    const { gradients } = await score(pairs, weights, coefficients);
    expect(gradients.size).toBe(engine.gradients.views.size);
    for (const [name, expected] of gradients) {
      expectClose(engine.gradients.views.get(name)!.data, expected, 1e-5, { floor: 1e-2, what: `gradient of ${name}` });
    }
  });
});

it("a reference that follows an adapter on Conv1D layers is the weights with the adapter merged into them", async () => {
  const model = familyModel("gpt2");
  const weights = familyWeights(model.weights);
  const modules = model.linearModules.map((module) => {
    const { inFeatures, outFeatures } = linearSizes(model, module);
    const [a, b] = [formulaValues(`${module}.A`, 2 * inFeatures), formulaValues(`${module}.B`, 2 * outFeatures)];
    return [module, { a, b, inFeatures, outFeatures }] as const;
  });
  const adapter = { rank: 2, alpha: 3, rsLora: false, targets: [], modules: new Map(modules) };
  const policy = await withMovingReference(continuedPolicy(model, weights, adapter), {
    mixup: 0.5,
    every: 1,
    runtime: nodeRuntime,
    threads: 1,
  });
  for (const { name, read } of mergedWeights(weightsOnly(weights), model, adapter)) {
    expectClose(policy.referenceWeights[name]!.data as Float32Array, read(), 1e-6, { what: name });
  }
  const own = policy.adapter!();
  expect(own.fanInFanOut).toBe(true);
  expect(own.modules.get("transformer.h.0.attn.c_attn")).toMatchObject({ inFeatures: 12, outFeatures: 36 });
});
