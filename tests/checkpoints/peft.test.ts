/** That peft loads what is written here and says the same: tests/reference/checkpoints_roundtrip.py. */
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { type LoraAdapter, type LoraModule, readAdapter, writeAdapter } from "../../src/checkpoints/peft.ts";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { writeSafetensorsFile } from "../../src/checkpoints/safetensors-writer.ts";
import { messageOf, safetensorsBytes, temporaryFolder } from "./fixtures.ts";

const WEIGHTS = "adapter_model.safetensors";
const Q_PROJ = "model.layers.0.self_attn.q_proj";
const UP_PROJ = "model.layers.0.mlp.up_proj";

function loraModule(rank: number, inFeatures: number, outFeatures: number): LoraModule {
  const values = (length: number) => Float32Array.from({ length }, (_, i) => Math.sin(i + length));
  return { a: values(rank * inFeatures), b: values(outFeatures * rank), inFeatures, outFeatures };
}

const adapter: LoraAdapter = {
  rank: 2,
  alpha: 4,
  rsLora: false,
  targets: ["q_proj", "up_proj"],
  baseModel: "models/tiny",
  modules: new Map([
    [Q_PROJ, loraModule(2, 4, 6)],
    [UP_PROJ, loraModule(2, 4, 3)],
  ]),
};

function written(): string {
  const folder = join(temporaryFolder(), "adapter");
  writeAdapter(folder, adapter);
  return folder;
}

/** An adapter whose configuration has this setting instead. */
function withSetting(key: string, value: JsonObject[string] | undefined): string {
  const folder = written();
  const path = join(folder, "adapter_config.json");
  const { [key]: _, ...config } = JSON.parse(readFileSync(path, "utf8")) as JsonObject;
  writeFileSync(path, JSON.stringify(value === undefined ? config : { ...config, [key]: value }));
  return folder;
}

function withTensors(...tensors: [name: string, shape: number[]][]): string {
  const folder = written();
  const sources = tensors.map(([name, shape]) => ({
    name,
    shape,
    read: () => new Float32Array(shape.reduce((a, b) => a * b, 1)),
  }));
  writeSafetensorsFile(join(folder, WEIGHTS), sources);
  return folder;
}

describe("an adapter that was written", () => {
  test("is read back whole, whatever its numbers", () => {
    const parent = temporaryFolder();
    const size = fc.integer({ min: 1, max: 5 });
    const drawn = fc.record({
      rank: size,
      alpha: fc.integer({ min: 1, max: 64 }),
      rsLora: fc.boolean(),
      layout: fc.constantFrom({}, { fanInFanOut: true }),
      inFeatures: size,
      outFeatures: size,
    });
    let count = 0;
    fc.assert(
      fc.property(drawn, ({ rank, alpha, rsLora, layout, inFeatures, outFeatures }) => {
        const modules = new Map([["lm_head", loraModule(rank, inFeatures, outFeatures)]]);
        const one: LoraAdapter = {
          rank,
          alpha,
          rsLora,
          ...layout,
          targets: ["lm_head"],
          baseModel: undefined,
          modules,
        };
        const folder = join(parent, String(count++));
        writeAdapter(folder, one);
        expect(readAdapter(folder)).toEqual(one);
      }),
      { numRuns: 20 },
    );
  });

  test("has PEFT's files, tensor names and shapes", () => {
    const folder = join(temporaryFolder(), "adapter");
    writeAdapter(folder, adapter, { "README.md": "An adapter." });
    expect(readdirSync(folder).sort()).toEqual(["README.md", "adapter_config.json", WEIGHTS]);
    const file = new SafetensorsFile(join(folder, WEIGHTS));
    expect([...file.tensors.values()].map(({ name, shape }) => `${name} ${shape.join("x")}`)).toEqual([
      "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight 2x4",
      "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight 6x2",
      "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight 2x4",
      "base_model.model.model.layers.0.mlp.up_proj.lora_B.weight 3x2",
    ]);
    file[Symbol.dispose]();
    expect(JSON.parse(readFileSync(join(folder, "adapter_config.json"), "utf8"))).toMatchObject({
      peft_type: "LORA",
      task_type: "CAUSAL_LM",
      base_model_name_or_path: "models/tiny",
      r: 2,
      lora_alpha: 4,
      use_rslora: false,
      target_modules: ["q_proj", "up_proj"],
      bias: "none",
    });
  });

  test("does not replace what is there", () => {
    const folder = written();
    expect(messageOf(() => writeAdapter(folder, adapter))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter: is there already and not an empty folder; choose another name or remove it first."`,
    );
  });
});

