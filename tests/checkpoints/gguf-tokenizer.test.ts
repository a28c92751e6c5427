/** Golden ids: tests/reference/checkpoints_tokenizer.py (transformers and the tokenizers library). */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Tokenizer } from "@huggingface/tokenizers";
import { describe, expect, test } from "vitest";
import type { Json, JsonObject, TokenizerFiles } from "../../src/checkpoints/checkpoint.ts";
import { RandomAccessFile } from "../../src/checkpoints/files.ts";
import { type MetadataValue, readGgufHeader } from "../../src/checkpoints/gguf-header.ts";
import { GgufMetadata } from "../../src/checkpoints/gguf-metadata.ts";
import { ggufTokenizer } from "../../src/checkpoints/gguf-tokenizer.ts";
import { SMOLLM2, STORIES, sharedMissing } from "../support/shared.ts";
import { golden, TINY_GGUF } from "./fixtures.ts";

interface Golden {
  readonly texts: string[];
  readonly transformers: number[][];
  readonly smollm: number[][];
  readonly pre: Record<string, number[][]>;
  readonly gemma: number[][];
  readonly stories: number[][];
}

const reference = golden<Golden>("tokenizer.json");

function metadataOf(path: string): Map<string, MetadataValue> {
  const file = new RandomAccessFile(path);
  const { metadata } = readGgufHeader(file);
  file[Symbol.dispose]();
  return new Map(metadata);
}

function filesOf(metadata: Map<string, MetadataValue>): TokenizerFiles {
  return ggufTokenizer(new GgufMetadata("test.gguf", metadata));
}

function load({ tokenizer, config }: TokenizerFiles): Tokenizer {
  return new Tokenizer(tokenizer, config);
}

function idsOf(tokenizer: Tokenizer, texts: readonly string[]): number[][] {
  return texts.map((text) => tokenizer.encode(text, { add_special_tokens: false }).ids);
}

describe.skipIf(sharedMissing)("SmolLM2's GGUF (from ../shared/models, where it is)", () => {
  const metadata = !sharedMissing ? metadataOf(SMOLLM2) : new Map<string, MetadataValue>();
  const tokenizer = !sharedMissing ? load(filesOf(metadata)) : undefined;

  test("gives the ids of SmolLM2's own tokenizer", () => {
    expect(idsOf(tokenizer!, reference.texts)).toEqual(reference.smollm);
  });

  test("gives the ids of transformers' load of the file, but where that fails to set digits apart", () => {
    const differing = reference.texts.filter((text, i) => {
      const ids = tokenizer!.encode(text, { add_special_tokens: false }).ids;
      return JSON.stringify(ids) !== JSON.stringify(reference.transformers[i]);
    });
    expect(differing).toEqual(["  42 and   7", "x² + y³ = ½ ٣ Ⅷ 五"]);
  });

  test("decodes what it encoded", () => {
    for (const text of reference.texts.filter((text) => text !== "")) {
      expect(tokenizer!.decode(tokenizer!.encode(text).ids)).toBe(text);
    }
  });

  test.each(Object.entries(reference.pre))("the same vocabulary under the pre-tokenizer %s", (pre, ids) => {
    const renamed = load(filesOf(new Map(metadata).set("tokenizer.ggml.pre", pre)));
    const wanted = pre === "qwen2" ? reference.texts.map((text) => text.normalize("NFC") === text) : undefined;
    const compared = (list: number[][]) => list.filter((_, i) => wanted?.[i] ?? true);
    expect(compared(idsOf(renamed, reference.texts))).toEqual(compared(ids));
  });

  test("adds no begin-of-text token unless the metadata says so", () => {
    expect(tokenizer!.encode("a").ids).toEqual(tokenizer!.encode("a", { add_special_tokens: false }).ids);
    const both = new Map(metadata).set("tokenizer.ggml.add_bos_token", true).set("tokenizer.ggml.add_eos_token", true);
    const [a] = tokenizer!.encode("a").ids;
    expect(load(filesOf(both)).encode("a").ids).toEqual([1, a, 2]);
    const llama3 = new Map(metadata).set("tokenizer.ggml.pre", "llama-bpe");
    llama3.delete("tokenizer.ggml.add_bos_token");
    expect(load(filesOf(llama3)).encode("a").ids).toEqual([1, a]);
  });

  test("names its special tokens and keeps its chat template", () => {
    const { config, chatTemplate } = filesOf(metadata);
    expect(config).toEqual({
      tokenizer_class: "PreTrainedTokenizerFast",
      add_bos_token: false,
      add_eos_token: false,
      clean_up_tokenization_spaces: false,
      model_max_length: 8192,
      bos_token: "<|im_start|>",
      eos_token: "<|im_end|>",
      unk_token: "<|endoftext|>",
      pad_token: "<|im_end|>",
    });
    expect(chatTemplate).toContain("<|im_start|>system\n");
  });
});

