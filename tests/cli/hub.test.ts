/** The commands on names of the hub: fetched, pinned, and what comes of a run pushed. */

import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { HubError } from "../../src/errors.ts";
import { dpo } from "../../src/training/tuners.ts";
import { TestHub, TOKEN } from "../hub/server.ts";
import { hugeConfig, hugeWeights } from "../support/huge-model.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at, folder, json, read } = scratchFolder();
const built = existsSync(new URL("../../dist/web/report.html", import.meta.url));
const filesIn = (path: string) =>
  Object.fromEntries(readdirSync(path).map((name) => [name, readFileSync(join(path, name))]));

let hub: TestHub;
let commits: { model: string; data: string };

beforeAll(async () => {
  hub = await TestHub.start();
  commits = {
    model: hub.commit("org/tiny", filesIn(writeTinyModel(at("model")))),
    data: hub.commit("datasets/org/films", {
      "test.jsonl": readFileSync(writePairs(at("test.jsonl"), 2, 0, "preferences-eval.jsonl")),
      "train.jsonl": readFileSync(writePairs(at("train.jsonl"), 8)),
    }),
  };
  vi.stubEnv("HF_HOME", at("home"));
  vi.stubEnv("HF_ENDPOINT", hub.endpoint);
  vi.stubEnv("HF_TOKEN", "");
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await hub[Symbol.asyncDispose]();
});

const run = ["--max-steps", "2", "--batch-size", "2", "--sample-prompts", "0", "--threads", "1", "--quiet"];

