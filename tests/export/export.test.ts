/** Exports in every format: what is merged is checked, what can't be is refused, and the card says what was done. */

import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { licenseOf } from "../../src/checkpoints/license.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { type LoraAdapter, readAdapter, writeAdapter } from "../../src/checkpoints/peft.ts";
import { ConfigError } from "../../src/errors.ts";
import { exportModel } from "../../src/export/export.ts";
import { checkMerge } from "../../src/export/merge-check.ts";
import { inspectData } from "../../src/inspection/data.ts";
import { inspectModel } from "../../src/inspection/model.ts";
import { modelFor } from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { Random } from "../../src/random.ts";
import { writeRewardModel } from "../support/reward-model.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writeTinyModel } from "../support/tiny-model.ts";

const { at } = scratchFolder();
const model = writeTinyModel(at("model"));

/** An adapter on two layers of the tiny model, with numbers of this size. */
function adapterOf(size: number): LoraAdapter {
  const random = new Random(5);
  const matrix = (count: number) => Float32Array.from({ length: count }, () => size * (random.next() - 0.5));
  const modules = ["model.layers.0.self_attn.q_proj", "model.layers.1.self_attn.q_proj"].map(
    (module) => [module, { a: matrix(2 * 32), b: matrix(32 * 2), inFeatures: 32, outFeatures: 32 }] as const,
  );
  return { rank: 2, alpha: 4, rsLora: false, targets: ["q_proj"], baseModel: "some/model", modules: new Map(modules) };
}

const CARD = "---\nbase_model: some/model\nlibrary_name: peft\ntags:\n- dpo\n---\n\n# Mine\n";
writeAdapter(at("adapter"), adapterOf(0.5), { "README.md": CARD });

describe("an adapter merged into a folder", () => {
  test("is named in the card with how far it is from base and adapter, under what the run's card says", async () => {
    const { merge } = await exportModel({ model, adapter: at("adapter"), dtype: "bf16", output: at("merged") });
    expect(merge!.tokens).toBeGreaterThan(100);
    expect(merge!.largest).toBeGreaterThan(0);
    expect(merge!.largest).toBeLessThan(1e-3);
    const card = readFileSync(at("merged/README.md"), "utf8");
    expect(parse(card.split("---\n")[1]!)).toEqual({
      base_model: "some/model",
      library_name: "transformers",
      tags: ["dpo"],
    });
    expect(card).toContain("# Mine");
    expect(card).toContain(`differ from those of base and adapter by at most ${merge!.largest.toPrecision(2)} nats.`);
    expect(card).toContain(`preftune export --model ${model} --adapter ${at("adapter")} --format hf --dtype bf16`);
    expect(JSON.parse(readFileSync(at("merged/config.json"), "utf8"))).toMatchObject({ dtype: "bfloat16" });
  });

  test("is refused where it is not what base and adapter say", async () => {
    using checkpoint = await openCheckpoint(model);
    const tiny = modelFor(checkpoint);
    const [adapter, other] = [adapterOf(0.5), adapterOf(0.6)];
    const check = checkMerge(checkpoint, tiny, adapter, mergedWeights(checkpoint, tiny, other));
    await expect(check).rejects.toThrow(/^The merged model differs from the model with its adapter by up to \S+ nats/);
  });
});

describe("an adapter alone", () => {
  test("is written as it was, with its card", async () => {
    await exportModel({ model, adapter: at("adapter"), format: "peft", output: at("alone") });
    expect(readdirSync(at("alone")).toSorted()).toEqual([
      "README.md",
      "adapter_config.json",
      "adapter_model.safetensors",
    ]);
    expect(readAdapter(at("alone"))).toEqual(readAdapter(at("adapter")));
    expect(readFileSync(at("alone/README.md"), "utf8")).toBe(CARD);
  });

  test("is refused where there is none", async () => {
    const refused = exportModel({ model, format: "peft", output: at("none") });
    await expect(refused).rejects.toThrow("has none: all of its weights are its own. Use --format hf.");
    expect(existsSync(at("none"))).toBe(false);
  });
});

test("what a killed export has left of a name is removed by the next of that name, and nothing else", async () => {
  const gone = spawnSync(process.execPath, ["-e", ""]).pid;
  const left = [`.again.tmp-${gone}`, `again.tmp-${gone}`];
  const kept = [`.again.tmp-${process.ppid}`, `.other.tmp-${gone}`, "again.tmp-x", "again.txt"];
  for (const name of [...left, ...kept]) mkdirSync(at("exports", name), { recursive: true });
  await exportModel({ model, output: at("exports", "again") });
  expect(readdirSync(at("exports")).toSorted()).toEqual([...kept, "again"].toSorted());
});

test.each([
  ["exportModel", () => exportModel({ model, format: "zip" as "hf", output: at("none") }), /^format: Invalid option/],
  ["inspectModel", () => inspectModel({ model, batchSize: 0 }), /^batchSize: /],
  ["inspectData", () => inspectData({ model } as never), /^data is missing/],
] as const)("a setting that is wrong is refused by name: %s", async (_, call, message) => {
  const error: unknown = await call().catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ConfigError);
  expect((error as Error).message).toMatch(message);
});

describe("a type of weights that a format does not have is refused", () => {
  test.each([
    ["hf", "q8_0", "(f32, f16, bf16 can)"],
    ["peft", "f16", "(f32 can)"],
    ["onnx", "bf16", "(f32, f16 can)"],
  ] as const)("%s: %s", async (format, dtype, can) => {
    const refused = exportModel({ model, adapter: at("adapter"), format, dtype, output: at("type") });
    await expect(refused).rejects.toThrow(`--dtype ${dtype} can't be stored in --format ${format} ${can}.`);
    expect(existsSync(at("type"))).toBe(false);
  });
});

describe("a reward model", () => {
  test("is exported as a folder alone: no other form has a head of one row", async () => {
    const reward = await writeRewardModel(at("reward"), { model, head: Array.from({ length: 32 }, (_, i) => i / 8) });
    await exportModel({ model: reward, dtype: "f16", output: at("reward-f16") });
    using again = await openCheckpoint(at("reward-f16"));
    expect([...again.read("score.weight").subarray(0, 3)]).toEqual([0, 0.125, 0.25]);
    for (const format of ["gguf", "onnx"] as const) {
      const refused = exportModel({ model: reward, format, output: at("refused") });
      await expect(refused).rejects.toThrow("reward models can't be written");
      expect(existsSync(at("refused"))).toBe(false);
    }
  });
});

test("the license of a base model goes from its card into what is made of it", () => {
  mkdirSync(at("licensed"));
  expect(licenseOf(at("licensed"))).toBeUndefined();
  writeFileSync(at("licensed/README.md"), "---\nlicense: apache-2.0\n---\n# A model\n");
  expect(licenseOf(at("licensed"))).toBe("apache-2.0");
  writeFileSync(at("licensed/README.md"), "---\nlicense: [: broken\n---\n");
  expect(licenseOf(at("licensed"))).toBeUndefined();
});
