/** Files from the hub into the cache: laid out as every Hugging Face library has it, whole, right, and never twice. */

import { createHash } from "node:crypto";
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { rm } from "node:fs/promises";
import { hostname } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HubError } from "../../src/errors.ts";
import { type HubEvent, resolveModel } from "../../src/hub/index.ts";
import { TOKEN } from "./server.ts";
import { modelFiles, randomBytes, readText, weights, withHub } from "./support.ts";

const setup = withHub();
const weightsHash = createHash("sha256").update(weights).digest("hex");
const WEIGHTS = /^\/[0-9a-f]{64}$/;

/** The partial and whole blobs of a repository. */
const blobs = (folder: string) => readdirSync(setup.cache(folder, "blobs")).sort();
const partials = () => blobs("models--org--tiny").filter((name) => name.endsWith(".incomplete"));

describe("the cache", () => {
  test("has a commit's files as links to blobs by hash, and what the branch was at", async () => {
    const commit = setup.hub.commit("org/tiny", modelFiles);
    const { path, reference } = await resolveModel("org/tiny", setup.options());
    expect(path).toBe(setup.cache("models--org--tiny", "snapshots", commit));
    expect(reference).toBe(`hf:org/tiny@${commit}`);
    expect(readText(setup.cache("models--org--tiny", "refs", "main"))).toBe(commit);
    expect(readdirSync(path).sort()).toEqual([
      "README.md",
      "config.json",
      "generation_config.json",
      "model.safetensors",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
    const link = readlinkSync(join(path, "model.safetensors"));
    expect(link).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{64}$/);
    expect(readlinkSync(join(path, "config.json"))).toMatch(/^\.\.\/\.\.\/blobs\/[0-9a-f]{40}$/);
    expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
  });

  test("is used as it is: a second time no file is asked for, and a commit's name asks nothing at all", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const { reference, path } = await resolveModel("org/tiny", setup.options());
    setup.hub.log.length = 0;
    expect(await resolveModel("org/tiny", setup.options())).toEqual({ reference, path });
    expect(setup.hub.filesAsked()).toEqual([]);
    setup.hub.log.length = 0;
    expect(await resolveModel(reference, setup.options())).toEqual({ reference, path });
    expect(setup.hub.log).toEqual([]);
  });

  test("is not written to where it has all, for it may be for reading only", async () => {
    const commit = setup.hub.commit("org/tiny", modelFiles);
    await resolveModel("org/tiny", setup.options());
    const files = [
      ["refs", "main"],
      ["trees", `${commit}.json`],
      ["snapshots", commit, "config.json"],
    ] as const;
    const inodes = () => files.map((path) => lstatSync(setup.cache("models--org--tiny", ...path)).ino);
    const before = inodes();
    await resolveModel("org/tiny", setup.options());
    expect(inodes()).toEqual(before);
  });

  test("keeps what two commits have in common once", async () => {
    const first = setup.hub.commit("org/tiny", modelFiles);
    await resolveModel("org/tiny", setup.options());
    const second = setup.hub.commit("org/tiny", { ...modelFiles, "config.json": '{"model_type": "qwen2"}' });
    setup.hub.log.length = 0;
    const { path } = await resolveModel("org/tiny", setup.options());
    expect(path).toBe(setup.cache("models--org--tiny", "snapshots", second));
    expect(setup.hub.filesAsked()).toEqual(["config.json"]);
    expect(readText(path, "config.json")).toBe('{"model_type": "qwen2"}');
    expect(readText(setup.cache("models--org--tiny", "snapshots", first), "config.json")).toBe(
      '{"model_type": "llama"}',
    );
  });

  test("fetches a file again that is not as long as it should be", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const { path } = await resolveModel("org/tiny", setup.options());
    const blob = join(path, readlinkSync(join(path, "model.safetensors")));
    truncateSync(blob, 10);
    await resolveModel("org/tiny", setup.options());
    expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
    expect(lstatSync(join(path, "model.safetensors")).isSymbolicLink()).toBe(true);
  });

  test("is filled by several files at once, but not by all", async () => {
    const shards = Array.from({ length: 9 }, (_, i) => `model-0000${i}.safetensors`);
    const index = { weight_map: Object.fromEntries(shards.map((shard, i) => [`tensor.${i}`, shard])) };
    setup.hub.commit("org/sharded", {
      "config.json": "{}",
      "tokenizer.json": "{}",
      "model.safetensors.index.json": JSON.stringify(index),
      ...Object.fromEntries(shards.map((shard, i) => [shard, randomBytes(5000, i)])),
      "model-00009.safetensors": randomBytes(5000, 9),
    });
    setup.hub.delay = 20;
    const { path } = await resolveModel("org/sharded", setup.options());
    expect(readdirSync(path)).toEqual(expect.arrayContaining(shards));
    expect(readdirSync(path)).not.toContain("model-00009.safetensors");
    expect(setup.hub.mostOpen).toBe(4);
  });

  test("is filled once by two that ask at the same time", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const both = await Promise.all([1, 2].map(() => resolveModel("org/tiny", setup.options())));
    expect(both[0]).toEqual(both[1]);
    expect(setup.hub.filesAsked().filter((path) => path === "model.safetensors")).toHaveLength(1);
    expect(readFileSync(join(both[0]!.path, "model.safetensors")).equals(weights)).toBe(true);
  });
});