describe("names on the hub", () => {
  test("begin a run, which says at which commits they were", async () => {
    const words = ["--model", "org/tiny", "--data", "hf:org/films", "--eval-data", "hf:org/films"];
    const { code, out, err } = await preftune("dpo", ...words, "--output", at("first"), ...run);
    expect({ code, out, err }).toEqual({ code: 0, out: `${at("first", "adapter")}\n`, err: "" });
    expect(json("first", "config.json")).toMatchObject({
      model: `hf:org/tiny@${commits.model}`,
      data: [`hf:org/films@${commits.data}`],
      evalData: [`hf:org/films@${commits.data}`],
    });
    const { train, eval: held } = json("first", "data.json");
    expect([train.used, held.used]).toEqual([8, 2]);
    expect(train.files).toEqual([`hf:org/films@${commits.data}/train.jsonl`]);
    expect(json("first", "adapter", "adapter_config.json").base_model_name_or_path).toBe("org/tiny");
    expect(read("first", "adapter", "README.md")).toContain('base_model: "org/tiny"');
  });

  test("stay at their commits when the run is repeated or resumed, whatever has become of them since", async () => {
    hub.commit("org/tiny", { "config.json": "{}" });
    hub.commit("datasets/org/films", { "train.jsonl": "{}" });
    hub.log.length = 0;
    const config = ["--config", at("first", "config.json")];
    const repeated = await preftune("dpo", ...config, "--output", at("second"), "--max-steps", "1", "--quiet");
    expect(repeated).toMatchObject({ code: 0, err: "" });
    const names = ["--model", "org/tiny", "--data", "hf:org/films", "--eval-data", "hf:org/films"];
    const resumed = await preftune("dpo", "--resume", ...names, "--output", at("first"), "--quiet");
    expect(resumed).toMatchObject({ code: 0, err: "" });
    expect(hub.log).toEqual([]);
  });

  test("serve score, generate and export", async () => {
    const pinned = [`hf:org/tiny@${commits.model}`, `hf:org/films@${commits.data}:test`] as const;
    const score = [
      "score",
      "--model",
      pinned[0],
      "--data",
      pinned[1],
      "--output",
      at("scores.jsonl"),
      "--threads",
      "1",
    ];
    expect(await preftune(...score)).toMatchObject({ code: 0, out: `2 pairs scored: ${at("scores.jsonl")}\n` });
    hub.commit("org/adapter", filesIn(at("first", "adapter")));
    const generate = ["generate", "--model", pinned[0], "--adapter", "org/adapter", "--prompt", "Hello"];
    expect(await preftune(...generate, "--max-new-tokens", "2", "--threads", "1")).toMatchObject({ code: 0, err: "" });
    const exported = await preftune("export", "--run", at("first"), "--output", at("merged"));
    expect(exported).toMatchObject({ code: 0, out: `${at("merged")}\n` });
    expect(readdirSync(at("home", "hub")).sort()).toEqual([
      "datasets--org--films",
      "models--org--adapter",
      "models--org--tiny",
    ]);
  });

  test("of models that there is no memory for end the command before their weights are downloaded", async () => {
    const texts = filesIn(at("model"));
    const config = JSON.stringify(hugeConfig);
    hub.commit("org/huge", { ...texts, "config.json": config, "model.safetensors": hugeWeights() });
    const words = ["--model", "org/huge", "--data", at("train.jsonl"), "--output", at("refused")];
    for (const command of ["dpo", "reward", "score"]) {
      const { code, err } = await preftune(command, ...words);
      expect(err).toMatch(
        /^preftune: (hf:)?org\/huge.* 11\d\d\.\d GB .* are available\. .* --force tries it as it is\.\n$/,
      );
      expect(code).toBe(2);
      expect(existsSync(at("refused"))).toBe(false);
    }
    const cached = readdirSync(at("home", "hub", "models--org--huge"), { recursive: true, encoding: "utf8" });
    expect(cached.filter((name) => /model\.safetensors|incomplete/.test(name))).toEqual([]);
    const forced = await preftune("dpo", ...words, "--force");
    expect(forced).toMatchObject({ code: 1, err: expect.stringContaining("but the disk of") });
    expect(existsSync(at("refused"))).toBe(false);
  });

  test("of models are not downloaded for rows that can't be read", async () => {
    hub.commit("org/later", filesIn(at("model")));
    const weights = createHash("sha256")
      .update(readFileSync(at("model", "model.safetensors")))
      .digest("hex");
    for (const words of [
      ["score", "--data", at("none.jsonl"), "--output", at("none.scores")],
      ["generate", "--prompts", at("none.jsonl")],
      ["dpo", "--data", at("none.jsonl"), "--output", at("none")],
    ]) {
      const { code, err } = await preftune(...words, "--model", "org/later");
      expect({ code, err }).toEqual({ code: 1, err: expect.stringContaining("none.jsonl: there is no such file") });
    }
    expect(existsSync(at("home", "hub", "models--org--later", "blobs", weights))).toBe(false);
  });

  test("are not waited for when the command is stopped, and leave no run", async () => {
    hub.commit("org/slow", filesIn(at("model")));
    const controller = new AbortController();
    const onHub = () => controller.abort();
    const options = { model: "org/slow", data: [at("train.jsonl")], output: at("stopped") };
    const stopped = dpo(options, { signal: controller.signal, observer: { onHub } });
    await expect(stopped).rejects.toThrow(
      "org/slow: stopped. What has arrived is kept; the same command goes on with it.",
    );
    await expect(stopped).rejects.toBeInstanceOf(HubError);
    expect(existsSync(at("stopped"))).toBe(false);
  });

  test("that are nowhere end the command with what to do", async () => {
    const missing = await preftune("generate", "--model", "org/nowhere", "--prompt", "Hello");
    expect(missing.code).toBe(1);
    expect(missing.err).toContain("preftune: org/nowhere: the hub has no model of this name");
    const misspelled = await preftune("generate", "--model", "hf:org/no--where", "--prompt", "Hello");
    expect(misspelled.code).toBe(2);
  });
});

