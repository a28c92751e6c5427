/** That transformers loads what is written here: tests/reference/checkpoints_roundtrip.py. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { type FolderContents, openFolder, writeCheckpoint } from "../../src/checkpoints/huggingface.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { writeSafetensorsFile } from "../../src/checkpoints/safetensors-writer.ts";
import { STORIES, sharedMissing } from "../support/shared.ts";
import { golden, messageOf, safetensorsBytes, TINY_GGUF, temporaryFolder, withoutFolder } from "./fixtures.ts";

const vector = (name: string, ...values: number[]) => ({
  name,
  shape: [values.length],
  read: () => Float32Array.from(values),
});

const contents: FolderContents = {
  config: { model_type: "llama", hidden_size: 2, torch_dtype: "bfloat16" },
  generationConfig: { eos_token_id: [1, 2] },
  tokenizer: {
    tokenizer: { version: "1.0", model: { type: "BPE" } },
    config: { eos_token: "</s>" },
    chatTemplate: "{{ messages }}",
  },
  tensors: [vector("a", 1, 2), vector("b", 3, 4), vector("c", 5, 6)],
};

/** A written folder, sharded in three, to be spoilt by a test. */
function sharded(): string {
  const folder = join(temporaryFolder(), "model");
  writeCheckpoint(folder, contents, { maxShardBytes: 8 });
  return folder;
}

function edit(path: string, change: (json: JsonObject) => void): void {
  const json = JSON.parse(readFileSync(path, "utf8")) as JsonObject;
  change(json);
  writeFileSync(path, JSON.stringify(json));
}

describe("a folder that was written is read back", () => {
  test.each([
    ["single", undefined],
    ["sharded", 8],
  ])("%s", (_, maxShardBytes) => {
    const folder = join(temporaryFolder(), "new", "model");
    writeCheckpoint(folder, { ...contents, files: { "README.md": "A model." } }, { maxShardBytes });
    const checkpoint = openFolder(folder);
    expect(checkpoint.source).toBe(folder);
    expect(checkpoint.config).toEqual({
      model_type: "llama",
      hidden_size: 2,
      dtype: "float32",
      torch_dtype: "float32",
    });
    expect(checkpoint.generationConfig).toEqual(contents.generationConfig);
    expect(checkpoint.tokenizer).toEqual({ ...contents.tokenizer, source: checkpoint.source });
    expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
    expect([...checkpoint.read("c"), ...checkpoint.read("a")]).toEqual([5, 6, 1, 2]);
    expect(readFileSync(join(folder, "README.md"), "utf8")).toBe("A model.");
    checkpoint[Symbol.dispose]();
  });

  test.each([
    ["F16", "float16"],
    ["BF16", "bfloat16"],
  ] as const)("in %s, sharded by what its weights take there, and config.json says so", (storage, dtype) => {
    const folder = join(temporaryFolder(), "model");
    const tensors = [vector("a", 1.5, -2), vector("b", 3, 4), vector("c", 1 + 2 ** -12, 1 + 2 ** -7)];
    writeCheckpoint(folder, { ...contents, tensors }, { storage, maxShardBytes: 8 });
    expect(readdirSync(folder).filter((name) => name.startsWith("model-")).length).toBe(2);
    using checkpoint = openFolder(folder);
    expect(checkpoint.config).toMatchObject({ dtype, torch_dtype: dtype });
    expect(checkpoint.tensors.get("c")).toEqual({ name: "c", shape: [2], storage });
    expect([...checkpoint.read("a"), ...checkpoint.read("c")]).toEqual([1.5, -2, 1, 1 + 2 ** -7]);
  });

  test("a GGUF model becomes a folder with the same weights, settings and tokenizer", async () => {
    const gguf = await openCheckpoint(TINY_GGUF);
    const folder = join(temporaryFolder(), "model");
    const tensors = [...gguf.tensors.values()].map(({ name, shape }) => ({ name, shape, read: () => gguf.read(name) }));
    writeCheckpoint(folder, { ...gguf, config: gguf.config, tokenizer: gguf.tokenizer, tensors });
    const checkpoint = await openCheckpoint(folder);
    for (const name of gguf.tensors.keys()) expect(checkpoint.read(name), name).toEqual(gguf.read(name));
    expect(checkpoint.config).toEqual({ ...gguf.config, dtype: "float32", torch_dtype: "float32" });
    expect(checkpoint.generationConfig).toEqual(gguf.generationConfig);
    expect(checkpoint.tokenizer).toEqual({ ...gguf.tokenizer, source: checkpoint.source });
    checkpoint[Symbol.dispose]();
    gguf[Symbol.dispose]();
  });
});