describe("a download that is interrupted", () => {
  test("goes on where it stopped, within one command", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(WEIGHTS, { dropAfter: 100_000 });
    setup.hub.fail(WEIGHTS, { dropAfter: 50_000 });
    const { path } = await resolveModel("org/tiny", setup.options());
    expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
    const ranges = setup.hub.log.filter((each) => WEIGHTS.test(each.path)).map(({ range }) => range);
    expect(ranges).toHaveLength(3);
    expect(ranges[0]).toBeUndefined();
    expect(Number(/\d+/.exec(ranges[2]!)![0])).toBeGreaterThan(100_000);
    expect(partials()).toEqual([]);
  });

  test("goes on where it stopped in the next command, from what any process that is no more has left", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const { path } = await resolveModel("org/tiny", setup.options());
    const etag = readlinkSync(join(path, "model.safetensors")).split("/").at(-1)!;
    const folder = setup.cache("models--org--tiny");
    for (const left of [`${etag}.incomplete`, `${etag}.${hostname()}-999999999.incomplete`]) {
      await forget(path, etag);
      writeFileSync(join(folder, "blobs", left), weights.subarray(0, 123_456));
      setup.hub.log.length = 0;
      await resolveModel("org/tiny", setup.options());
      expect(setup.hub.log.at(-1)).toMatchObject({ range: "bytes=123456-" });
      expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
      expect(partials()).toEqual([]);
    }
  });

  test("leaves to a process that is at it what it has", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const { path } = await resolveModel("org/tiny", setup.options());
    const etag = readlinkSync(join(path, "model.safetensors")).split("/").at(-1)!;
    await forget(path, etag);
    const claimed = join(setup.cache("models--org--tiny", "blobs"), `${etag}.${hostname()}-${process.ppid}.incomplete`);
    writeFileSync(claimed, weights.subarray(0, 50));
    setup.hub.log.length = 0;
    await resolveModel("org/tiny", setup.options());
    expect(setup.hub.log.at(-1)!.range).toBeUndefined();
    expect(readFileSync(claimed)).toHaveLength(50);
  });

  test("does not take what another process has written into meanwhile", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(WEIGHTS, { dropAfter: 1000 });
    const options = setup.options();
    const observer = (event: HubEvent) => {
      const name = partials().find((file) => file.startsWith(weightsHash));
      if (event.kind === "wait") appendFileSync(setup.cache("models--org--tiny", "blobs", name!), "other");
    };
    await expect(resolveModel("org/tiny", { ...options, observer })).rejects.toThrow("arrived with other contents");
    const { path } = await resolveModel("org/tiny", options);
    expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
  });

  test("begins anew where the beginning turns out to be wrong, or the server sends all or nothing of the rest", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const { path } = await resolveModel("org/tiny", setup.options());
    const etag = readlinkSync(join(path, "model.safetensors")).split("/").at(-1)!;
    const partial = join(setup.cache("models--org--tiny", "blobs"), `${etag}.incomplete`);
    const beginnings = [
      { bytes: randomBytes(1000, 9), fault: undefined },
      { bytes: weights.subarray(0, 1000), fault: { ignoreRange: true } as const },
      { bytes: weights.subarray(0, 1000), fault: { status: 416 } },
      { bytes: randomBytes(weights.length, 9), fault: undefined },
      { bytes: randomBytes(weights.length + 5, 9), fault: undefined },
    ];
    for (const { bytes, fault } of beginnings) {
      await forget(path, etag);
      writeFileSync(partial, bytes);
      if (fault) setup.hub.fail(WEIGHTS, fault);
      await resolveModel("org/tiny", setup.options());
      expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
    }
  });

  test("ends with the right file wherever and however often it breaks", async () => {
    const contents = randomBytes(200_000, 4);
    const files = { ...modelFiles, "model.safetensors": contents };
    const breaks = fc.array(fc.integer({ min: 0, max: 120_000 }), { maxLength: 4 });
    let round = 0;
    await fc.assert(
      fc.asyncProperty(breaks, fc.nat(250_000), fc.boolean(), async (lengths, there, isRight) => {
        const name = `org/broken-${round++}`;
        setup.hub.commit(name, files);
        const sha256 = createHash("sha256").update(contents).digest("hex");
        const folder = setup.cache(`models--${name.replace("/", "--")}`, "blobs");
        mkdirSync(folder, { recursive: true });
        const beginning = isRight ? contents : randomBytes(there, 5);
        writeFileSync(join(folder, `${sha256}.incomplete`), beginning.subarray(0, there));
        for (const dropAfter of lengths) setup.hub.fail(WEIGHTS, { dropAfter });
        const { path } = await resolveModel(name, setup.options());
        expect(readFileSync(join(path, "model.safetensors")).equals(contents)).toBe(true);
        setup.hub.forgive();
      }),
      { numRuns: 15 },
    );
  });

  test("goes on when nothing arrives any more", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(WEIGHTS, { stallAfter: 65_000 });
    const { path } = await resolveModel("org/tiny", setup.options({ stallTimeout: 100 }));
    expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
    const reason = "the transfer of model.safetensors was interrupted: nothing arrived any more";
    expect(setup.events).toContainEqual({ kind: "wait", name: "org/tiny", seconds: 0.001, reason });
  });

  test("ends when nothing helps, keeps what it has and says so", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(WEIGHTS, { dropAfter: 100_000 });
    for (let i = 0; i < 6; i++) setup.hub.fail(WEIGHTS, { dropAfter: 0 });
    await expect(resolveModel("org/tiny", setup.options())).rejects.toThrowErrorMatchingInlineSnapshot(
      `[HubError: org/tiny: the transfer of model.safetensors was interrupted: the connection was dropped. What has arrived is kept; the same command goes on with it.]`,
    );
    expect(partials()).toEqual([expect.stringMatching(/^[0-9a-f]{64}\.incomplete$/)]);
    expect(
      readFileSync(setup.cache("models--org--tiny", "blobs", partials()[0]!)).equals(weights.subarray(0, 100_000)),
    ).toBe(true);
  });

  test("by Ctrl-C keeps what it has", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(WEIGHTS, { stallAfter: 100_000 });
    const controller = new AbortController();
    const options = setup.options({ stallTimeout: 60_000 }, controller.signal);
    const resolved = resolveModel("org/tiny", {
      ...options,
      observer: (event) => event.kind === "progress" && event.done > 90_000 && controller.abort(),
    });
    await expect(resolved).rejects.toThrowErrorMatchingInlineSnapshot(
      `[HubError: org/tiny: stopped. What has arrived is kept; the same command goes on with it.]`,
    );
    await expect(resolved).rejects.toBeInstanceOf(HubError);
    expect(partials()).toHaveLength(1);
    expect(readFileSync(setup.cache("models--org--tiny", "blobs", partials()[0]!)).length).toBeGreaterThan(60_000);
  });
});

