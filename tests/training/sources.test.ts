/** What a run is made from: names on the hub with their commits, also where a run is resumed by its names. */

import { describe, expect, test } from "vitest";
import type { TrainingConfig } from "../../src/training/config.ts";
import { pinnedAs, pinSources } from "../../src/training/directory/sources.ts";
import { withHub } from "../hub/support.ts";

const setup = withHub();
const commits = ["0123456789", "abcdef0123"].map((digits) => digits.repeat(4)) as [string, string];
const config = (changes: object) => ({ seed: 1, ...changes }) as unknown as TrainingConfig;

describe("sources of rows", () => {
  test("are pinned in whatever form they are given, and paths stay as they are", async () => {
    const commit = setup.hub.commit("datasets/org/films", { "train.jsonl": "{}", "test.jsonl": "{ }" });
    const given = [
      "hf:org/films:test",
      "hf:org/films:0.7",
      "pairs.jsonl:0.3",
      { path: "hf:org/films:train", weight: 2 },
    ];
    expect(await pinSources(given, "training", setup.options())).toEqual([
      `hf:org/films@${commit}:test`,
      `hf:org/films@${commit}:0.7`,
      "pairs.jsonl:0.3",
      { path: `hf:org/films@${commit}:train`, weight: 2 },
    ]);
    expect(setup.hub.filesAsked().sort()).toEqual(["test.jsonl", "train.jsonl"]);
  });
});

describe("a resumed run", () => {
  const before = {
    model: `hf:org/tiny@${commits[0]}`,
    adapter: `hf:org/adapter@${commits[0]}`,
    data: [`hf:org/films@${commits[0]}:train:0.5`, { path: `hf:org/films@${commits[0]}` }, "a.jsonl"],
  };

  test("has the commits that it had, where it has the names", () => {
    const names = {
      model: "org/tiny",
      adapter: "hf:org/adapter@main",
      data: ["hf:org/films:train:0.5", { path: "hf:org/films" }, "a.jsonl"],
    };
    expect(pinnedAs(before, config(names))).toEqual(config(before));
    expect(pinnedAs(before, config(before))).toEqual(config(before));
  });

  test("has others where it has others, which is refused as other settings are", () => {
    const others = {
      model: `org/tiny@${commits[1]}`,
      adapter: "org/another",
      data: ["hf:org/films:test:0.5", { path: "hf:org/movies" }, "b.jsonl", "hf:org/films"],
    };
    expect(pinnedAs(before, config(others))).toEqual(config(others));
    expect(pinnedAs({ model: "models/tiny", data: ["a.jsonl"] }, config(others))).toEqual(config(others));
  });
});
