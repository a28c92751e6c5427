/** What is known of a model on the hub before its weights are here, and how they come after that. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { writeSafetensorsFile } from "../../src/checkpoints/safetensors-writer.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import { findModel, resolveModel } from "../../src/hub/index.ts";
import { inspectModel } from "../../src/inspection/model.ts";
import { hugeConfig, hugeWeights } from "../support/huge-model.ts";
import { scratchFolder } from "../support/scratch.ts";
import { tinyWeights, writeTinyModel } from "../support/tiny-model.ts";
import type { Files } from "./server.ts";
import { withHub } from "./support.ts";

const setup = withHub();
const { at } = scratchFolder();
const filesIn = (path: string): Record<string, Uint8Array> =>
  Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));
const tiny = filesIn(writeTinyModel(at("tiny")));
const huge: Files = { ...tiny, "config.json": JSON.stringify(hugeConfig), "model.safetensors": hugeWeights() };

const tinyTensors = () =>
  Object.entries(tinyWeights()).map(([name, { dims, data }]) => ({
    name,
    shape: dims,
    read: () => data as Float32Array,
  }));

/** A safetensors file with a text in its header. */
function withMetadata(file: Uint8Array, text: string): Buffer {
  const bytes = Buffer.from(file);
  const end = 8 + Number(bytes.readBigUInt64LE());
  const header = { __metadata__: { text }, ...JSON.parse(bytes.toString("utf8", 8, end)) };
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, bytes.subarray(end)]);
}

/** What the storage of large files was asked for: ranges, or whole files. */
const asked = () =>
  setup.hub.log.filter(({ path }) => /^\/[0-9a-f]{64}$/.test(path)).map(({ range }) => range ?? "all of it");
/** The address of a large file in the storage. */
const storageOf = (file: Uint8Array) => new RegExp(createHash("sha256").update(file).digest("hex"));
const weightsAsked = (name: string) => setup.hub.filesAsked().filter((path) => path === name).length;

describe("a model that there is no memory for", () => {
  test("is refused by what its first megabyte says, and nothing of its weights is kept", async () => {
    setup.hub.commit("org/huge", huge);
    await expect(loadModel("org/huge", { hub: setup.options() })).rejects.toThrow(
      /^org\/huge: its weights take 11\d\d\.\d GB of memory in float32/,
    );
    expect(weightsAsked("model.safetensors")).toBe(1);
    expect(asked().filter((range) => range === "bytes=0-1048575")).toHaveLength(1);
    const names = readdirSync(setup.cache("models--org--huge"), { recursive: true, encoding: "utf8" });
    expect(names.filter((name) => name.endsWith("model.safetensors") || name.endsWith(".incomplete"))).toEqual([]);
  });

  test("is tried all the same where that is asked for", async () => {
    setup.hub.commit("org/huge", huge);
    const forced = loadModel("org/huge", { hub: setup.options(), force: true });
    await expect(forced).rejects.toThrow("org/huge: needs 550.0 GB, but the disk of");
  });

  test("is inspected without its weights", async () => {
    setup.hub.commit("org/huge", huge);
    const report = await inspectModel({ model: "org/huge", time: false }, () => {}, setup.options());
    expect(report).toMatchObject({ model: "org/huge", dtypes: { BF16: report.parameters.total } });
    expect(weightsAsked("model.safetensors")).toBe(1);
  });
});

