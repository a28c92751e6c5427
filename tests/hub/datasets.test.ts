/** Names of datasets: which files come of them, and what is said where a name does not say enough. */

import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { type DataPurpose, resolveDataset, withoutCacheFolders } from "../../src/hub/index.ts";
import { readText, withHub } from "./support.ts";

const setup = withHub();
const rows = (text: string) => `${JSON.stringify({ prompt: text, chosen: "yes", rejected: "no" })}\n`;
const resolve = (text: string, purpose: DataPurpose = "training") => resolveDataset(text, purpose, setup.options());
const namesOf = async (text: string, purpose?: DataPurpose) =>
  (await resolve(text, purpose)).paths.map((path) => basename(path));
const refusalOf = async (text: string, purpose?: DataPurpose) =>
  await resolve(text, purpose).then(
    () => "no refusal",
    (error) => String(error).replaceAll(setup.hub.endpoint, "HUB"),
  );

const feedback = {
  "README.md": "# Feedback",
  "data/test_prefs-00000-of-00001.jsonl": rows("test"),
  "data/train_prefs-00000-of-00002.jsonl": rows("one"),
  "data/train_prefs-00001-of-00002.jsonl": rows("two"),
};
const card = `---
configs:
- config_name: helpful
  data_files:
  - split: train
    path: helpful/*.jsonl
- config_name: harmless
  data_files:
  - split: train
    path: harmless.jsonl
  - split: test
    path: harmless-test.jsonl
---
`;
const topics = {
  "README.md": card,
  "harmless-test.jsonl": rows("c"),
  "harmless.jsonl": rows("b"),
  "helpful/a.jsonl": rows("a"),
  "helpful/b.jsonl": rows("a"),
};