describe("preftune push", () => {
  /** The texts of the last commit's files, large ones from the storage. */
  const pushedTexts = (): Record<string, string> =>
    Object.fromEntries(
      Object.entries(hub.pushed.at(-1)!.files).map(([path, content]) => [
        path,
        hub.uploaded.get(content.replace("sha256:", ""))?.toString() ?? content,
      ]),
    );

  test("uploads a run's result, named after its base model", async () => {
    vi.stubEnv("HF_TOKEN", TOKEN);
    const { code, out } = await preftune("push", "--run", at("first"), "--repo", "me/tuned", "--private");
    expect({ code, out }).toEqual({ code: 0, out: `${hub.endpoint}/me/tuned\n` });
    expect(hub.accessOf("me/tuned")).toBe("private");
    const { summary, files } = hub.pushed.at(-1)!;
    expect(summary).toBe("Add the adapter that preftune dpo made");
    expect(Object.keys(files).sort()).toEqual(["README.md", "adapter_config.json", "adapter_model.safetensors"]);
  });

  test("asks what a local base model is on the hub, and keeps its path to itself", async () => {
    vi.stubEnv("HF_TOKEN", TOKEN);
    writeFileSync(at("kept.jsonl"), '{"prompt": "Hello", "completion": "there"}\n'.repeat(4));
    const files = ["--model", at("model"), "--data", at("train.jsonl"), "--regularization-data", at("kept.jsonl")];
    expect(await preftune("mpo", ...files, "--output", at("local"), ...run)).toMatchObject({ code: 0 });
    const push = ["push", "--run", at("local"), "--repo", "me/local"];
    const refused = await preftune(...push);
    expect(refused.code).toBe(2);
    expect(refused.err).toContain("Give that model's name on the hub by --base-model org/name");
    expect(await preftune(...push, "--base-model", "org/tiny")).toMatchObject({ code: 0 });
    const texts = pushedTexts();
    expect(JSON.parse(texts["adapter_config.json"]!).base_model_name_or_path).toBe("org/tiny");
    expect(texts["README.md"]).toContain('base_model: "org/tiny"');
    expect(texts["README.md"]).toContain("--regularization-data kept.jsonl");
    expect(texts["README.md"]).not.toContain(folder);
  });

  test.each([
    { how: "plainly", flags: [] },
    { how: "with --report", flags: ["--report"] },
  ])("says which folder has nothing to push, $how", async ({ flags }) => {
    vi.stubEnv("HF_TOKEN", TOKEN);
    const before = hub.pushed.length;
    mkdirSync(at("begun"), { recursive: true });
    copyFileSync(at("first", "config.json"), at("begun", "config.json"));
    const refusals = [];
    for (const folder of ["begun", "merged", "first/adapter", "none"]) {
      const { code, err } = await preftune("push", "--run", at(folder), "--repo", "me/none", ...flags);
      refusals.push(`${code}: ${err.replaceAll(at(), "HERE")}`);
    }
    expect(refusals.join("")).toBe(
      [
        "1: preftune: HERE/begun has no result yet. Finish the run with: preftune dpo --resume --output HERE/begun",
        "1: preftune: HERE/merged: is the folder of a model, not of a run. Give the folder that a run was written to (its --output).",
        "1: preftune: HERE/first/adapter: has no config.json, so it is not a run.",
        "1: preftune: HERE/none: has no config.json, so it is not a run.",
        "",
      ].join("\n"),
    );
    expect(hub.pushed).toHaveLength(before);
    expect(hub.accessOf("me/none")).toBeUndefined();
  });

  describe.skipIf(!built)(`with --report${built ? "" : " (skipped: the page is not built)"}`, () => {
    test("puts the run's report beside the result, and a link to it into the card that goes there", async () => {
      vi.stubEnv("HF_TOKEN", TOKEN);
      const push = ["push", "--run", at("local"), "--base-model", "org/tiny", "--repo"];
      const local = filesIn(at("local", "adapter"));
      await preftune(...push, "me/plain");
      const plain = pushedTexts();
      expect(await preftune(...push, "me/reported", "--report")).toMatchObject({ code: 0 });
      const { "report.html": page, "README.md": card, ...others } = pushedTexts();

      expect(page).toContain("<!doctype html>");
      expect(page).toContain('"name":"local"');
      expect(page).not.toContain(folder);

      const link = card!.split("\n").filter((line) => line.includes("](report.html)"));
      expect(link).toHaveLength(1);
      expect(card!.replace(`\n${link[0]}\n`, "")).toBe(plain["README.md"]);
      expect({ ...others, "README.md": plain["README.md"] }).toEqual(plain);

      expect(filesIn(at("local", "adapter"))).toEqual(local);
      expect(existsSync(at("local", "report.html"))).toBe(false);
    });

    test("links it in a card that somebody has written anew, too", async () => {
      vi.stubEnv("HF_TOKEN", TOKEN);
      writeFileSync(at("first", "adapter", "README.md"), "---\nbase_model: org/tiny\n---\n# Mine\n");
      expect(await preftune("push", "--run", at("first"), "--repo", "me/mine", "--report")).toMatchObject({ code: 0 });
      expect(pushedTexts()["README.md"]).toMatch(
        /^---\nbase_model: "org\/tiny"\n---\n# Mine\n\n\[The run's report\]\(report\.html\) .*\n$/,
      );
    });
  });
});