describe("a model whose weights are fetched after its header", () => {
  const parts = Object.fromEntries(
    Object.entries(filesIn(fileURLToPath(new URL("../golden/checkpoints/families", import.meta.url))))
      .filter(([name]) => name.startsWith("qwen3-"))
      .map(([name, bytes]) => [`q/${name}`, bytes]),
  );
  const gguf = readFileSync(new URL("../golden/checkpoints/tiny.gguf", import.meta.url));
  const values = async (path: string) => {
    using checkpoint = await openCheckpoint(path);
    return [...checkpoint.tensors.keys()].map((name) => [name, checkpoint.read(name)]);
  };

  test.each<[string, string, Files]>([
    ["a folder", "org/model", tiny],
    ["a GGUF file", "hf:org/model/m.gguf", { "m.gguf": gguf }],
    ["a GGUF file of three parts", "hf:org/model/q/qwen3-00002-of-00003.gguf", parts],
  ])("is %s that says the same before and after, and has the weights of its files", async (_, name, files) => {
    setup.hub.commit("org/model", files);
    const found = await findModel(name, setup.options());
    using checkpoint = found.checkpoint;
    const before = structuredClone([checkpoint.config, checkpoint.tokenizer, checkpoint.tensors]);
    const weights = checkpoint.source.endsWith(".gguf")
      ? checkpoint.source
      : join(checkpoint.source, "model.safetensors");
    expect(existsSync(weights)).toBe(false);
    await found.fetchWeights();
    using whole = await openCheckpoint(checkpoint.source);
    expect([whole.config, whole.tokenizer, whole.tensors]).toEqual(before);
    expect([...checkpoint.tensors.keys()].map((tensor) => [tensor, checkpoint.read(tensor)])).toEqual(
      await values(checkpoint.source),
    );
    expect(found.reference).toBe((await resolveModel(name, setup.options())).reference);
  });

  test("has what its header says however long that is, and from a hub that sends whole files alone", async () => {
    const weights = withMetadata(tiny["model.safetensors"]!, "x".repeat(3e6));
    setup.hub.commit("org/model", { ...tiny, "model.safetensors": weights });
    for (let i = 0; i < 2; i++) setup.hub.fail(storageOf(weights), { ignoreRange: true });
    const found = await findModel("org/model", setup.options());
    expect(found.checkpoint.tensors.size).toBe(tinyTensors().length);
    await found.fetchWeights();
    const { name, read } = tinyTensors()[0]!;
    expect(found.checkpoint.read(name)).toEqual(read());
    found.checkpoint[Symbol.dispose]();
  });

  test("has them of all its shards", async () => {
    const names = ["a.safetensors", "b.safetensors"];
    const tensors = tinyTensors();
    const shards = names.map((name, i) => {
      writeSafetensorsFile(
        at(name),
        tensors.filter((_, k) => k % 2 === i),
      );
      return [name, readFileSync(at(name))] as const;
    });
    const map = Object.fromEntries(tensors.map(({ name }, k) => [name, names[k % 2]]));
    const { "model.safetensors": _, ...texts } = tiny;
    const index = JSON.stringify({ weight_map: map });
    setup.hub.commit("org/model", {
      ...texts,
      ...Object.fromEntries(shards),
      "model.safetensors.index.json": index,
    });
    const found = await findModel("org/model", setup.options());
    using checkpoint = found.checkpoint;
    expect([...checkpoint.tensors.keys()].sort()).toEqual(tensors.map(({ name }) => name).sort());
    await found.fetchWeights();
    for (const { name, read } of tensors) expect(checkpoint.read(name)).toEqual(read());
  });

  test("goes on where the connection breaks in the header", async () => {
    setup.hub.commit("org/model", tiny);
    for (const fault of [{ dropAfter: 5 }, { stallAfter: 100 }, { hangUp: true }] as const)
      setup.hub.fail(storageOf(tiny["model.safetensors"]!), fault);
    const { checkpoint } = await findModel("org/model", setup.options());
    expect(checkpoint.tensors.size).toBe(tinyTensors().length);
    checkpoint[Symbol.dispose]();
  });

  test("is refused where the header was another file's", async () => {
    const other = Buffer.from(tiny["model.safetensors"]!);
    other.write("x", other.length - 1);
    setup.hub.commit("org/model", tiny);
    setup.hub.fail(storageOf(tiny["model.safetensors"]!), { body: other });
    const found = await findModel("org/model", setup.options());
    await expect(found.fetchWeights()).rejects.toThrow(
      "org/model: the first answer for model.safetensors had other bytes than the file has.",
    );
    found.checkpoint[Symbol.dispose]();
  });

  test("asks for nothing where all is in the cache", async () => {
    setup.hub.commit("org/model", tiny);
    const { reference } = await resolveModel("org/model", setup.options());
    setup.hub.log.length = 0;
    const found = await findModel(reference, setup.options());
    await found.fetchWeights();
    found.checkpoint[Symbol.dispose]();
    expect(setup.hub.log).toEqual([]);
  });
});