describe("of a dataset", () => {
  test("the files of a split are fetched, in order, and pinned to their commit", async () => {
    const commit = setup.hub.commit("datasets/org/feedback", feedback);
    const { paths, reference } = await resolve("hf:org/feedback:train_prefs");
    expect(reference).toBe(`hf:org/feedback@${commit}:train_prefs`);
    const folder = setup.cache("datasets--org--feedback", "snapshots", commit, "data");
    expect(paths).toEqual([
      join(folder, "train_prefs-00000-of-00002.jsonl"),
      join(folder, "train_prefs-00001-of-00002.jsonl"),
    ]);
    expect(paths.map((path) => readText(path))).toEqual([rows("one"), rows("two")]);
    setup.hub.log.length = 0;
    expect(await resolve(reference)).toEqual({ paths, reference });
    expect(setup.hub.log).toEqual([]);
  });

  test("are named without the cache's folder where they are written down", async () => {
    const commit = setup.hub.commit("datasets/org/feedback", feedback);
    const { paths } = await resolve("hf:org/feedback:train_prefs");
    const texts = [`${paths[0]}:3`, `two rows: ${paths[0]}, ${paths[1]}`, "/elsewhere/pairs.jsonl"];
    const file = (shard: number) => `hf:org/feedback@${commit}/data/train_prefs-0000${shard}-of-00002.jsonl`;
    expect(texts.map((text) => withoutCacheFolders(text, setup.hub.settings(setup.home)))).toEqual([
      `${file(0)}:3`,
      `two rows: ${file(0)}, ${file(1)}`,
      "/elsewhere/pairs.jsonl",
    ]);
  });

  test("training rows are of train, or of the only split; held-out rows are never those", async () => {
    setup.hub.commit("datasets/org/both", { "train.jsonl": rows("a"), "test.jsonl": rows("b") });
    expect(await namesOf("hf:org/both")).toEqual(["train.jsonl"]);
    expect(await namesOf("hf:org/both", "evaluation")).toEqual(["test.jsonl"]);
    setup.hub.commit("datasets/org/all", {
      "a.jsonl": rows("a"),
      "validation.jsonl": rows("b"),
      "test.jsonl": rows("c"),
    });
    expect(await namesOf("hf:org/all", "evaluation")).toEqual(["validation.jsonl"]);
    expect(await refusalOf("hf:org/all")).toBe(
      "HubError: org/all: has no split that is usual for training. Give one of hf:org/all:default:validation, hf:org/all:default:test.",
    );
    setup.hub.commit("datasets/org/single", { "test.jsonl": rows("b") });
    expect(await namesOf("hf:org/single")).toEqual(["test.jsonl"]);
    setup.hub.commit("datasets/org/plain", { "pairs.jsonl": rows("b") });
    expect(await refusalOf("hf:org/plain", "evaluation")).toBe(
      "HubError: org/plain: has no split that is usual for evaluation. Give one of hf:org/plain:default:train.",
    );
  });

  test("a part of its name is a configuration, a folder or a split", async () => {
    setup.hub.commit("datasets/org/topics", topics);
    expect(await namesOf("hf:org/topics:helpful")).toEqual(["a.jsonl", "b.jsonl"]);
    expect(await namesOf("hf:org/topics:harmless:test")).toEqual(["harmless-test.jsonl"]);
    setup.hub.commit("datasets/Anthropic/hh", {
      "harmless-base/test.jsonl.gz": "x",
      "harmless-base/train.jsonl.gz": "x",
      "helpful-base/test.jsonl.gz": "y",
      "helpful-base/train.jsonl.gz": "y",
    });
    expect(await namesOf("hf:Anthropic/hh")).toHaveLength(2);
    const { paths } = await resolve("hf:Anthropic/hh:helpful-base:test");
    expect(paths).toEqual([expect.stringMatching(/helpful-base\/test\.jsonl\.gz$/)]);
    expect(await namesOf("hf:Anthropic/hh:test")).toHaveLength(2);
  });

  test("one file can be named", async () => {
    setup.hub.commit("datasets/org/topics", topics);
    expect(await namesOf("hf:org/topics/helpful/b.jsonl", "evaluation")).toEqual(["b.jsonl"]);
    expect(await refusalOf("hf:org/topics/helpful/c.jsonl")).toMatch(
      /^HubError: org\/topics: has no file "helpful\/c.jsonl"/,
    );
  });

  test("a part that is neither is refused with what there is", async () => {
    setup.hub.commit("datasets/org/topics", topics);
    setup.hub.commit("datasets/org/feedback", feedback);
    setup.hub.commit("datasets/org/pictures", { "a.png": "x", "b.zip": "y" });
    const names = [
      "topics",
      "topics:honest",
      "topics:honest:train",
      "topics:harmless:valid",
      "feedback",
      "feedback:train",
      "pictures",
    ];
    const refusals = [];
    for (const name of names) refusals.push(await refusalOf(`hf:org/${name}`));
    expect(refusals.join("\n\n")).toMatchInlineSnapshot(`
      "HubError: org/topics: has several configurations. Give one of hf:org/topics:helpful, hf:org/topics:harmless.

      HubError: org/topics: has no configuration "honest". Give one of hf:org/topics:helpful, hf:org/topics:harmless.

      HubError: org/topics: has no configuration "honest". Give one of hf:org/topics:helpful, hf:org/topics:harmless.

      HubError: org/topics: has no configuration or split "valid". Give one of hf:org/topics:harmless:train, hf:org/topics:harmless:test.

      HubError: org/feedback: has no split that is usual for training. Give one of hf:org/feedback:default:test_prefs, hf:org/feedback:default:train_prefs.

      HubError: org/feedback: has no configuration or split "train". Give one of hf:org/feedback:default:test_prefs, hf:org/feedback:default:train_prefs.

      HubError: org/pictures: has no JSON, CSV or Parquet files there, only .png .zip. The hub may have converted it: hf:org/pictures@refs/convert/parquet. Its files are at HUB/datasets/org/pictures/tree/main."
    `);
  });
});

describe("any other text", () => {
  test("is a path, whatever is there", async () => {
    for (const text of ["pairs.jsonl", "/nowhere/pairs.jsonl", "data/*.jsonl", "-"]) {
      expect(await resolve(text)).toEqual({ paths: [text], reference: text });
    }
  });

  test("that looks like a name says how names are written", async () => {
    expect(await refusalOf("org/feedback")).toBe(
      "DataError: org/feedback: there is no such file. For the dataset of this name on the hub, write hf:org/feedback.",
    );
  });
});
