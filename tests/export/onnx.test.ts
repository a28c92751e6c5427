/** ONNX folders that preftune writes, loaded and generated from by transformers.js, the package that they are for. */

import { readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { AutoModelForCausalLM, AutoTokenizer, env, Tensor } from "@huggingface/transformers";
import { beforeAll, describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import { exportModel } from "../../src/export/export.ts";
import { exportOnnx } from "../../src/export/onnx.ts";
import { checkpointParameters, loadWeights, modelFor } from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { Generator } from "../../src/sampling/index.ts";
import { scratchFolder } from "../support/scratch.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/film-reviews/model", import.meta.url));
const PROMPTS = ["Write a review of the film.", "The acting was", "A long prompt. ".repeat(20)];

const { at, folder: scratch } = scratchFolder();

interface Answer {
  readonly prompt: number[];
  readonly tokens: number[];
}

/** What transformers.js makes of the prompts, greedily. */
async function answersOf(folder: string): Promise<Answer[]> {
  env.allowRemoteModels = false;
  env.localModelPath = dirname(folder);
  const name = folder.slice(dirname(folder).length + 1);
  const model = await AutoModelForCausalLM.from_pretrained(name);
  const tokenizer = await AutoTokenizer.from_pretrained(name);
  const answers: Answer[] = [];
  for (const text of PROMPTS) {
    const inputs = tokenizer(text);
    const output = (await model.generate({ ...inputs, max_new_tokens: 24, do_sample: false })) as {
      readonly data: BigInt64Array;
    };
    const prompt = Array.from(inputs.input_ids.data as BigInt64Array, Number);
    answers.push({ prompt, tokens: Array.from(output.data, Number).slice(prompt.length) });
  }
  await model.dispose();
  return answers;
}

describe("the example model as ONNX", () => {
  let expected: Answer[];
  beforeAll(async () => {
    await using loaded = await loadModel(EXAMPLE);
    const prompts = PROMPTS.map((text) => loaded.tokenizer.encode(text));
    const answers = await loaded.generateFromIds(prompts, { maxNewTokens: 24 });
    expected = answers.map(({ tokens }, i) => ({ prompt: [...prompts[i]!], tokens }));
  });

  test("generates in transformers.js what it generates in preftune, token for token", async () => {
    await exportModel({ model: EXAMPLE, format: "onnx", output: at("whole") });
    expect(readdirSync(at("whole")).toSorted()).toEqual([
      "README.md",
      "config.json",
      "generation_config.json",
      "onnx",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    expect(readdirSync(at("whole/onnx"))).toEqual(["model.onnx"]);
    expect(await answersOf(at("whole"))).toEqual(expected);
  });

  test("generates the same from a batch of prompts of several lengths as from each alone", async () => {
    env.allowRemoteModels = false;
    env.localModelPath = dirname(at("whole"));
    const model = await AutoModelForCausalLM.from_pretrained("whole");
    const tokenizer = await AutoTokenizer.from_pretrained("whole");
    tokenizer.padding_side = "left";
    const inputs = tokenizer(PROMPTS, { padding: true });
    const [, width] = inputs.input_ids.dims as [number, number];
    const output = (await model.generate({ ...inputs, max_new_tokens: 24, do_sample: false })) as Tensor;
    await model.dispose();
    const rows = (output.tolist() as bigint[][]).map((row) => row.slice(width).map(Number));
    // transformers.js writes on for a sequence that has ended until the last has.
    for (const [i, { tokens }] of expected.entries()) expect(rows[i]!.slice(0, tokens.length)).toEqual(tokens);
    expect(new Set(expected.map(({ prompt }) => prompt.length)).size).toBe(PROMPTS.length);
  });

  test.each([
    ["F32", "model.onnx"],
    ["F16", "model_fp16.onnx"],
  ] as const)("in %s with its values in files beside it, as many as its config says", async (storage, file) => {
    using checkpoint = await openCheckpoint(EXAMPLE);
    const model = modelFor(checkpoint);
    const tensors = mergedWeights(checkpoint, model);
    const limits = { inlineBytes: 0, maxFileBytes: 600_000 };
    exportOnnx(at(storage), { checkpoint, model, tensors, storage, card: "A model.", ...limits });
    const config = JSON.parse(readFileSync(join(at(storage), "config.json"), "utf8"));
    const count: number = config["transformers.js_config"].use_external_data_format;
    expect(count).toBeGreaterThan(1);
    const names = Array.from({ length: count }, (_, i) => (i === 0 ? `${file}_data` : `${file}_data_${i}`));
    expect(readdirSync(join(at(storage), "onnx")).toSorted()).toEqual([file, ...names].toSorted());
    const answers = await answersOf(at(storage));
    if (storage === "F32") expect(answers).toEqual(expected);
    // Rounded weights may prefer another token where two are nearly as probable.
    else expect(answers.map(({ tokens }) => tokens[0])).toEqual(expected.map(({ tokens }) => tokens[0]));
  });
});

describe("every family", () => {
  const FOLDER = fileURLToPath(new URL("../golden/checkpoints/families/", import.meta.url));
  const files = readdirSync(FOLDER).filter((name) => /^\w+(-00001-of-\d+)?\.gguf$/.test(name));
  const PROMPT_IDS = [
    [3, 5, 7, 2, 9],
    [8, 4, 6],
  ];
  const WIDTH = 5;

  test.each(files)("%s generates in transformers.js what it generates in preftune, in a padded batch", async (file) => {
    const path = join(FOLDER, file);
    await exportModel({ model: path, format: "onnx", output: at(file) });
    env.allowRemoteModels = false;
    env.localModelPath = scratch;
    const theirs = await AutoModelForCausalLM.from_pretrained(file);
    const padded = (of: (ids: readonly number[]) => readonly number[]) => {
      const rows = PROMPT_IDS.map((ids) => [...new Array<number>(WIDTH - ids.length).fill(0), ...of(ids)]);
      return new Tensor("int64", BigInt64Array.from(rows.flat(), BigInt), [rows.length, WIDTH]);
    };
    const output = (await theirs.generate({
      input_ids: padded((ids) => ids),
      attention_mask: padded((ids) => ids.map(() => 1)),
      max_new_tokens: 10,
      do_sample: false,
      eos_token_id: [999],
    } as Parameters<typeof theirs.generate>[0])) as Tensor;
    await theirs.dispose();
    using checkpoint = await openCheckpoint(path);
    const model = modelFor(checkpoint);
    const parameters = checkpointParameters(model.weights);
    const weights = await loadWeights(checkpoint, model);
    await using ours = await Generator.create({ model, parameters, weights, runtime: nodeRuntime });
    const expected = await ours.generate(PROMPT_IDS, { maxNewTokens: 10 });
    const answers = (output.tolist() as bigint[][]).map((row) => row.slice(WIDTH).map(Number));
    expect(answers).toEqual(expected.map(({ tokens }) => tokens));
  });
});

test("a type that ONNX has no use for is refused before anything is read", async () => {
  const refused = exportModel({ model: "no such model", format: "onnx", dtype: "q4_0", output: at("refused") });
  await expect(refused).rejects.toThrow("--dtype q4_0 can't be stored in --format onnx (f32, f16 can).");
});