describe("writing is whole or not at all", () => {
  test("an existing folder that holds something, or a file, is not touched", () => {
    const folder = sharded();
    const before = readdirSync(folder);
    expect(messageOf(() => writeCheckpoint(folder, contents))).toMatchInlineSnapshot(
      `"CheckpointError: /model: is there already and not an empty folder; choose another name or remove it first."`,
    );
    expect(() => writeCheckpoint(join(folder, "config.json"), contents)).toThrow("is there already");
    expect(readdirSync(folder)).toEqual(before);
  });

  test("an empty folder is filled", () => {
    const folder = temporaryFolder();
    writeCheckpoint(folder, contents);
    expect(existsSync(join(folder, "model.safetensors"))).toBe(true);
  });

  test("a write that fails leaves nothing behind", () => {
    const parent = temporaryFolder();
    const failing = {
      ...vector("d", 0),
      read: () => {
        throw new Error("out of luck");
      },
    };
    expect(() =>
      writeCheckpoint(join(parent, "model"), { ...contents, tensors: [...contents.tensors, failing] }),
    ).toThrow("out of luck");
    expect(readdirSync(parent)).toEqual([]);
  });

  test("a place that can't be written to is named", () => {
    const file = join(sharded(), "config.json");
    expect(messageOf(() => writeCheckpoint(join(file, "model"), contents))).toMatchInlineSnapshot(
      `"CheckpointError: /model/config.json/model: can't be written (a part of the path is a file and not a folder)."`,
    );
  });
});

describe("the chat template", () => {
  const templateOf = (chat_template: JsonObject[string], jinja?: string) => {
    const folder = join(temporaryFolder(), "model");
    writeCheckpoint(folder, {
      ...contents,
      tokenizer: { ...contents.tokenizer, config: { chat_template }, chatTemplate: undefined },
    });
    if (jinja !== undefined) writeFileSync(join(folder, "chat_template.jinja"), jinja);
    return openFolder(folder).tokenizer.chatTemplate;
  };

  test("is the one in tokenizer_config.json, the default one of several, or chat_template.jinja's above both", () => {
    expect(templateOf("plain")).toBe("plain");
    expect(
      templateOf([
        { name: "tool_use", template: "t" },
        { name: "default", template: "d" },
      ]),
    ).toBe("d");
    expect(templateOf([{ name: "tool_use", template: "t" }])).toBeUndefined();
    expect(templateOf("plain", "{{ jinja }}")).toBe("{{ jinja }}");
  });

  test("is written once, as chat_template.jinja", () => {
    const folder = join(temporaryFolder(), "model");
    const tokenizer = { ...contents.tokenizer, config: { eos_token: "</s>", chat_template: "old" } };
    writeCheckpoint(folder, { ...contents, tokenizer });
    expect(readFileSync(join(folder, "chat_template.jinja"), "utf8")).toBe("{{ messages }}");
    expect(JSON.parse(readFileSync(join(folder, "tokenizer_config.json"), "utf8"))).toEqual({ eos_token: "</s>" });
  });
});

