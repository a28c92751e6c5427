/** Small files that claim, or unpack to, more than any machine has. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { loadPreferences } from "../../src/data/load.ts";
import { PreftuneError } from "../../src/errors.ts";
import { modelFor } from "../../src/models/index.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { ggufBytes, safetensorsBytes, text, u32, u64 } from "../checkpoints/fixtures.ts";
import { scratchFolder } from "../support/scratch.ts";
import { byteFiles } from "../text/tokenizers.ts";

const { folder, at } = scratchFolder();
const tokenizer = tokenizerFromFiles(byteFiles({}));

/** The message of a refusal, the folder left out. Fails where the process takes more than `megabytes` for it. */
async function refusal(
  name: string,
  bytes: Uint8Array,
  open: (path: string) => unknown,
  megabytes = 400,
): Promise<string> {
  const path = at(name);
  writeFileSync(path, bytes);
  const before = process.memoryUsage().rss;
  try {
    await open(path);
  } catch (error) {
    expect(error).toBeInstanceOf(PreftuneError);
    expect((process.memoryUsage().rss - before) / 1e6).toBeLessThan(megabytes);
    return (error as Error).message.replaceAll(`${folder}/`, "");
  }
  throw new Error("nothing was thrown");
}

const load = (files: string) =>
  loadPreferences({ files, tokenizer, maxLength: 64, maxPromptLength: 32, truncation: "drop", onBadRow: "drop" });

/** Zstandard data of `count` blocks, each a byte repeated 128 KiB times (RFC 8878, 3.1.1.2.2). */
function zstandardBomb(code: number, count: number): Uint8Array {
  const header = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58]);
  const block = (isLast: boolean) => {
    const bytes = Buffer.alloc(4, code);
    bytes.writeUIntLE(((2 ** 17) << 3) | (1 << 1) | Number(isLast), 0, 3);
    return bytes;
  };
  return Buffer.concat([header, ...Array.from({ length: count }, (_, i) => block(i === count - 1))]);
}

/** gzip data of `count` times 64 MiB of one byte. */
function gzipBomb(code: number, count: number): Uint8Array {
  const member = gzipSync(Buffer.alloc(2 ** 26, code));
  return Buffer.concat(Array.from({ length: count }, () => member));
}

describe("packed data that unpacks to gigabytes", () => {
  const letter = "a".charCodeAt(0);
  const tooLong = /^bomb\S+: row 1 is longer than 64 MiB\. /;

  test("as one line", async () => {
    expect(await refusal("bomb.jsonl.gz", gzipBomb(letter, 32), load)).toMatch(tooLong);
    expect(await refusal("bomb.jsonl.zst", zstandardBomb(letter, 2 ** 14), load)).toMatch(tooLong);
  });

  test("as one cell", async () => {
    expect(await refusal("bomb.csv.gz", gzipBomb(letter, 32), load)).toMatch(tooLong);
  });

  test("as white space", async () => {
    const message = await refusal("space.jsonl.zst", zstandardBomb(0x20, 2 ** 14), load);
    expect(message).toMatch(/^space\.jsonl\.zst begins with more than 1048576 bytes of white space\./);
  });

  test("as zeros", async () => {
    expect(await refusal("zeros.jsonl.zst", zstandardBomb(0, 2 ** 14), load)).toMatch(
      /^zeros\.jsonl\.zst is a binary file/,
    );
  });
});

