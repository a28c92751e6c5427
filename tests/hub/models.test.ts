/** Names of models and adapters: which files are fetched, and what is said where there is nothing to fetch. */

import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { resolveAdapter, resolveModel } from "../../src/hub/index.ts";
import { type Fault, TestHub, TOKEN } from "./server.ts";
import { modelFiles, randomBytes, readText, withHub } from "./support.ts";

const setup = withHub();

/** A message without what differs from one run to the next. */
function stable(error: unknown): string {
  const text = String(error);
  return text
    .replaceAll(setup.hub.endpoint, "HUB")
    .replaceAll(setup.home, "HOME")
    .replace(/127\.0\.0\.1:\d+/g, "HOST");
}
const refusalOf = async (resolved: Promise<unknown>) =>
  stable(
    await resolved.then(
      () => "no refusal",
      (error) => error,
    ),
  );

describe("of a model", () => {
  test("a folder or file of this machine is taken, and the hub is not asked", async () => {
    const path = join(setup.home, "org", "name");
    mkdirSync(path, { recursive: true });
    expect(await resolveModel(path, setup.options())).toEqual({ path, reference: path });
    expect(setup.hub.log).toEqual([]);
  });

  test("the safetensors are fetched by the index where they are sharded, and nothing else", async () => {
    const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];
    const index = { weight_map: { a: shards[0], b: shards[1], c: shards[0] } };
    setup.hub.commit("org/large", {
      ...Object.fromEntries(Object.entries(modelFiles).filter(([path]) => path !== "model.safetensors")),
      "chat_template.jinja": "{{ messages }}",
      "model.safetensors.index.json": JSON.stringify(index),
      "consolidated.safetensors": randomBytes(2000, 5),
      ...Object.fromEntries(shards.map((shard, i) => [shard, randomBytes(2000, 10 + i)])),
    });
    const { path } = await resolveModel("org/large", setup.options());
    expect(readdirSync(path).sort()).toEqual([
      "README.md",
      "chat_template.jinja",
      "config.json",
      "generation_config.json",
      ...shards,
      "model.safetensors.index.json",
      "tokenizer.json",
      "tokenizer_config.json",
    ]);
  });

  test("one GGUF file is fetched by its name, with all parts of one that is split", async () => {
    const split = ["big/m-00001-of-00002.gguf", "big/m-00002-of-00002.gguf"];
    setup.hub.commit("org/quantized", {
      "m-Q8_0.gguf": randomBytes(2000, 1),
      "m-Q4_0.gguf": randomBytes(2000, 2),
      ...Object.fromEntries(split.map((path, i) => [path, randomBytes(2000, 3 + i)])),
    });
    const { path, reference } = await resolveModel("hf:org/quantized/m-Q8_0.gguf", setup.options());
    expect(path).toMatch(/snapshots\/[0-9a-f]{40}\/m-Q8_0\.gguf$/);
    expect(reference).toMatch(/^hf:org\/quantized\/m-Q8_0\.gguf@[0-9a-f]{40}$/);
    expect(setup.hub.filesAsked()).toEqual(["m-Q8_0.gguf"]);
    setup.hub.log.length = 0;
    const parts = await resolveModel(`hf:org/quantized/${split[0]}`, setup.options());
    expect(parts.path).toMatch(/big\/m-00001-of-00002\.gguf$/);
    expect(setup.hub.filesAsked().sort()).toEqual(split);
  });

  test("a branch, a tag and a commit are revisions", async () => {
    const old = setup.hub.commit("org/tiny", { ...modelFiles, "config.json": "{}" }, { ref: "refs/pr/1" });
    setup.hub.commit("org/tiny", modelFiles);
    for (const revision of ["refs/pr/1", old]) {
      const { path, reference } = await resolveModel(`org/tiny@${revision}`, setup.options());
      expect(reference).toBe(`hf:org/tiny@${old}`);
      expect(readText(path, "config.json")).toBe("{}");
    }
    expect(readText(setup.cache("models--org--tiny", "refs", "refs", "pr", "1"))).toBe(old);
  });

  test("what can't be a model is refused before its weights are fetched", async () => {
    const { "tokenizer.json": _, ...withoutTokenizer } = modelFiles;
    const { "model.safetensors": __, ...withoutWeights } = modelFiles;
    setup.hub.commit("org/no-tokenizer", withoutTokenizer);
    setup.hub.commit("org/pickled", withoutWeights);
    setup.hub.commit("org/quantized", { "a.gguf": "GGUF", "b.gguf": "GGUF" });
    setup.hub.commit("org/adapter", { "adapter_config.json": "{}", "adapter_model.safetensors": "x" });
    const names = [
      "org/no-tokenizer",
      "org/pickled",
      "org/quantized",
      "org/adapter",
      "hf:org/quantized/c.gguf",
      "hf:org/pickled/config.json",
    ];
    const refusals = [];
    for (const name of names) refusals.push(await refusalOf(resolveModel(name, setup.options())));
    expect(refusals.join("\n\n")).toMatchInlineSnapshot(`
      "HubError: org/no-tokenizer: has no tokenizer.json. Save the model with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) into a folder, and give that.

      HubError: org/pickled: holds its weights as pytorch_model.bin alone, which can run code when it is read. Its pull requests on the hub may have one by SFconvertbot with safetensors, which is a revision (refs/pr/N); or load it with transformers and call model.save_pretrained(folder).

      HubError: org/quantized: holds GGUF files. Name one of them: hf:org/quantized/a.gguf, hf:org/quantized/b.gguf.

      HubError: org/adapter: holds a LoRA adapter. Give the model that it belongs to, and this as --adapter.

      HubError: org/quantized: has no file "c.gguf". It has a.gguf, b.gguf.

      HubError: org/pickled/config.json: a model is a whole repository, or one .gguf file in it."
    `);
    expect(setup.hub.filesAsked()).toEqual([]);
  });
});