describe("a folder that is incomplete or contradicts itself is refused", () => {
  const refusal = (spoil: (folder: string) => void) => {
    const folder = sharded();
    spoil(folder);
    return messageOf(() => openFolder(folder));
  };
  const remove = (name: string) => (folder: string) => rmSync(join(folder, name));
  const index = (change: (map: JsonObject) => void) => (folder: string) =>
    edit(join(folder, "model.safetensors.index.json"), (json) => change(json.weight_map as JsonObject));
  const shard = (number: number) => `model-0000${number}-of-00003.safetensors`;

  test("missing files", () => {
    expect(refusal(remove("config.json"))).toMatchInlineSnapshot(
      `"CheckpointError: /model: has no config.json, so it is not a Hugging Face model folder."`,
    );
    expect(refusal(remove("tokenizer.json"))).toMatchInlineSnapshot(
      `"CheckpointError: /model: has no tokenizer.json. Save the tokenizer with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) into it."`,
    );
    expect(refusal(remove("model.safetensors.index.json"))).toMatchInlineSnapshot(
      `"CheckpointError: /model: has neither model.safetensors nor model.safetensors.index.json."`,
    );
    expect(refusal(remove(shard(2)))).toMatchInlineSnapshot(
      `"CheckpointError: /model: the shard model-00002-of-00003.safetensors, which the index names, is missing. Copy or download it too."`,
    );
  });

  test("weights as pickles", () => {
    const onlyPickle = (folder: string) => {
      rmSync(join(folder, "model.safetensors.index.json"));
      writeFileSync(join(folder, "pytorch_model.bin"), "");
    };
    expect(refusal(onlyPickle)).toMatchInlineSnapshot(
      `"CheckpointError: /model: holds its weights as pytorch_model.bin, which can run code when it is read. Convert it to safetensors: load it with transformers and call model.save_pretrained(folder)."`,
    );
  });

  test("an adapter in place of a model", () => {
    const adapter = (folder: string) => {
      rmSync(join(folder, "config.json"));
      writeFileSync(join(folder, "adapter_config.json"), "{}");
    };
    expect(refusal(adapter)).toMatchInlineSnapshot(
      `"CheckpointError: /model: holds a LoRA adapter; give the model that it belongs to, and this folder as the adapter."`,
    );
  });

  test.each([
    ["lora", "dpo", "Give the model that it tunes (base.gguf), and /model/adapter as the adapter."],
    ["full", "dpo", "Give what comes of it, /model/model."],
    ["lora", "reward", "Give what comes of it, /model/model."],
  ])("a run in place of a model: %s tuning by %s", (tuning, method, advice) => {
    const run = (folder: string) =>
      writeFileSync(join(folder, "config.json"), JSON.stringify({ method, tuning, model: "base.gguf" }));
    expect(refusal(run)).toBe(`CheckpointError: /model: is the folder of a run, not of a model. ${advice}`);
  });

  test("an index that does not fit its shards", () => {
    expect(
      refusal(
        index((map) => {
          map.a = shard(2);
        }),
      ),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /model/model.safetensors.index.json: places tensor "a" in model-00002-of-00003.safetensors, but it is not there."`,
    );
    expect(
      refusal(
        index((map) => {
          delete map.b;
          map.c = shard(2);
        }),
      ),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /model/model.safetensors.index.json: places tensor "c" in model-00002-of-00003.safetensors, but it is not there."`,
    );
    expect(
      refusal((folder) => writeSafetensorsFile(join(folder, shard(2)), [vector("b", 1), vector("stray", 2)])),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /model/model.safetensors.index.json: does not place tensor "stray" in model-00002-of-00003.safetensors, where it is."`,
    );
    expect(
      refusal(
        index((map) => {
          map.a = "../elsewhere.safetensors";
        }),
      ),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /model/model.safetensors.index.json: tensor "a" must name a file of the folder, not "../elsewhere.safetensors"."`,
    );
    expect(
      refusal((folder) =>
        edit(join(folder, "model.safetensors.index.json"), (json) => {
          delete json.weight_map;
        }),
      ),
    ).toMatchInlineSnapshot(`"CheckpointError: /model/model.safetensors.index.json: has no "weight_map" object."`);
  });

  test("broken files are named", () => {
    expect(refusal((folder) => writeFileSync(join(folder, "config.json"), "{oops"))).toMatch(
      /^CheckpointError: \/model\/config.json: the file is not valid JSON/,
    );
    expect(refusal((folder) => writeFileSync(join(folder, "tokenizer.json"), "[]"))).toMatchInlineSnapshot(
      `"CheckpointError: /model/tokenizer.json: the file must be a JSON object, not an array of 0."`,
    );
    expect(
      refusal((folder) => writeFileSync(join(folder, shard(3)), safetensorsBytes({}, new Uint8Array(4)))),
    ).toMatchInlineSnapshot(
      `"CheckpointError: /model/model-00003-of-00003.safetensors: the last 4 bytes belong to no tensor. The file is damaged or incomplete: copy or download it again."`,
    );
  });
});