describe("what arrives", () => {
  test.each(["model.safetensors", "config.json"])("is checked: %s of other contents is not taken", async (file) => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(file === "config.json" ? /\/config\.json$/ : WEIGHTS, { corrupt: true });
    await expect(resolveModel("org/tiny", setup.options())).rejects.toThrow(
      `org/tiny: ${file} arrived with other contents than the hub lists for it`,
    );
    expect(partials()).toEqual([]);
    const { path } = await resolveModel("org/tiny", setup.options());
    expect(readFileSync(join(path, "model.safetensors")).equals(weights)).toBe(true);
  });

  test("is asked for with the token by the hub, and without it by the storage that the hub names", async () => {
    setup.hub.commit("org/hidden", modelFiles, { access: "private" });
    await resolveModel("org/hidden", setup.options({ token: TOKEN }));
    const stored = setup.hub.log.filter(({ path }) => WEIGHTS.test(path));
    expect(stored.map(({ authorization }) => authorization)).toEqual([undefined]);
    const asked = setup.hub.log.filter(({ path }) => !WEIGHTS.test(path));
    expect(new Set(asked.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${TOKEN}`]));
  });

  test("is counted in bytes, over all files and never past their sum", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(WEIGHTS, { dropAfter: 100_000 });
    await resolveModel("org/tiny", setup.options());
    const progress = setup.events.filter((event) => event.kind === "progress");
    const total = 300_000 + 9 + 23 + 2 + 13 + 2;
    expect(progress.at(-1)).toEqual({
      kind: "progress",
      direction: "download",
      name: "org/tiny",
      files: 6,
      done: total,
      total,
    });
    expect(Math.max(...progress.map(({ done }) => done))).toBe(total);
  });

  test("is refused where there is no room for it, before it is asked for", async () => {
    const size = 2 ** 60;
    setup.hub.commit("org/tiny", modelFiles);
    const { path } = await resolveModel("org/tiny", setup.options());
    const commit = path.split("/").at(-1)!;
    const tree = setup.cache("models--org--tiny", "trees", `${commit}.json`);
    const { files, ...rest } = JSON.parse(readText(tree));
    const huge = { size, blob_id: "1".repeat(40), lfs_sha256: "2".repeat(64), lfs_size: size };
    writeFileSync(tree, JSON.stringify({ ...rest, files: { ...files, "model.safetensors": huge } }));
    setup.hub.log.length = 0;
    await expect(resolveModel(`hf:org/tiny@${commit}`, setup.options())).rejects.toThrow(
      /^org\/tiny: needs 1152921504\.6 GB, but the disk of .*models--org--tiny has [\d.]+ [GM]B left\. Free some space, or let HF_HOME name/,
    );
    expect(setup.hub.log).toEqual([]);
  });
});

/** Takes a file's contents out of the cache. */
async function forget(snapshot: string, etag: string): Promise<void> {
  await rm(join(snapshot, "model.safetensors"), { force: true });
  await rm(join(snapshot, "..", "..", "blobs", etag), { force: true });
}
