/** `preftune reward` and `preftune score --reward-model`, from the embedded example to the rewards of held-out pairs. */

import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { RewardScore } from "../../src/evaluation/score.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at, folder, lines, read } = scratchFolder();
const example = (name: string) => fileURLToPath(new URL(`../../examples/film-reviews/${name}`, import.meta.url));
const clean = (text: string) => text.replaceAll(folder, "");

describe("the embedded example", () => {
  const evalData = example("preferences-eval.jsonl");
  const words = ["--model", example("model"), "--data", example("preferences.jsonl"), "--tuning", "full"];
  const trained = preftune(
    "reward",
    ...words,
    "--learning-rate",
    "1e-3",
    "--limit",
    "128",
    "--threads",
    "1",
    "--output",
    at("run"),
  );

  test("gives a reward model, and says how to use it", async () => {
    const { code, out, err } = await trained;
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toContain("bradley_terry loss");
    expect(clean(out).trimEnd().split("\n").slice(-3)).toEqual([
      "result  /run/model",
      `try it  preftune score --reward-model /run/model --data ${example("preferences.jsonl")} --output rewards.jsonl`,
      "see it  preftune ui",
    ]);
  });

  test("which ranks well above nine in ten held-out pairs right", { timeout: 60_000 }, async () => {
    await trained;
    const output = at("rewards.jsonl");
    const score = [
      "score",
      "--reward-model",
      at("run", "model"),
      "--data",
      evalData,
      "--threads",
      "1",
      "--output",
      output,
    ];
    expect(await preftune(...score)).toMatchObject({ code: 0, err: "" });
    const rows = lines<RewardScore>("rewards.jsonl");
    expect(Object.keys(rows[0]!)).toEqual(["index", "completion", "prompt_tokens", "tokens", "reward"]);
    expect(rows.map(({ index, completion }) => [index, completion])).toEqual(
      Array.from({ length: 256 }, (_, i) => [Math.floor(i / 2), i % 2 === 0 ? "chosen" : "rejected"]),
    );
    const right = rows.filter(({ reward }, i) => i % 2 === 0 && reward > rows[i + 1]!.reward).length;
    expect(right / 128).toBeGreaterThan(0.95);
  });

  test("which can be exported, but not written with", async () => {
    await trained;
    expect(await preftune("export", "--run", at("run"), "--output", at("exported"))).toMatchObject({ code: 0 });
    expect(read("exported", "config.json")).toContain("LlamaForSequenceClassification");
    const written = await preftune("generate", "--model", at("exported"), "--prompt", "Hi");
    expect({ code: written.code, err: clean(written.err) }).toMatchInlineSnapshot(`
      {
        "code": 2,
        "err": "preftune: /exported: is a reward model, which says how good a text is but can't write one, nor say how likely it is. Give a language model here; score with a reward model by preftune score --reward-model.
      ",
      }
    `);
    const tuned = await preftune("dpo", "--model", at("exported"), "--data", evalData, "--output", at("dpo"));
    expect({ code: tuned.code, err: clean(tuned.err) }).toMatchInlineSnapshot(`
      {
        "code": 2,
        "err": "preftune: /exported: is a reward model, which says how good a text is but can't write one, nor say how likely it is. Give a language model here; score with a reward model by preftune score --reward-model.
      ",
      }
    `);
  });
});

describe("score", () => {
  const model = writeTinyModel(at("model"));
  const data = writePairs(at("pairs.jsonl"), 2);
  const refused = async (...words: string[]) => {
    const { code, out, err } = await preftune("score", "--data", data, "--output", at("none.jsonl"), ...words);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    return clean(err);
  };

  test("wants a language model or a reward model, and not both", async () => {
    expect(await refused()).toMatchInlineSnapshot(`
      "preftune: Give --model, or --reward-model to score by rewards.
      "
    `);
    expect(await refused("--model", model, "--reward-model", model)).toMatchInlineSnapshot(`
      "preftune: Give either --reward-model or --model, not both.
      "
    `);
    expect(await refused("--reward-model", model, "--adapter", model)).toMatchInlineSnapshot(`
      "preftune: Give either --reward-model or --adapter, not both.
      "
    `);
  });

  test("refuses a language model as --reward-model", async () => {
    expect(await refused("--reward-model", model)).toMatchInlineSnapshot(`
      "preftune: /model: is a language model and has no reward head. Make a reward model of it by preftune reward, or score with it by --model.
      "
    `);
  });
});

test("reward refuses samples: there is nothing to write", async () => {
  const words = ["--model", at("model"), "--data", at("pairs.jsonl"), "--output", at("samples")];
  const { code, err } = await preftune("reward", ...words, "--sample-prompts", "2");
  expect({ code, err }).toMatchInlineSnapshot(`
    {
      "code": 2,
      "err": "preftune: --sample-prompts must be at most 0, but is 2.
    ",
    }
  `);
});