describe("openCheckpoint tells formats apart by what is there", () => {
  const refusal = async (path: string) => {
    const error = await openCheckpoint(path).then(
      () => undefined,
      (error: unknown) => error,
    );
    return withoutFolder(String(error));
  };

  test("a GGUF file under any name", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "blob");
    writeFileSync(path, readFileSync(TINY_GGUF));
    const checkpoint = await openCheckpoint(path);
    expect(checkpoint.config.model_type).toBe("llama");
    checkpoint[Symbol.dispose]();
  });

  test("what can't be opened says why", async () => {
    const folder = sharded();
    expect(await refusal(join(folder, "nowhere"))).toMatchInlineSnapshot(
      `"CheckpointError: /model/nowhere: can't be opened (there is no such file or folder). Give a model folder or a .gguf file."`,
    );
    expect(await refusal(join(folder, shardName))).toMatchInlineSnapshot(
      `"CheckpointError: /model/model-00001-of-00003.safetensors: holds weights only; give the folder that it is in, which has config.json and tokenizer.json too."`,
    );
    expect(await refusal(join(folder, "config.json"))).toMatchInlineSnapshot(
      `"CheckpointError: /model/config.json: is neither a model folder nor a GGUF file."`,
    );
    const [fake, cut] = [join(folder, "fake.gguf"), join(folder, "cut.gguf")];
    writeFileSync(fake, "x".repeat(100));
    writeFileSync(cut, readFileSync(TINY_GGUF).subarray(0, 40000));
    expect(await refusal(fake)).toMatchInlineSnapshot(
      `"CheckpointError: /model/fake.gguf: begins with "xxxx" instead of "GGUF", so it is not a GGUF file."`,
    );
    expect(await refusal(cut)).toMatchInlineSnapshot(
      `"CheckpointError: /model/cut.gguf: tensor "output.weight" ends at byte 46656, past the file's end at 40000. The file is damaged or incomplete: copy or download it again."`,
    );
    mkdirSync(join(folder, "empty"));
    expect(await refusal(join(folder, "empty"))).toMatchInlineSnapshot(
      `"CheckpointError: /model/empty: has no config.json, so it is not a Hugging Face model folder."`,
    );
  });
});

const shardName = "model-00001-of-00003.safetensors";

describe.skipIf(sharedMissing)("stories260K (from ../shared/models, where it is)", () => {
  test("has the settings and, bit for bit, the weights that transformers reads", async () => {
    const expected = golden<{
      stories260K: { config: JsonObject; tensors: Record<string, { shape: number[]; sha256: string }> };
    }>("models.json").stories260K;
    const checkpoint = await openCheckpoint(STORIES);
    expect(checkpoint.config).toMatchObject(expected.config);
    for (const [name, { shape, sha256 }] of Object.entries(expected.tensors)) {
      const digest = createHash("sha256")
        .update(new Uint8Array(checkpoint.read(name).buffer))
        .digest("hex");
      expect([name, checkpoint.tensors.get(name)?.shape, digest]).toEqual([name, shape, sha256]);
    }
    expect(basename(dirname(checkpoint.source))).toBe("models");
    checkpoint[Symbol.dispose]();
  });
});