describe("of an adapter", () => {
  test("its two files are fetched", async () => {
    const files = { "adapter_config.json": "{}", "adapter_model.safetensors": randomBytes(2000, 1), "README.md": "" };
    const commit = setup.hub.commit("org/adapter", files);
    const { path, reference } = await resolveAdapter("org/adapter", setup.options());
    expect(reference).toBe(`hf:org/adapter@${commit}`);
    expect(readdirSync(path).sort()).toEqual(["adapter_config.json", "adapter_model.safetensors"]);
  });

  test("a model is none", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    expect(await refusalOf(resolveAdapter("org/tiny", setup.options()))).toMatchInlineSnapshot(
      `"HubError: org/tiny: has no adapter_config.json, so it is no PEFT adapter."`,
    );
  });
});

describe("a name", () => {
  test("that is nowhere says what it could have been", async () => {
    const names = ["model", "org/nowhere", "hf:org/nowhere", "hf:org/nowhere@main"];
    const refusals = [];
    for (const name of names) refusals.push(await refusalOf(resolveModel(name, setup.options())));
    refusals.push(await refusalOf(resolveModel("org/nowhere", setup.options({ token: TOKEN }))));
    expect(refusals.join("\n\n")).toMatchInlineSnapshot(`
      "CheckpointError: model: can't be opened (there is no such file or folder). Give a model folder or a .gguf file, or a name on the hub: org/name, or hf:org/name@revision.

      HubError: org/nowhere: the hub has no model of this name that can be seen without a token. Check the spelling at HUB/org/nowhere. A name is org/name, each of letters, digits, - _ and ., without -- or .., without - or . at an end, together at most 96 characters. If it is private, give a token of your account (HUB/settings/tokens) by HF_TOKEN or in HOME/token.
      There is no file or folder org/nowhere here either.

      HubError: org/nowhere: the hub has no model of this name that can be seen without a token. Check the spelling at HUB/org/nowhere. A name is org/name, each of letters, digits, - _ and ., without -- or .., without - or . at an end, together at most 96 characters. If it is private, give a token of your account (HUB/settings/tokens) by HF_TOKEN or in HOME/token.

      HubError: org/nowhere: the hub has no model of this name that can be seen without a token. Check the spelling at HUB/org/nowhere. A name is org/name, each of letters, digits, - _ and ., without -- or .., without - or . at an end, together at most 96 characters. If it is private, give a token of your account (HUB/settings/tokens) by HF_TOKEN or in HOME/token.

      HubError: org/nowhere: the hub has no model of this name that can be seen with this token. Check the spelling at HUB/org/nowhere. A name is org/name, each of letters, digits, - _ and ., without -- or .., without - or . at an end, together at most 96 characters. If it is private, check that the token is of the account that may see it.
      There is no file or folder org/nowhere here either."
    `);
  });

  test("that is misspelled says which names there are like it, on the hub and in the cache", async () => {
    setup.hub.commit("Maker/Tiny-135M-Instruct", modelFiles);
    setup.hub.commit("Maker/Secret-135M-Instruct", modelFiles, { access: "private" });
    setup.hub.commit("datasets/org/pairs", { "train.jsonl": "{}" });
    const guessOf = async (name: string) =>
      /(Did you|In the cache|There is a )[^?.]*[?.]/.exec(await refusalOf(resolveModel(name, setup.options())))?.[0];
    const guesses = [
      "Maker/Tiny-135m-instrct",
      "maker/tiny-135m-instruct",
      "hf:Tiny-135M-Instruct",
      "Mkaer/Tiny-135M-Instruct",
      "org/pairs",
      "quite/another",
    ];
    expect(await Promise.all(guesses.map(guessOf))).toEqual([
      ...new Array(4).fill("Did you mean hf:Maker/Tiny-135M-Instruct?"),
      "There is a dataset of this name, and a model is wanted here.",
      undefined,
    ]);
    await resolveModel("Maker/Tiny-135M-Instruct", setup.options());
    const offline = resolveModel("Maker/Tiny-135M", setup.options({ offline: true }));
    expect(await refusalOf(offline)).toContain("In the cache is hf:Maker/Tiny-135M-Instruct.");
    expect(await guessOf("Tiny-135M-Instruct")).toBe("In the cache is hf:Maker/Tiny-135M-Instruct.");
  });

  test("whose like can't be asked for is refused all the same", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(/^\/api\/models$/, { hangUp: true });
    setup.hub.fail(/^\/api\/models$/, { status: 500 });
    expect(await refusalOf(resolveModel("hf:org/tinny", setup.options()))).toMatch(
      /the hub has no model.*token\. Check/,
    );
  });

  test("of a revision that is not there, of what is gated, private, or asked for with a wrong token says what to do", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.commit("org/gated", modelFiles, { access: "gated" });
    setup.hub.commit("org/private", modelFiles, { access: "private" });
    const cases = [
      ["org/tiny@v9", undefined],
      ["org/gated", undefined],
      ["org/gated", TOKEN],
      ["org/private", undefined],
      ["org/tiny", "hf_wrong"],
    ] as const;
    const refusals = [];
    for (const [name, token] of cases) refusals.push(await refusalOf(resolveModel(name, setup.options({ token }))));
    expect(refusals.join("\n\n")).toMatchInlineSnapshot(`
      "HubError: org/tiny: has no revision "v9". Its branches and tags are at HUB/org/tiny/tree/main.
      There is no file or folder org/tiny@v9 here either.

      HubError: org/gated: its owners ask to agree to their conditions first. Open HUB/org/gated, agree, and then give a token of your account (HUB/settings/tokens) by HF_TOKEN or in HOME/token.

      HubError: org/gated: its owners ask to agree to their conditions first. Open HUB/org/gated, agree, and then check that the token is of the account that may see it.

      HubError: org/private: the hub has no model of this name that can be seen without a token. Check the spelling at HUB/org/private. A name is org/name, each of letters, digits, - _ and ., without -- or .., without - or . at an end, together at most 96 characters. If it is private, give a token of your account (HUB/settings/tokens) by HF_TOKEN or in HOME/token.
      There is no file or folder org/private here either.

      HubError: org/tiny: the hub does not know the token. Make another at HUB/settings/tokens, and give it by HF_TOKEN or in HOME/token.
      There is no file or folder org/tiny here either."
    `);
  });
});

