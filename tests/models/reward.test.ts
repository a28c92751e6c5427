import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Checkpoint, JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { packExamples } from "../../src/data/microbatch.ts";
import {
  checkpointParameters,
  loadWeights,
  modelFor,
  refuseLanguageModel,
  refuseRewardModel,
  rotaryInputValues,
  type Weights,
  withRewardHead,
} from "../../src/models/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { topologicalOrder } from "../../src/tensor/index.ts";
import { batchInputs } from "../../src/training/step/engine.ts";
import { scoreProgram } from "../../src/training/step/step.ts";
import { expectClose, numbers } from "../support/programs.ts";
import { type Example, golden, goldenTensors } from "./golden.ts";

/** A checkpoint in memory: a golden Llama's weights with a tokenizer's names of special tokens. */
function checkpointOf(
  variant: string,
  changes: { config?: JsonObject; tokens?: JsonObject; chatTemplate?: string; endTokens?: number[] } = {},
): Checkpoint {
  const { weights } = goldenTensors(variant);
  const contents = ["<unk>", "<s>", "</s>", "<pad>", "<extra>"];
  const { config = {}, tokens = { eos_token: "</s>", unk_token: "<unk>" }, chatTemplate, endTokens } = changes;
  return {
    source: variant,
    config: { ...golden.variants[variant]!.config, eos_token_id: 2, ...config },
    ...(endTokens && { generationConfig: { eos_token_id: endTokens } }),
    tokenizer: {
      tokenizer: { added_tokens: contents.map((content, id) => ({ id, content, special: true })) },
      config: tokens,
      ...(chatTemplate && { chatTemplate }),
    },
    tensors: new Map(
      Object.entries(weights).map(([name, { dims }]) => [name, { name, shape: dims, storage: "F32" as const }]),
    ),
    read: (name) => weights[name]!.data as Float32Array<ArrayBuffer>,
    [Symbol.dispose]: () => {},
  };
}

const rewardOf = (checkpoint: Checkpoint, seed: number) => withRewardHead(checkpoint, modelFor(checkpoint), seed);

describe("a new head", () => {
  const deviation = (values: Float32Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0) / values.length);

  it("is normal with the deviation that the configuration says, 0.02 where it says none", () => {
    const wide = { ...checkpointOf("biased"), config: { ...golden.variants.biased!.config, hidden_size: 10_000 } };
    const settings: JsonObject[] = [{}, { initializer_range: 0.5 }];
    const heads = settings.map((config) =>
      rewardOf({ ...wide, config: { ...wide.config, ...config } }, 0).read("score.weight"),
    );
    expect(deviation(heads[0]!)).toBeCloseTo(0.02, 3);
    expect(deviation(heads[1]!)).toBeCloseTo(0.5, 1);
    expect(heads[0]!.reduce((a, b) => a + b, 0) / 10_000).toBeCloseTo(0, 3);
  });

  it("is the same for the same seed, another for another", () => {
    const head = (seed: number) => Array.from(rewardOf(checkpointOf("biased"), seed).read("score.weight"));
    expect(head(1)).toEqual(head(1));
    expect(head(1)).not.toEqual(head(2));
  });

  it.each(["biased", "grouped-tied"])(
    "takes the place of the vocabulary's on %s; the embedding stays",
    async (variant) => {
      const checkpoint = rewardOf(checkpointOf(variant), 0);
      const model = modelFor(checkpoint);
      expect(model.scores).toBe("reward");
      expect(model.headWeight).toBe("score.weight");
      expect(model.weights.get("score.weight")).toEqual([1, model.hiddenSize]);
      expect(model.weights.has("lm_head.weight")).toBe(false);
      expect(model.weights.has("model.embed_tokens.weight")).toBe(true);
      expect(Object.keys(await loadWeights(checkpoint, model))).toEqual([...model.weights.keys()]);
    },
  );

  it("is said in the configuration as transformers says it", () => {
    const architectures = (config: JsonObject) => rewardOf(checkpointOf("biased", { config }), 0).config.architectures;
    expect(architectures({})).toEqual(["LlamaForSequenceClassification"]);
    expect(architectures({ architectures: ["LlamaForCausalLM"] })).toEqual(["LlamaForSequenceClassification"]);
    expect(architectures({ architectures: ["GPT2LMHeadModel"] })).toEqual(["GPT2ForSequenceClassification"]);
    expect(rewardOf(checkpointOf("biased"), 0).config).toMatchObject({
      id2label: { 0: "LABEL_0" },
      label2id: { LABEL_0: 0 },
      pad_token_id: 0,
    });
  });

  it("goes on a GGUF file's model too", async () => {
    const file = fileURLToPath(new URL("../golden/checkpoints/tiny.gguf", import.meta.url));
    using base = await openCheckpoint(file);
    const checkpoint = rewardOf(base, 0);
    const model = modelFor(checkpoint);
    expect(checkpoint.config.architectures).toEqual(["LlamaForSequenceClassification"]);
    expect((await loadWeights(checkpoint, model))["score.weight"]!.data.length).toBe(model.hiddenSize);
  });

  it("is not put on a model that has one", () => {
    const checkpoint = rewardOf(checkpointOf("biased"), 0);
    expect(rewardOf(checkpoint, 1)).toBe(checkpoint);
  });
});