describe("headers that claim 2^60 of something", () => {
  const huge = 2n ** 60n;
  const openGguf = async (path: string) => (await openCheckpoint(path))[Symbol.dispose]();
  const tensor = { name: "token_embd.weight", dimensions: [8, 2], type: 0, offset: 0 };

  test.each([
    ["tensors", ggufBytes({ tensorCount: huge })],
    ["metadata entries", ggufBytes({ metadataCount: huge })],
    ["elements", ggufBytes({ metadata: [["tokenizer.ggml.tokens", 9, Buffer.concat([u32(8), u64(huge)])]] })],
    ["characters", ggufBytes({ metadata: [["general.name", 8, u64(huge)]] })],
    ["rows", ggufBytes({ tensors: [{ ...tensor, dimensions: [8, huge] }] })],
    ["bytes before a tensor", ggufBytes({ tensors: [{ ...tensor, offset: huge }] })],
    ["bytes of alignment", ggufBytes({ metadata: [["general.alignment", 10, u64(huge)]] })],
    [
      "parts",
      ggufBytes({
        metadata: [
          ["general.architecture", 8, text("llama")],
          ["split.count", 10, u64(huge)],
        ],
      }),
    ],
  ])("GGUF: %s", async (_, bytes) => {
    expect(await refusal("huge.gguf", bytes, openGguf, 50)).toMatch(/^huge\.gguf: /);
  });

  test.each([
    ["bytes of header", safetensorsBytes({}, new Uint8Array(8), huge)],
    ["elements", safetensorsBytes(`{"a":{"dtype":"F32","shape":[${huge}],"data_offsets":[0,${4n * huge}]}}`)],
    [
      "offsets that safe integers hold",
      safetensorsBytes(`{"a":{"dtype":"F32","shape":[${2 ** 50}],"data_offsets":[0,${2 ** 52}]}}`),
    ],
    ["elements of no bytes", safetensorsBytes(`{"a":{"dtype":"F32","shape":[${2 ** 50},0,9],"data_offsets":[0,4]}}`)],
  ])("safetensors: %s", async (_, bytes) => {
    expect(await refusal("huge.safetensors", bytes, (path) => new SafetensorsFile(path), 50)).toMatch(
      /^huge\.safetensors: /,
    );
  });

  test("config.json: layers", () => {
    const sizes = {
      vocab_size: 8,
      hidden_size: 8,
      intermediate_size: 8,
      num_attention_heads: 2,
      max_position_embeddings: 8,
      rms_norm_eps: 1e-5,
    };
    const config = { model_type: "llama", ...sizes, num_hidden_layers: 2 ** 50 };
    expect(() => modelFor({ config, source: "m" })).toThrow(/^m: config\.json: num_hidden_layers: /);
  });
});

describe("files of a model folder that are none, or are nothing that a model has", () => {
  const openWith = async (name: string, make: (path: string) => void) => {
    const model = at(name);
    mkdirSync(model);
    make(join(model, "config.json"));
    return await openCheckpoint(model);
  };

  test.skipIf(process.platform === "win32")("a link to a device that never ends", async () => {
    const opening = openWith("device", (path) => symlinkSync("/dev/zero", path));
    await expect(opening).rejects.toThrow(/config\.json: is not a regular file\.$/);
  });

  test("JSON that nests a million deep", async () => {
    const opening = openWith("deep", (path) => writeFileSync(path, `{"a":${"[".repeat(1e6)}${"]".repeat(1e6)}}`));
    await expect(opening).rejects.toThrow(/config\.json: the file nests deeper than 64 levels/);
  });

  test("a tokenizer whose expression runs for ever on a text", () => {
    const files = byteFiles({});
    const split = { type: "Split", pattern: { Regex: "(\\w+\\s?)+$" }, behavior: "Isolated", invert: false };
    const tokenizer = { ...files.tokenizer, pre_tokenizer: { type: "Sequence", pretokenizers: [split] } };
    expect(() => tokenizerFromFiles({ ...files, source: "m", tokenizer })).toThrow(
      /^m: tokenizer\.json has the regular expression .* which repeats a group that matches in several ways/,
    );
  });
});

describe("rows that take long to look at", () => {
  test("a CSV head of a hundred thousand columns", async () => {
    const head = Array.from({ length: 100_000 }, (_, i) => `column${i}`).join(",");
    const start = performance.now();
    expect(await refusal("wide.csv", Buffer.from(`${head}\n${head}\n`), load)).toMatch(/^No row can be used/);
    expect(performance.now() - start).toBeLessThan(10_000);
  });

  test("a value nested a million deep", async () => {
    const deep = `{"prompt":"a","chosen":${"[".repeat(1e6)}${"]".repeat(1e6)},"rejected":"b"}\n`;
    expect(await refusal("deep.jsonl", Buffer.from(deep), load)).toMatch(/^No row can be used/);
  });

  test("HTML of nothing but brackets", async () => {
    const row = {
      question: "<".repeat(1e5),
      answers: [
        { text: "<a ".repeat(5e4), score: 1 },
        { text: "<p>b", score: 0 },
      ],
    };
    const path = at("html.jsonl");
    writeFileSync(path, JSON.stringify(row));
    const start = performance.now();
    await load(path).catch((error: unknown) => expect(error).toBeInstanceOf(PreftuneError));
    expect(performance.now() - start).toBeLessThan(20_000);
  });
});
