import { describe, expect, it } from "vitest";
import { checkpointParameters, withLora } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { arrayOf, expectClose } from "../support/programs.ts";
import { families, familyModel, familyWeights, formulaValues, summarize } from "./families.ts";
import { compileScorer } from "./golden.ts";

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
  it("is on the layers that PEFT takes, and gives its log-probabilities and gradients", async () => {
    const golden = families.adapters[variant]!;
    const model = familyModel(variant);
    const parameters = withLora(checkpointParameters(model.weights), model.weights, {
      rank: golden.r,
      alpha: golden.lora_alpha,
      rankStabilized: false,
      modules: model.linearModules,
    });
    expect(model.fanInFanOut ?? false).toBe(golden.fanInFanOut);
    const matrices = (matrix: "A" | "B") => model.linearModules.map((module) => `${module}.lora_${matrix}.weight`);
    expect([...matrices("A"), ...matrices("B")].toSorted()).toEqual(Object.keys(golden.gradients).toSorted());

    const score = await compileScorer({ model, parameters, runtime: nodeRuntime, trained: () => parameters.inputs });
    const adapter = parameters.inputs.map(({ name, shape, modules, matrix }) => {
      const size = (shape[0] * shape[1]) / modules.length;
      return [
        name,
        arrayOf(
          shape,
          modules.flatMap((m) => [...formulaValues(`${m}.lora_${matrix}`, size)]),
        ),
      ] as const;
    });
    const weights = { ...familyWeights(model.weights), ...Object.fromEntries(adapter) };
    const scored = await score(examples, weights, coefficients);
    expectClose(scored.tokens, golden.logps.flat(), 1e-5, { what: "token log-probabilities" });
    for (const { name, modules, matrix } of parameters.inputs) {
      const gradient = scored.gradients.get(name)!;
      const size = gradient.length / modules.length;
      modules.forEach((module, i) => {
        const own = `${module}.lora_${matrix}.weight`;
        const actual = summarize(own, gradient.slice(i * size, (i + 1) * size));
        expectClose(actual, golden.gradients[own]!, 5e-5, { floor: 1e-2, what: `gradient of ${own}` });
      });
    }
  });
});
