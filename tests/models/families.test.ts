import { describe, expect, it } from "vitest";
import { longestSequence, packExamples } from "../../src/data/microbatch.ts";
import {
  checkpointParameters,
  loadWeights,
  modelFor,
  rotaryInputValues,
  type Weights,
  withLora,
} from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { linearSizes } from "../../src/models/parameters.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { batchInputs } from "../../src/training/step/engine.ts";
import { scoreProgram } from "../../src/training/step/step.ts";
import { arrayOf, expectClose, numbers } from "../support/programs.ts";
import { families, familyModel, familyWeights, formulaValues, summarize } from "./families.ts";
import { compileScorer, weightsOnly } from "./golden.ts";

const { examples, coefficients } = families;

describe.each(Object.keys(families.variants))("the graph of %s", (variant) => {
  const golden = families.variants[variant]!;
  const model = familyModel(variant);

  it("has the weights of transformers' model, by name and shape", () => {
    expect(Object.fromEntries(model.weights)).toEqual(golden.shapes);
  });

  it("gives transformers' log-probabilities and gradients of all weights, packed into one micro-batch", async () => {
    const parameters = checkpointParameters(model.weights);
    const trained = () => [...model.weights.keys()].map((name) => ({ name, tensor: parameters.tensor(name) }));
    const score = await compileScorer({ model, parameters, runtime: nodeRuntime, trained });
    const scored = await score(examples, familyWeights(model.weights), coefficients);
    expectClose(scored.tokens, golden.logps.flat(), 1e-5, { what: "token log-probabilities" });
    expect([...scored.gradients.keys()].toSorted()).toEqual(Object.keys(golden.gradients).toSorted());
    for (const [name, expected] of Object.entries(golden.gradients)) {
      const actual = summarize(name, scored.gradients.get(name)!);
      expectClose(actual, expected, 5e-5, { floor: 1e-2, what: `gradient of ${name}` });
    }
  });
});

describe.each(Object.keys(families.adapters))("an adapter on all linear layers of %s", (variant) => {
  const golden = families.adapters[variant]!;
  const model = familyModel(variant);
  const matrix = (module: string, side: "A" | "B", size: number) => formulaValues(`${module}.lora_${side}`, size);

  it("is on the layers that PEFT takes, and gives its log-probabilities and gradients", async () => {
    const parameters = withLora(checkpointParameters(model.weights), model.weights, {
      rank: golden.r,
      alpha: golden.lora_alpha,
      rankStabilized: false,
      modules: model.linearModules,
    });
    expect(model.fanInFanOut ?? false).toBe(golden.fanInFanOut);
    const names = (side: "A" | "B") => model.linearModules.map((module) => `${module}.lora_${side}.weight`);
    expect([...names("A"), ...names("B")].toSorted()).toEqual(Object.keys(golden.gradients).toSorted());

    const score = await compileScorer({ model, parameters, runtime: nodeRuntime, trained: () => parameters.inputs });
    const adapter = parameters.inputs.map((one) => {
      const size = (one.shape[0] * one.shape[1]) / one.modules.length;
      const values = one.modules.flatMap((module) => [...matrix(module, one.matrix, size)]);
      return [one.name, arrayOf(one.shape, values)] as const;
    });
    const weights = { ...familyWeights(model.weights), ...Object.fromEntries(adapter) };
    const scored = await score(examples, weights, coefficients);
    expectClose(scored.tokens, golden.logps.flat(), 1e-5, { what: "token log-probabilities" });
    for (const { name, modules, matrix: side } of parameters.inputs) {
      const gradient = scored.gradients.get(name)!;
      const size = gradient.length / modules.length;
      modules.forEach((module, i) => {
        const own = `${module}.lora_${side}.weight`;
        const actual = summarize(own, gradient.slice(i * size, (i + 1) * size));
        expectClose(actual, golden.gradients[own]!, 5e-5, { floor: 1e-2, what: `gradient of ${own}` });
      });
    }
  });

  it("scores as the model that it is merged into", async () => {
    const modules = model.linearModules.map((module) => {
      const { inFeatures, outFeatures } = linearSizes(model, module);
      const [a, b] = [matrix(module, "A", golden.r * inFeatures), matrix(module, "B", golden.r * outFeatures)];
      return [module, { a, b, inFeatures, outFeatures }] as const;
    });
    const adapter = { rank: golden.r, alpha: golden.lora_alpha, rsLora: false, targets: [], modules: new Map(modules) };
    const merged = mergedWeights(weightsOnly(familyWeights(model.weights)), model, adapter);
    const score = await compileScorer({ model, parameters: checkpointParameters(model.weights), runtime: nodeRuntime });
    const weights = Object.fromEntries(merged.map(({ name, shape, read }) => [name, { dims: shape, data: read() }]));
    const scored = await score(examples, weights as Weights);
    expectClose(scored.tokens, golden.logps.flat(), 1e-5, { what: "token log-probabilities" });
  });
});

