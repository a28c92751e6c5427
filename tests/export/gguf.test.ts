/**
 * GGUF files that preftune writes, opened again by itself. That transformers opens them and says the same is checked by
 * tests/reference/export_roundtrip.py.
 */

import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Checkpoint, JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { readEntries } from "../../src/checkpoints/gguf-entries.ts";
import { writeCheckpoint } from "../../src/checkpoints/huggingface.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { type ExportOptions, exportModel } from "../../src/export/export.ts";
import { checkpointParameters, loadWeights, modelFor } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { families, familyWeights } from "../models/families.ts";
import { compileScorer } from "../models/golden.ts";
import { expectClose } from "../support/programs.ts";
import { scratchFolder } from "../support/scratch.ts";
import { STORIES, sharedMissing } from "../support/shared.ts";
import { writeTinyModel } from "../support/tiny-model.ts";

const TINY_GGUF = fileURLToPath(new URL("../golden/checkpoints/tiny.gguf", import.meta.url));

const { at, folder: scratch } = scratchFolder();
const model = writeTinyModel(at("model"));

const TEXTS = [
  "A film that I'd see again in 2027: 3 hours, 4 stars!",
  "  spaces,\ttabs\nand lines\n\n",
  "Ünïcödé ½ 漢字 🙂 <|im_start|>user\nHi<|im_end|>",
];

async function exported(name: string, options: Omit<ExportOptions, "output" | "format">): Promise<Checkpoint> {
  const output = at(name);
  await exportModel({ ...options, format: "gguf", output });
  return openCheckpoint(output);
}

function expectSameTokens(a: Checkpoint, b: Checkpoint): void {
  const [first, second] = [tokenizerFromFiles(a.tokenizer), tokenizerFromFiles(b.tokenizer)];
  for (const text of TEXTS) expect(second.encode(text), text).toEqual(first.encode(text));
  expect([second.bosId, second.eosId]).toEqual([first.bosId, first.eosId]);
  expect(b.tokenizer.chatTemplate).toBe(a.tokenizer.chatTemplate);
}

/** A copy of the tiny model with something else in one of its files. */
function changed(name: string, file: string, change: (json: JsonObject) => JsonObject): string {
  const folder = at(name);
  const read = (path: string) => JSON.parse(readFileSync(join(model, path), "utf8")) as JsonObject;
  const template = readFileSync(join(model, "chat_template.jinja"), "utf8");
  writeCheckpoint(folder, {
    config: read("config.json"),
    tokenizer: { tokenizer: read("tokenizer.json"), config: read("tokenizer_config.json"), chatTemplate: template },
    tensors: [],
  });
  writeFileSync(join(folder, file), JSON.stringify(change(read(file))));
  writeFileSync(join(folder, "model.safetensors"), readFileSync(join(model, "model.safetensors")));
  return folder;
}

describe("a Hugging Face folder as GGUF", () => {
  test("has the same weights, the same token ids and the same settings", async () => {
    using original = await openCheckpoint(model);
    using again = await exported("f32.gguf", { model });
    expect([...again.tensors.keys()].toSorted()).toEqual([...original.tensors.keys()].toSorted());
    for (const name of original.tensors.keys()) expect(again.read(name), name).toEqual(original.read(name));
    const { hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads } = original.config as JsonObject;
    expect(again.config).toMatchObject({ hidden_size, num_hidden_layers, num_attention_heads, num_key_value_heads });
    expectSameTokens(original, again);
  });

  test.each([
    ["f16", "F16"],
    ["bf16", "BF16"],
    ["q8_0", "Q8_0"],
    ["q4_0", "Q4_0"],
  ] as const)("stores matrices as %s, norms as float32", async (dtype, storage) => {
    using original = await openCheckpoint(model);
    using again = await exported(`${dtype}.gguf`, { model, dtype });
    const stored = Object.fromEntries([...again.tensors.values()].map((tensor) => [tensor.name, tensor.storage]));
    expect(stored["model.norm.weight"]).toBe("F32");
    expect(stored["model.layers.1.mlp.down_proj.weight"]).toBe(dtype.startsWith("q") ? "F16" : storage);
    expect(stored["model.layers.1.self_attn.k_proj.weight"]).toBe(storage);
    expect(stored["lm_head.weight"]).toBe(dtype === "q4_0" ? "Q8_0" : storage);
    const name = "model.layers.1.mlp.up_proj.weight";
    const difference = again.read(name).map((x, i) => Math.abs(x - original.read(name)[i]!));
    // Values lie within 0.5 of 0; a block's step is at most 1 / 16 (4 bits) and 1 / 254 (8 bits).
    const steps = { f16: 2 ** -12, bf16: 2 ** -9, q8_0: 1 / 254 / 2 + 2 ** -12, q4_0: 1 / 16 + 2 ** -11 };
    expect(Math.max(...difference)).toBeLessThanOrEqual(steps[dtype]);
    expect(Math.max(...difference)).toBeGreaterThan(0);
  });

  test("of stories260K keeps SentencePiece's tokens", async (context) => {
    context.skip(sharedMissing, "../shared is absent");
    using original = await openCheckpoint(STORIES);
    using again = await exported("stories.gguf", { model: STORIES });
    for (const name of original.tensors.keys()) expect(again.read(name), name).toEqual(original.read(name));
    expectSameTokens(original, again);
  });
});