describe("a SentencePiece vocabulary with scores", () => {
  const metadata = metadataOf(TINY_GGUF);

  test("gives the ids of the tokenizer that it was taken from, bytes for what it does not have", () => {
    expect(idsOf(load(filesOf(metadata)), reference.texts)).toEqual(reference.stories);
  });

  test("in a Gemma file takes its merges from the tokens' order, and pieces of spaces as they are written", () => {
    const tokens = (metadata.get("tokenizer.ggml.tokens") as string[]).slice(0, -2);
    const gemma = new Map(metadata)
      .set("general.architecture", "gemma3")
      .set("tokenizer.ggml.tokens", [...tokens, "  ", "    "])
      .set(
        "tokenizer.ggml.scores",
        tokens.concat("", "").map(() => 0),
      );
    expect(idsOf(load(filesOf(gemma)), reference.texts)).toEqual(reference.gemma);
  });

  test("begins texts with BOS unless the metadata says otherwise", () => {
    const tokenizer = load(filesOf(metadata));
    expect(tokenizer.encode("a").ids[0]).toBe(1);
    const without = load(filesOf(new Map(metadata).set("tokenizer.ggml.add_bos_token", false)));
    expect(without.encode("a").ids).toEqual(tokenizer.encode("a").ids.slice(1));
  });

  test("decodes without the space that it puts before a text", () => {
    const tokenizer = load(filesOf(metadata));
    expect(tokenizer.decode(tokenizer.encode("Once upon a time, é", { add_special_tokens: false }).ids)).toBe(
      "Once upon a time, é",
    );
  });

  test("puts no space before a text where the metadata says so", () => {
    const tokenizer = load(filesOf(new Map(metadata).set("tokenizer.ggml.add_space_prefix", false)));
    expect(tokenizer.encode("Once", { add_special_tokens: false }).tokens.join("")).toBe("Once");
  });

  test.skipIf(sharedMissing)(
    "is read back as the merges of stories260K's tokenizer.json (from ../shared/models)",
    () => {
      const original = JSON.parse(readFileSync(join(STORIES, "tokenizer.json"), "utf8")) as JsonObject;
      const model = (files: JsonObject) => files.model as { vocab: Json; merges: Json[] };
      const rebuilt = filesOf(metadata).tokenizer;
      expect(model(rebuilt).vocab).toEqual(model(original).vocab);
      expect(new Set(model(rebuilt).merges.map(String))).toEqual(
        new Set(model(original).merges.map((merge) => String(merge).replace(" ", ","))),
      );
    },
  );
});

describe("tokens of a user's own and broken vocabularies", () => {
  const base = (): Map<string, MetadataValue> =>
    new Map<string, MetadataValue>([
      ["llama.context_length", 16],
      ["tokenizer.ggml.model", "gpt2"],
      ["tokenizer.ggml.tokens", ["a", "b", "ab", "<think>", "<eos>", "__proto__", "Ġ"]],
      ["tokenizer.ggml.token_type", [1, 1, 1, 4, 3, 1, 1]],
      ["tokenizer.ggml.merges", ["a b"]],
    ]);

  test("control tokens are special, user-defined ones are found whole but are not", () => {
    const tokenizer = load(filesOf(base()));
    expect(tokenizer.encode("ab<think>b<eos>").ids).toEqual([2, 3, 1, 4]);
    expect(tokenizer.decode([2, 3, 1, 4], { skip_special_tokens: true })).toBe("ab<think>b");
  });

  test("any text may be a token", () => {
    expect(Object.entries((filesOf(base()).tokenizer.model as JsonObject).vocab as JsonObject)).toContainEqual([
      "__proto__",
      5,
    ]);
  });

  test.each([
    ["tokenizer.ggml.tokens", undefined, 'lacks "tokenizer.ggml.tokens"'],
    ["tokenizer.ggml.tokens", [1, 2], "must be a list of texts, not a list of 2"],
    ["tokenizer.ggml.token_type", [1], "has 1 token types for 7 tokens"],
    ["tokenizer.ggml.merges", undefined, 'lacks "tokenizer.ggml.merges"'],
    ["tokenizer.ggml.model", undefined, 'lacks "tokenizer.ggml.model"'],
    ["tokenizer.ggml.add_bos_token", 1, "must be true or false, not 1"],
    ["tokenizer.ggml.add_bos_token", true, 'lacks "tokenizer.ggml.bos_token_id"'],
    ["tokenizer.ggml.bos_token_id", -1, "must be a whole number >= 0, not -1"],
  ])("%s = %j is refused", (key, value, message) => {
    const metadata = base();
    if (value === undefined) metadata.delete(key);
    else metadata.set(key, value);
    expect(() => filesOf(metadata)).toThrow(message);
  });

  test("scores must be there for SentencePiece, one a token", () => {
    const metadata = base().set("tokenizer.ggml.model", "llama");
    expect(() => filesOf(metadata)).toThrow('lacks "tokenizer.ggml.scores"');
    expect(() => filesOf(metadata.set("tokenizer.ggml.scores", [0]))).toThrow("has 1 token scores for 7 tokens");
  });
});
