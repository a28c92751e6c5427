/** A model that no machine has the memory for, as a file that takes no room on the disk: every command refuses it at once. */

import { closeSync, existsSync, ftruncateSync, openSync, readdirSync, writeFileSync, writeSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { modelFor } from "../../src/models/index.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at, folder } = scratchFolder();
const data = writePairs(at("pairs.jsonl"), 4);

/** 275 billion parameters in four layers. */
function writeHugeModel(): string {
  const path = writeTinyModel(at("huge"));
  const config = {
    model_type: "llama",
    vocab_size: 1024,
    hidden_size: 65536,
    intermediate_size: 262144,
    num_hidden_layers: 4,
    num_attention_heads: 512,
    max_position_embeddings: 512,
  };
  writeFileSync(at("huge", "config.json"), JSON.stringify(config));
  let end = 0;
  const entries = [...modelFor({ config, source: path }).weights].map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((a, b) => a * b, 1);
    return [name, { dtype: "BF16", shape, data_offsets: [begin, end] }] as const;
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(at("huge", "model.safetensors"), "w");
  writeSync(file, length);
  writeSync(file, header);
  ftruncateSync(file, 8 + header.length + end);
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