describe("a GGUF file as another", () => {
  test("has the same weights, metadata and tokens", async () => {
    using original = await openCheckpoint(TINY_GGUF);
    using again = await exported("tiny.gguf", { model: TINY_GGUF });
    for (const name of original.tensors.keys()) expect(again.read(name), name).toEqual(original.read(name));
    expect(again.config).toEqual(original.config);
    expectSameTokens(original, again);
    const ofTheFile = ["general.file_type", "general.quantization_version", "general.alignment"];
    for (const [key, { bytes }] of readEntries(TINY_GGUF)) {
      if (!ofTheFile.includes(key)) expect(readEntries(at("tiny.gguf")).get(key)?.bytes, key).toEqual(bytes);
    }
  });
});

describe("a split GGUF file", () => {
  test("becomes one file, whichever part is given", async () => {
    const part = fileURLToPath(new URL("../golden/checkpoints/families/qwen3-00002-of-00003.gguf", import.meta.url));
    using original = await openCheckpoint(part);
    using again = await exported("new folder/joined.gguf", { model: part });
    expect(again.config).toEqual(original.config);
    for (const name of original.tensors.keys()) expect(again.read(name), name).toEqual(original.read(name));
    expect([...readEntries(at("new folder/joined.gguf")).keys()].filter((key) => key.startsWith("split."))).toEqual([]);
  });
});

describe("every family", () => {
  const GOLDEN = fileURLToPath(new URL("../golden/checkpoints/families/", import.meta.url));
  /** Variants with a setting that llama.cpp has no key for, or has another value of built in, and what the refusal names. */
  const INEXPRESSIBLE: Readonly<Record<string, string>> = {
    mistral: "sliding_window",
    "mistral-yarn": "sliding_window",
    "qwen2-window": "sliding_window",
    "smollm3-window": "sliding_window",
    "gemma2-uncapped": "query_pre_attn_scalar",
    gemma3: "query_pre_attn_scalar",
    "gemma3-capped": "query_pre_attn_scalar",
    smollm3: "no_rope_layer_interval",
    "gpt2-scaled": "config.json",
    "gpt2-unscaled": "activation_function",
    "gpt_neox-sequential": "hidden_act",
  };
  const written = Object.keys(families.variants).filter((variant) => !(variant in INEXPRESSIBLE));

  /** The golden model of a variant with the tokenizer of a GGUF file that the reference wrote. */
  async function variantOf(variant: string) {
    const { config, shapes } = families.variants[variant]!;
    const weights = familyWeights(new Map(Object.entries(shapes)));
    using like = await openCheckpoint(join(GOLDEN, "qwen2.gguf"));
    const folder = at(`variant-${variant}`);
    const tensors = Object.entries(shapes).map(([name, shape]) => ({
      name,
      shape,
      read: () => weights[name]!.data as Float32Array,
    }));
    writeCheckpoint(folder, { config, tokenizer: like.tokenizer, tensors });
    return folder;
  }

  test.each(written)("%s says in GGUF what transformers says of the original", async (variant) => {
    using again = await exported(`${variant}.gguf`, { model: await variantOf(variant) });
    const model = modelFor(again);
    const score = await compileScorer({ model, parameters: checkpointParameters(model.weights), runtime: nodeRuntime });
    const scored = await score(families.examples, await loadWeights(again, model));
    expectClose(scored.tokens, families.variants[variant]!.logps.flat(), 1e-5);
  });

  test.each(Object.entries(INEXPRESSIBLE))("%s is refused for its %s", async (variant, setting) => {
    const refused = exportModel({ model: await variantOf(variant), format: "gguf", output: at("refused.gguf") });
    await expect(refused).rejects.toThrow(new RegExp(`^GGUF: can't express all settings of .*${setting}`));
    expect(existsSync(at("refused.gguf"))).toBe(false);
  });
});

describe("what GGUF can't express is refused, and nothing is written", () => {
  const refusal = async (options: Omit<ExportOptions, "output" | "format">) => {
    const output = at("refused.gguf");
    const error = await exportModel({ ...options, format: "gguf", output }).then(
      () => undefined,
      (thrown: Error) => thrown,
    );
    expect(readdirSync(scratch).filter((name) => name.startsWith("refused"))).toEqual([]);
    return error?.message.replaceAll(scratch, "");
  };

  test("a way of splitting text without a name", async () => {
    const folder = changed("split", "tokenizer.json", (json) => ({
      ...json,
      pre_tokenizer: { type: "Whitespace" },
    }));
    expect(await refusal({ model: folder })).toMatchInlineSnapshot(
      `"GGUF: the tokenizer splits text in a way for which GGUF has no name that preftune knows (normalizer and pre_tokenizer in tokenizer.json). Use --format hf, or convert that folder with llama.cpp."`,
    );
  });

  test("a normalizer that GGUF's readers would leave out", async () => {
    const folder = changed("lower", "tokenizer.json", (json) => ({ ...json, normalizer: { type: "Lowercase" } }));
    expect(await refusal({ model: folder })).toContain("splits text in a way for which GGUF has no name");
  });

  test("a file that is there already", async () => {
    writeFileSync(at("mine.gguf"), "mine");
    await expect(exportModel({ model, format: "gguf", output: at("mine.gguf") })).rejects.toThrow("is there already");
    expect(readFileSync(at("mine.gguf"), "utf8")).toBe("mine");
  });
});