describe("the token to pad with", () => {
  const pad = (changes: Parameters<typeof checkpointOf>[1]) => {
    const { config, tokenizer } = rewardOf(checkpointOf("biased", changes), 0);
    return [config.pad_token_id, tokenizer.config.pad_token];
  };

  it("is the tokenizer's own, if it ends no text", () => {
    expect(pad({ tokens: { eos_token: "</s>", pad_token: "<pad>" } })).toEqual([3, "<pad>"]);
    expect(pad({ tokens: { eos_token: "</s>", pad_token: { content: "<pad>" } } })).toEqual([3, "<pad>"]);
  });

  it("is another where that is the end token, so that the end is not passed over", () => {
    expect(pad({ tokens: { eos_token: "</s>", pad_token: "</s>", unk_token: "<unk>" } })).toEqual([0, "<unk>"]);
    expect(pad({ tokens: { eos_token: "</s>", bos_token: "<s>" } })).toEqual([1, "<s>"]);
    expect(pad({ tokens: { eos_token: "</s>" } })).toEqual([0, "<unk>"]);
  });

  it("ends no turn either", () => {
    const tokens = { eos_token: "</s>", pad_token: "<pad>", bos_token: "<s>" };
    expect(pad({ tokens, endTokens: [2, 3] })).toEqual([1, "<s>"]);
    expect(pad({ tokens, chatTemplate: "{{ message.content }}<pad>" })).toEqual([1, "<s>"]);
  });

  it("is none where every special token is an end", () => {
    expect(pad({ tokens: { eos_token: "</s>" }, endTokens: [0, 1, 2, 3, 4] })).toEqual([null, undefined]);
  });
});

describe("a reward model", async () => {
  const checkpoint = rewardOf(checkpointOf("biased", { config: { initializer_range: 1 } }), 3);
  const model = modelFor(checkpoint);
  const weights: Weights = await loadWeights(checkpoint, model);
  const program = scoreProgram(model, checkpointParameters(model.weights));

  async function rewards(examples: readonly Example[], runtime: Runtime = interpreter): Promise<number[]> {
    await using executable = await runtime.compile(program);
    const tokenized = examples.map(({ prompt, completions }) => ({
      prompt: Int32Array.from(prompt),
      completions: completions.map((ids) => Int32Array.from(ids)),
    }));
    const batch = packExamples(tokenized, model.padToken);
    const rotary = rotaryInputValues(model, model.maxPositions);
    return numbers((await executable.run({ ...weights, ...rotary, ...batchInputs(batch) })).logps!);
  }

  it("computes nothing of the vocabulary's size", () => {
    const sizes = [...topologicalOrder(Object.values(program.outputs))].map(({ outputs }) => outputs[0]!.shape);
    const wide = sizes.filter((shape) => shape.includes(model.vocabularySize));
    expect(wide).toEqual([[model.vocabularySize, model.hiddenSize]]); // The embedding.
  });

  const ids = (minLength: number, maxLength: number) =>
    fc.array(fc.integer({ min: 1, max: model.vocabularySize - 1 }), { minLength, maxLength });

  it("says the same of a completion alone, sharing its prompt, and packed with other examples", async () => {
    const example = fc.record({ prompt: ids(1, 9), completions: fc.array(ids(1, 6), { minLength: 1, maxLength: 3 }) });
    await fc.assert(
      fc.asyncProperty(fc.array(example, { minLength: 1, maxLength: 3 }), async (examples) => {
        const apart = examples.flatMap(({ prompt, completions }) =>
          completions.map((c) => ({ prompt, completions: [c] })),
        );
        const alone = await Promise.all(apart.map((one) => rewards([one])));
        expectClose(await rewards(examples), alone.flat(), 1e-12);
      }),
      { numRuns: 12 },
    );
  });

  it("reads where the completion ends: no matter where the prompt does", async () => {
    const [split, other] = await rewards([
      { prompt: [5, 6, 7], completions: [[8, 9]] },
      { prompt: [5, 6], completions: [[7, 8, 9]] },
    ]);
    expect(split).toBeCloseTo(other!, 12);
  });

  it("passes over padding at the end", async () => {
    const padded = await rewards([{ prompt: [5, 6, 7], completions: [[8, 9], [8, 9, 0, 0], [0]] }]);
    expect(padded[1]).toBeCloseTo(padded[0]!, 12);
    const [atPrompt] = await rewards([{ prompt: [5, 6], completions: [[7]] }]);
    expect(padded[2]).toBeCloseTo(atPrompt!, 12);
  });

  it("gives the interpreter's rewards on the engine", async () => {
    const examples = [
      {
        prompt: [5, 6, 7],
        completions: [
          [8, 9],
          [3, 4, 2],
        ],
      },
      { prompt: [4], completions: [[3]] },
    ];
    expectClose(await rewards(examples, nodeRuntime), await rewards(examples), 1e-5);
  });

  it("is told from a language model, and refused where one is needed; and the other way round", () => {
    const language = modelFor(checkpointOf("biased"));
    expect(language.scores).toBe("log-probability");
    expect(() => refuseRewardModel(language, "m")).not.toThrow();
    expect(() => refuseLanguageModel(model, "m")).not.toThrow();
    expect(() => refuseRewardModel(model, "m")).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: m: is a reward model, which says how good a text is but can't write one, nor say how likely it is. Give a language model here; score with a reward model by preftune score --reward-model.]`,
    );
    expect(() => refuseLanguageModel(language, "m")).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: m: is a language model and has no reward head. Make a reward model of it by preftune reward, or score with it by --model.]`,
    );
  });

  it("has one label", () => {
    const config = { ...checkpoint.config, id2label: { 0: "bad", 1: "good" } };
    expect(() => modelFor({ config, source: "m" })).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: m: is a classifier of 2 labels (config.json: id2label); a reward model has one.]`,
    );
    const { id2label: _, ...unnamed } = checkpoint.config;
    expect(() => modelFor({ config: unnamed, source: "m" })).toThrow("is a classifier of 2 labels");
    expect(modelFor({ config: { ...unnamed, num_labels: 1 }, source: "m" }).scores).toBe("reward");
  });
});
