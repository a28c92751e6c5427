import { describe, expect, it } from "vitest";
import type { LoraModule } from "../../src/checkpoints/peft.ts";
import {
  checkpointParameters,
  type LoraInput,
  type LoraParameters,
  type Weights,
  withLora,
} from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { packedInputs, scoreCompletions } from "../../src/models/scoring.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { arrayOf, expectClose } from "../support/programs.ts";
import { compileScorer, golden, goldenModel, goldenTensors, weightsOnly } from "./golden.ts";

const model = goldenModel("biased");
const base = goldenTensors("biased").weights;
const { examples, coefficients } = golden;

/** An adapter of the golden file over the model, once its graph is built: what the graph's inputs hold, in PEFT's terms. */
function adapter(name: string) {
  const settings = golden.adapters[name]!;
  const stored = goldenTensors(name);
  const modules = model.linearModules.filter((module) => `${module}.lora_A.weight` in stored.weights);
  const parameters = withLora(checkpointParameters(model.weights), model.weights, { ...settings, modules });
  return { settings, stored, modules, parameters };
}

const peftNames = ({ modules, matrix }: LoraInput) => modules.map((module) => `${module}.lora_${matrix}.weight`);

/** The stored matrices of each input one after another: A matrices that share their rows lie in one. */
function bindAdapter(parameters: LoraParameters, matrices: Weights): Weights {
  return Object.fromEntries(
    parameters.inputs.map((one) => [
      one.name,
      arrayOf(
        one.shape,
        peftNames(one).flatMap((name) => Array.from(matrices[name]!.data, Number)),
      ),
    ]),
  );
}

/** Scores with an adapter of the golden file, or with other matrices in its place, and differentiates by all of them. */
async function scoreAdapted(name: string, matrices?: Weights) {
  const { parameters, stored } = adapter(name);
  const score = await compileScorer({ model, parameters, runtime: nodeRuntime, trained: () => parameters.inputs });
  // Only the finished graph knows all of the adapter's inputs.
  const weights = { ...base, ...bindAdapter(parameters, matrices ?? stored.weights) };
  return { scored: await score(examples, weights, coefficients), inputs: parameters.inputs };
}

async function scorePlain(weights: Weights) {
  const score = await compileScorer({ model, parameters: checkpointParameters(model.weights), runtime: nodeRuntime });
  return score(examples, weights);
}

describe.each(Object.keys(golden.adapters))("the adapter %s", (name) => {
  it("gives PEFT's log-probabilities, and its gradients of every A and B", async () => {
    const { stored, settings, modules } = adapter(name);
    const { scored, inputs } = await scoreAdapted(name);
    expectClose(scored.tokens, settings.logps.flat(), 2e-6, { what: "token log-probabilities" });
    expect(inputs.flatMap(peftNames).toSorted()).toEqual([...stored.gradients.keys()].toSorted());
    expect(inputs.flatMap((one) => (one.matrix === "B" ? one.modules : [])).toSorted()).toEqual(modules.toSorted());
    for (const one of inputs) {
      const expected = peftNames(one).flatMap((key) => [...stored.gradients.get(key)!]);
      expectClose(scored.gradients.get(one.name)!, expected, 1e-5, { floor: 0, what: `gradient of ${one.name}` });
    }
  });

  it("with B = 0 leaves the model as it is, bit for bit", async () => {
    const { stored } = adapter(name);
    const zeroed = Object.fromEntries(
      Object.entries(stored.weights).map(([key, value]) => [
        key,
        key.includes("lora_B") ? { ...value, data: new Float32Array(value.data.length) } : value,
      ]),
    );
    const { scored } = await scoreAdapted(name, zeroed);
    const plain = await scorePlain(base);
    expect(scored.tokens).toEqual(plain.tokens);
    for (const [key, gradient] of scored.gradients) {
      const moves = gradient.some((x) => x !== 0);
      expect(moves, key).toBe(key.endsWith("lora_B"));
    }
  });

  it("scores as the model that it is merged into", async () => {
    const { stored, settings, modules } = adapter(name);
    const entries = modules.map((module): [string, LoraModule] => {
      const [a, b] = ["A", "B"].map((matrix) => stored.weights[`${module}.lora_${matrix}.weight`]!);
      return [
        module,
        {
          a: a!.data as Float32Array,
          b: b!.data as Float32Array,
          inFeatures: a!.dims[1]!,
          outFeatures: b!.dims[0]!,
        },
      ];
    });
    const checkpoint = weightsOnly(base);
    const lora = { ...settings, rsLora: settings.rankStabilized, targets: [], modules: new Map(entries) };
    const merged = mergedWeights(checkpoint, model, lora).map(({ name: key, shape, read }) => [
      key,
      { dims: shape, data: read() },
    ]);
    const scored = await scorePlain(Object.fromEntries(merged) as Weights);
    expectClose(scored.tokens, settings.logps.flat(), 2e-6);
  });
});

it("layers that read the same rows share one product with all their A matrices", () => {
  const { parameters } = adapter("lora-all-linear");
  scoreCompletions(model, parameters, packedInputs(model));
  const short = (module: string) => module.replace("model.layers.", "").replace("_proj", "");
  const stacks = parameters.inputs
    .filter(({ matrix }) => matrix === "A")
    .map(({ modules }) => modules.map(short).join(" "));
  expect(stacks).toEqual([
    "0.self_attn.q 0.self_attn.k 0.self_attn.v",
    "0.self_attn.o",
    "0.mlp.gate 0.mlp.up",
    "0.mlp.down",
    // The last block's queries are those of the scored rows alone.
    "1.self_attn.q",
    "1.self_attn.k 1.self_attn.v",
    "1.self_attn.o",
    "1.mlp.gate 1.mlp.up",
    "1.mlp.down",
  ]);
});