describe("what is not plain LoRA is refused by name", () => {
  test.each<[string, JsonObject[string]]>([
    ["peft_type", "IA3"],
    ["use_dora", true],
    ["bias", "lora_only"],
    ["lora_bias", true],
    ["modules_to_save", ["lm_head"]],
    ["rank_pattern", { q_proj: 4 }],
    ["alpha_pattern", { q_proj: 8 }],
    ["layer_replication", [[0, 2]]],
    ["target_parameters", ["experts.w"]],
    ["trainable_token_indices", [1]],
    ["init_lora_weights", "pissa"],
    ["a_setting_of_the_future", "on"],
  ])("%s = %j", (key, value) => {
    expect(() => readAdapter(withSetting(key, value))).toThrow(`adapter_config.json: ${key} is `);
  });

  test("with the reason", () => {
    expect(messageOf(() => readAdapter(withSetting("peft_type", "IA3")))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: peft_type is "IA3"; only LORA adapters are supported."`,
    );
    expect(messageOf(() => readAdapter(withSetting("use_dora", true)))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: use_dora is true; only plain LoRA is supported, without this setting."`,
    );
    expect(messageOf(() => readAdapter(withSetting("bias", "all")))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: bias is "all"; adapters that train biases are not supported."`,
    );
    expect(messageOf(() => readAdapter(withSetting("init_lora_weights", "pissa")))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: init_lora_weights is "pissa"; it changed the base weights; save it with PEFT's path_initial_model_for_weight_conversion."`,
    );
  });

  test.each<[string, JsonObject[string] | undefined]>([
    ["modules_to_save", []],
    ["lora_dropout", 0.1],
    ["init_lora_weights", "gaussian"],
    ["target_modules", "all-linear"],
    ["a_setting_of_the_future", false],
    ["bias", undefined],
  ])("%s = %j is plain", (key, value) => {
    expect(readAdapter(withSetting(key, value))).toEqual(adapter);
  });

  test("matrices of embeddings, and whole weights", () => {
    const embedding = "base_model.model.model.embed_tokens.lora_embedding_A";
    expect(messageOf(() => readAdapter(withTensors([embedding, [2, 4]])))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: tensor "base_model.model.model.embed_tokens.lora_embedding_A" is not a LoRA matrix of a linear module; only those are supported."`,
    );
    expect(() => readAdapter(withTensors(["base_model.model.lm_head.weight", [2, 4]]))).toThrow("is not a LoRA matrix");
    expect(() => readAdapter(withTensors([`${Q_PROJ}.lora_A.weight`, [2, 4]]))).toThrow("is not a LoRA matrix");
    const [a, b] = [`base_model.model.${Q_PROJ}.lora_A.weight`, `base_model.model.${Q_PROJ}.lora_B.weight`];
    expect(messageOf(() => readAdapter(withTensors([a, [2, 4, 3, 3]], [b, [6, 2]])))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" has the shape [2, 4, 3, 3]; only linear modules are supported."`,
    );
  });
});

describe("an adapter that is incomplete or contradicts itself is refused", () => {
  const [a, b] = [`base_model.model.${Q_PROJ}.lora_A.weight`, `base_model.model.${Q_PROJ}.lora_B.weight`];

  test("matrices of a type that can't be read, which would be left out", () => {
    const folder = written();
    const header = Object.fromEntries(
      [a, b].map((name, i) => [name, { dtype: "F64", shape: [2, 1], data_offsets: [16 * i, 16 * i + 16] }]),
    );
    writeFileSync(join(folder, WEIGHTS), safetensorsBytes(header, new Uint8Array(32)));
    expect(messageOf(() => readAdapter(folder))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight" has the dtype F64; LoRA matrices must be F32, F16 or BF16."`,
    );
  });

  test("missing files", () => {
    const folder = written();
    rmSync(join(folder, WEIGHTS));
    expect(messageOf(() => readAdapter(folder))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter: has no adapter_model.safetensors. Load the adapter with PEFT and save it with save_pretrained."`,
    );
    rmSync(join(folder, "adapter_config.json"));
    expect(messageOf(() => readAdapter(folder))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter: has no adapter_config.json, so it is not a PEFT adapter."`,
    );
  });

  test("a run in place of its adapter", () => {
    const folder = written();
    mkdirSync(join(folder, "adapter"));
    for (const name of ["adapter_config.json", WEIGHTS]) renameSync(join(folder, name), join(folder, "adapter", name));
    expect(messageOf(() => readAdapter(folder))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter: has no adapter_config.json, so it is not a PEFT adapter. Give the one in it, /adapter/adapter."`,
    );
  });

  test("numbers", () => {
    expect(messageOf(() => readAdapter(withSetting("r", 0)))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: r is 0; it must be a number above 0."`,
    );
    expect(messageOf(() => readAdapter(withSetting("r", 1.5)))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: r is 1.5; it must be a whole number."`,
    );
    expect(messageOf(() => readAdapter(withSetting("lora_alpha", undefined)))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_config.json: lora_alpha is missing; it must be a number above 0."`,
    );
  });

  test("tensors", () => {
    expect(messageOf(() => readAdapter(withTensors()))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: holds no LoRA matrices."`,
    );
    expect(messageOf(() => readAdapter(withTensors([a, [2, 4]])))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: lacks tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_B.weight", whose other half is there."`,
    );
    expect(messageOf(() => readAdapter(withTensors([b, [6, 2]])))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: lacks tensor "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight", whose other half is there."`,
    );
    expect(messageOf(() => readAdapter(withTensors([a, [3, 4]], [b, [6, 3]])))).toMatchInlineSnapshot(
      `"CheckpointError: /adapter/adapter_model.safetensors: model.layers.0.self_attn.q_proj has lora_A [3, 4] and lora_B [6, 3], which do not fit the rank 2 of adapter_config.json."`,
    );
    expect(() => readAdapter(withTensors([a, [2, 4]], [b, [6, 3]]))).toThrow("do not fit the rank 2");
  });
});