describe("a hub that is busy", () => {
  const API = /^\/api\/models\/org\/tiny\/revision/;

  test("is asked again, after as long as it asks for", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(API, { status: 429, headers: { "retry-after": "0.05" } });
    setup.hub.fail(API, { status: 429, headers: { ratelimit: '"api";r=0;t=0' } });
    setup.hub.fail(API, { status: 503 });
    setup.hub.fail(API, { status: 500 });
    setup.hub.fail(/resolve/, { status: 502 });
    await resolveModel("org/tiny", setup.options());
    const waits = setup.events.flatMap((event) => (event.kind === "wait" ? [event.seconds] : []));
    expect(waits).toEqual([0.05, 0, 0.004, 0.008, 0.001]);
  });

  const forever: readonly (readonly [string, Fault])[] = [
    ["answers 503", { status: 503, body: "<html>Service Unavailable</html>" }],
    ["answers 429", { status: 429, headers: { "x-error-message": "You have reached your rate limit." } }],
    ["hangs up", { hangUp: true }],
  ];
  test.each(forever)("is left alone in the end where it %s", async (_, fault) => {
    setup.hub.commit("org/tiny", modelFiles);
    for (let i = 0; i < 6; i++) setup.hub.fail(API, fault);
    expect(await refusalOf(resolveModel("org/tiny", setup.options()))).toMatchSnapshot();
    expect(setup.hub.log).toHaveLength(6);
  });

  test("is not waited for an hour", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(API, { status: 429, headers: { "retry-after": "3600" } });
    expect(await refusalOf(resolveModel("org/tiny", setup.options()))).toContain("asks for patience");
  });

  test("that is no hub is told from one", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    for (const body of ["<html>Sign in</html>", "{}", "[null]", '[{"type": "file", "oid": "x"}]']) {
      setup.hub.fail(/tree/, { status: 200, body });
      expect(await refusalOf(resolveModel("hf:org/tiny", setup.options()))).toMatch(
        /^HubError: org\/tiny: HUB did not answer as the hub does\. Check HF_ENDPOINT, and proxies or login pages/,
      );
    }
    setup.hub.fail(/revision/, { status: 200, body: "<html>Sign in to the airport's network</html>" });
    expect(await refusalOf(resolveModel("org/tiny", setup.options()))).toMatchInlineSnapshot(`
      "HubError: org/tiny: HUB did not answer as the hub does. Check HF_ENDPOINT, and proxies or login pages in between.
      There is no file or folder org/tiny here either."
    `);
  });
});

