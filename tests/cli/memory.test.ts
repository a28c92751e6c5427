/** A model that no machine has the memory for, as a file that takes no room on the disk: every command refuses it at once. */

import { closeSync, existsSync, ftruncateSync, openSync, readdirSync, writeFileSync, writeSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { writeAdapter } from "../../src/checkpoints/peft.ts";
import { hugeConfig, hugeWeights } from "../support/huge-model.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at, folder } = scratchFolder();
const data = writePairs(at("pairs.jsonl"), 4);

function writeHugeModel(): string {
  const path = writeTinyModel(at("huge"));
  writeFileSync(at("huge", "config.json"), JSON.stringify(hugeConfig));
  const { head, size } = hugeWeights();
  const file = openSync(at("huge", "model.safetensors"), "w");
  writeSync(file, head);
  ftruncateSync(file, size);
  closeSync(file);
  return path;
}

describe("a model that needs more memory than there is", () => {
  const model = writeHugeModel();
  const refusal = /^preftune: .*huge: .* 11\d\d\.\d GB .* are available\. .* --force tries it as it is\.\n$/;

  test.each(["dpo", "sft", "reward"])("is refused by %s, which leaves nothing", async (command) => {
    const { code, err } = await preftune(command, "--model", model, "--data", data, "--output", at("run"));
    expect(err).toMatch(refusal);
    expect(code).toBe(2);
    expect(existsSync(at("run"))).toBe(false);
  });

  test("is refused by score and generate", async () => {
    const scored = await preftune("score", "--model", model, "--data", data, "--output", at("scores.jsonl"));
    expect(scored).toMatchObject({ code: 2, err: expect.stringMatching(refusal) });
    expect(readdirSync(folder).toSorted()).toEqual(["huge", "pairs.jsonl"]);
    const written = await preftune("generate", "--model", model, "--prompt", "Hello");
    expect(written).toMatchObject({ code: 2, err: expect.stringMatching(refusal) });
  });

  test("is not merged with an adapter, which can be exported alone", async () => {
    const [inFeatures, outFeatures] = [65536, 65536];
    const module = { a: new Float32Array(inFeatures), b: new Float32Array(outFeatures), inFeatures, outFeatures };
    const modules = new Map([["model.layers.0.self_attn.q_proj", module]]);
    writeAdapter(at("adapter"), { rank: 1, alpha: 1, rsLora: false, targets: ["q_proj"], modules });
    for (const format of ["hf", "gguf", "onnx"]) {
      const words = ["export", "--model", model, "--adapter", at("adapter"), "--format", format];
      const { code, err } = await preftune(...words, "--output", at("merged.gguf"));
      expect(err).toMatch(refusal);
      expect(err).toContain("--format peft exports the adapter alone");
      expect(code).toBe(2);
      expect(existsSync(at("merged.gguf"))).toBe(false);
    }
    const alone = await preftune(
      "export",
      "--model",
      model,
      "--adapter",
      at("adapter"),
      "--format",
      "peft",
      "--output",
      at("alone"),
    );
    expect(alone).toMatchObject({ code: 0, err: "" });
  });

  test("is estimated all the same by inspect model", async () => {
    const { code, out } = await preftune("inspect", "model", model, "--no-time", "--max-length", "64");
    expect(code).toBe(0);
    expect(out).toMatch(/LoRA +64 .* 11\d\d\.\d GB/);
  });
});

test("--force starts a run all the same, and the summary has its memory", async () => {
  const model = writeTinyModel(at("tiny"));
  const words = ["dpo", "--model", model, "--data", data, "--output", at("forced"), "--max-steps", "1", "--force"];
  const { code, out } = await preftune(...words);
  expect(code).toBe(0);
  expect(out).toMatch(
    /memory +about \d+ MB of [\d.]+ GB available: weights 1 MB, optimizer 1 MB, activations \d+ MB\n/,
  );
});