it("a checkpoint of a model's body alone, as GPT-2's own, lacks the body's name in front of its weights", async () => {
  const model = familyModel("gpt2");
  const weights = familyWeights(model.weights);
  const bare = Object.fromEntries(
    Object.entries(weights).map(([name, value]) => [name.replace("transformer.", ""), value]),
  );
  expect(await loadWeights(weightsOnly(bare), model)).toEqual(weights);
  const { "h.1.ln_2.bias": _, ...incomplete } = bare;
  await expect(loadWeights(weightsOnly(incomplete), model)).rejects.toThrow(
    'the weight "transformer.h.1.ln_2.bias" is missing',
  );
});

it.each(Object.keys(families.rewards))("a reward model over %s gives transformers' rewards", async (variant) => {
  const { config, rewards } = families.rewards[variant]!;
  const model = modelFor({ config, source: variant });
  expect([...model.weights.keys()].filter((name) => /head|embed_out|score/.test(name))).toEqual(["score.weight"]);
  const tokenized = examples.map(({ prompt, completions }) => ({
    prompt: Int32Array.from(prompt),
    completions: completions.map((ids) => Int32Array.from(ids)),
  }));
  await using program = await nodeRuntime.compile(scoreProgram(model, checkpointParameters(model.weights)));
  const { logps } = await program.run({
    ...familyWeights(model.weights),
    ...rotaryInputValues(model, longestSequence(tokenized)),
    ...batchInputs(packExamples(tokenized)),
  });
  expectClose(numbers(logps!), rewards, 1e-5);
});

it("a weight of a type that can't be read is refused by its type", async () => {
  const model = familyModel("qwen3");
  const { "model.norm.weight": _, ...weights } = familyWeights(model.weights);
  const checkpoint = { ...weightsOnly(weights), unreadable: new Map([["model.norm.weight", "F8_E4M3"]]) };
  await expect(loadWeights(checkpoint, model)).rejects.toThrow(
    'weights: the weight "model.norm.weight" is stored as F8_E4M3; weights must be F32, F16 or BF16.',
  );
});

describe("an output head that the configuration says is the embedding", () => {
  const head = (
    [name, embedding]: readonly [string, string],
    change: (values: Float32Array) => void,
    variant: string,
  ) => {
    const model = familyModel(variant);
    const weights = familyWeights(model.weights);
    const { dims, data } = weights[embedding]!;
    const values = Float32Array.from(data as Float32Array);
    change(values);
    return loadWeights(weightsOnly({ ...weights, [name]: { dims, data: values } }), model);
  };
  const names = {
    gemma2: ["lm_head.weight", "model.embed_tokens.weight"],
    gpt2: ["lm_head.weight", "transformer.wte.weight"],
    "gpt_neox-sequential": ["embed_out.weight", "gpt_neox.embed_in.weight"],
  } as const;

  it.each(Object.entries(names))("may be stored a second time (%s)", async (variant, pair) => {
    expect(Object.keys(await head(pair, () => {}, variant))).toEqual([...familyModel(variant).weights.keys()]);
  });

  it.each(Object.entries(names))(
    "is refused with other values: transformers would take them (%s)",
    async (variant, pair) => {
      const changed = head(pair, (values) => values.set([9], values.length - 1), variant);
      await expect(changed).rejects.toThrow(
        `weights: has the output head "${pair[0]}", whose values are not those of "${pair[1]}", but by config.json the two are one. Set tie_word_embeddings to false in config.json.`,
      );
    },
  );
});