describe("without the hub", () => {
  test("HF_HUB_OFFLINE takes what is in the cache, and asks nothing", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const online = await resolveModel("org/tiny", setup.options());
    setup.hub.log.length = 0;
    expect(await resolveModel("org/tiny", setup.options({ offline: true }))).toEqual(online);
    expect(await refusalOf(resolveModel("org/other", setup.options({ offline: true })))).toMatchInlineSnapshot(`
      "HubError: org/other: is not in the cache HOME/hub/models--org--other, and HF_HUB_OFFLINE keeps from asking the hub. Unset it once, to download.
      There is no file or folder org/other here either."
    `);
    expect(setup.hub.log).toEqual([]);
  });

  test("what another library has left in the cache is enough, as far as it is all", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const snapshot = setup.cache("models--org--theirs", "snapshots", "a".repeat(40));
    mkdirSync(snapshot, { recursive: true });
    mkdirSync(setup.cache("models--org--theirs", "refs"));
    writeFileSync(setup.cache("models--org--theirs", "refs", "main"), "a".repeat(40));
    for (const file of ["config.json", "tokenizer.json"]) writeFileSync(join(snapshot, file), "{}");
    const offline = () => resolveModel("org/theirs", setup.options({ offline: true }));
    expect(await refusalOf(offline())).toContain("has neither model.safetensors");
    writeFileSync(join(snapshot, "model.safetensors"), "weights");
    expect((await offline()).path).toBe(snapshot);
  });

  test("files that are missing in the cache are named", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    setup.hub.fail(/^\/[0-9a-f]{64}$/, { status: 404 });
    await expect(resolveModel("org/tiny", setup.options())).rejects.toThrow('has no file "model.safetensors"');
    expect(await refusalOf(resolveModel("org/tiny", setup.options({ offline: true })))).toContain(
      "org/tiny: model.safetensors is missing in the cache",
    );
  });

  test("a name that is in the cache goes on with what is there when the network is gone, and says so", async () => {
    setup.hub.commit("org/tiny", modelFiles);
    const online = await resolveModel("org/tiny", setup.options());
    const other = await TestHub.start();
    const gone = { endpoint: other.endpoint };
    await other[Symbol.asyncDispose]();
    setup.events.length = 0;
    expect(await resolveModel("org/tiny", setup.options(gone))).toEqual(online);
    expect(stable(JSON.stringify(setup.events.at(-1)))).toMatch(
      /^{"kind":"note","text":"org\/tiny: HOST can't be reached \(the connection was refused\); going on with commit [0-9a-f]{7}, which is in the cache"}$/,
    );
    expect(await refusalOf(resolveModel("org/other", setup.options(gone)))).toMatchInlineSnapshot(`
      "HubError: org/other: HOST can't be reached (the connection was refused). Check the connection; HF_ENDPOINT names another hub, and HF_HUB_OFFLINE=1 uses what is in the cache.
      There is no file or folder org/other here either."
    `);
  });
});
