import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openFolder } from "../../src/checkpoints/huggingface.ts";
import { filesInMemory, openModelFiles } from "../../src/checkpoints/model-files.ts";

const FOLDER = fileURLToPath(new URL("../../examples/film-reviews/model/", import.meta.url));
const files = Object.fromEntries(
  readdirSync(FOLDER).map((name) => [name, new Uint8Array(readFileSync(FOLDER + name))]),
);
const open = (changed: Record<string, Uint8Array | undefined> = {}) => {
  const given = Object.entries({ ...files, ...changed }).filter((entry): entry is [string, Uint8Array] => !!entry[1]);
  return openModelFiles(filesInMemory("the page's model", Object.fromEntries(given)));
};

describe("a model whose files are in memory", () => {
  it("is the model that the folder has", () => {
    using memory = open();
    using folder = openFolder(FOLDER);
    expect(memory.config).toEqual(folder.config);
    expect(memory.generationConfig).toEqual(folder.generationConfig);
    expect({ ...memory.tokenizer, source: "" }).toEqual({ ...folder.tokenizer, source: "" });
    expect([...memory.tensors]).toEqual([...folder.tensors]);
    for (const name of memory.tensors.keys()) expect(memory.read(name)).toEqual(folder.read(name));
  });

  it("gives weights of its own: whoever changes them does not change the file", () => {
    using memory = open();
    const name = [...memory.tensors.keys()][0]!;
    memory.read(name).fill(7);
    expect(memory.read(name)).not.toContain(7);
  });

  it("is refused where a file is missing or cut off, as a folder's is", () => {
    const weights = files["model.safetensors"]!;
    expect(() => open({ "config.json": undefined })).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: the page's model: has no config.json, so it is not a Hugging Face model folder.]`,
    );
    expect(() => open({ "tokenizer.json": undefined })).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: the page's model: has no tokenizer.json. Save the tokenizer with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) into it.]`,
    );
    expect(() => open({ "model.safetensors": undefined })).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: the page's model: has neither model.safetensors nor model.safetensors.index.json.]`,
    );
    expect(() => open({ "model.safetensors": weights.subarray(0, 4) })).toThrowErrorMatchingInlineSnapshot(
      `[CheckpointError: the page's model/model.safetensors: is 4 bytes long, too short for a safetensors file.]`,
    );
    expect(() => open({ "model.safetensors": weights.subarray(0, -1) })).toThrow(/past the file's end/);
    expect(() => open({ "config.json": new Uint8Array([0x7b]) })).toThrow(
      /the page's model\/config.json: the file is not/,
    );
  });
});
