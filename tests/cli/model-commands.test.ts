/** score, generate and export on a tiny chat model, each checked against the others. */

import { existsSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { readAdapter, writeAdapter } from "../../src/checkpoints/peft.ts";
import { loadPreferences } from "../../src/data/load.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import type { Score } from "../../src/evaluation/score.ts";
import { modelFor } from "../../src/models/index.ts";
import { Random } from "../../src/random.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at, folder, lines, writeLines } = scratchFolder();
const model = writeTinyModel(at("model"));
const pairs = writePairs(at("pairs.jsonl"), 20);

/** An adapter large enough to change what the model says. */
function writeRandomAdapter(path: string, options: { rank: number; alpha: number; rsLora: boolean }): string {
  const config = JSON.parse(readFileSync(join(model, "config.json"), "utf8"));
  const { linearModules, weights } = modelFor({ config, source: model });
  const random = new Random(11);
  const matrix = (size: number) => Float32Array.from({ length: size }, () => 0.2 * (random.next() - 0.5));
  const modules = linearModules.map((module) => {
    const [outFeatures, inFeatures] = weights.get(`${module}.weight`)! as [number, number];
    const [a, b] = [matrix(options.rank * inFeatures), matrix(outFeatures * options.rank)];
    return [module, { a, b, inFeatures, outFeatures }] as const;
  });
  writeAdapter(path, { ...options, targets: ["q_proj"], modules: new Map(modules) });
  return path;
}

async function scores(...words: string[]): Promise<Score[]> {
  const output = at("scores.jsonl");
  expect(await preftune("score", "--data", pairs, "--output", output, ...words)).toMatchObject({ code: 0, err: "" });
  return lines<Score>("scores.jsonl");
}

describe("score", () => {
  test("writes two objects a pair in the order of the file, chosen first, with the promised fields", async () => {
    const rows = await scores("--model", model);
    expect(rows.map(({ index, completion }) => [index, completion])).toEqual(
      Array.from({ length: 40 }, (_, i) => [Math.floor(i / 2), i % 2 === 0 ? "chosen" : "rejected"]),
    );
    expect(Object.keys(rows[0]!)).toEqual(["index", "completion", "prompt_tokens", "tokens", "logp"]);
    using checkpoint = await openCheckpoint(model);
    const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
    const limits = { maxLength: 512, maxPromptLength: 256, truncation: "error" as const };
    const { examples } = await loadPreferences({ files: pairs, tokenizer, ...limits });
    expect(rows.map(({ prompt_tokens, tokens }) => [prompt_tokens, tokens])).toEqual(
      examples.flatMap(({ prompt, completions }) => completions.map((ids) => [prompt.length, ids.length])),
    );
  });

  test("gives a completion the same score however the pairs are packed", async () => {
    const together = await scores("--model", model, "--micro-batch-tokens", "2000");
    const alone = await scores("--model", model, "--micro-batch-tokens", "1");
    together.forEach(({ logp }, i) => {
      expect(Math.abs(logp - alone[i]!.logp)).toBeLessThan(1e-3);
    });
  });

  test("--limit takes the first usable rows, and index is the row's place in its file", async () => {
    const rows = lines<{ chosen: string }>("pairs.jsonl");
    const unusable = { ...rows[0]!, rejected: rows[0]!.chosen };
    writeLines("gaps.jsonl", [unusable, rows[1], unusable, rows[2], rows[3]]);
    const output = at("gaps-scores.jsonl");
    const words = ["score", "--model", model, "--data", at("gaps.jsonl"), "--limit", "2", "--output", output];
    const { code, out } = await preftune(...words);
    expect(code).toBe(0);
    expect(out).toContain("identical completions");
    expect(lines<Score>("gaps-scores.jsonl").map(({ index }) => index)).toEqual([1, 1, 3, 3]);
  });

  test("several files are told apart", async () => {
    const more = writePairs(at("more.jsonl"), 2);
    const output = at("both.jsonl");
    await preftune("score", "--model", model, "--data", `${more},${pairs}`, "--limit", "3", "--output", output);
    expect(lines<Score>("both.jsonl").map(({ file }) => file)).toEqual([more, more, more, more, pairs, pairs]);
  });

  test("a row that can't be read stops it with nothing written", async () => {
    writeFileSync(at("broken.jsonl"), `${readFileSync(pairs, "utf8")}{"prompt": 3}\n`);
    const output = at("never.jsonl");
    const { code, err } = await preftune("score", "--model", model, "--data", at("broken.jsonl"), "--output", output);
    expect(code).toBe(1);
    expect(err).toMatch(/^preftune: .*broken\.jsonl line 21: .*--on-bad-row drop\.\n$/);
    expect(readdirSync(folder).filter((name) => name.startsWith("never"))).toEqual([]);
  });

  test("an output that can't be written is a usage error, before anything is computed", async () => {
    const { code, err } = await preftune("score", "--model", model, "--data", pairs, "--output", at("no/where.jsonl"));
    expect(code).toBe(2);
    expect(err).toContain("where.jsonl can't be written (there is no such file or folder)");
  });
});

describe("an output of score that would do harm", () => {
  test("a folder is refused before anything is computed", async () => {
    const { code, err } = await preftune("score", "--model", at("no-model"), "--data", pairs, "--output", folder);
    expect({ code, err }).toEqual({
      code: 2,
      err: `preftune: --output ${folder} is a folder. Give the name of a file in it.\n`,
    });
  });

  test("the rows themselves are refused by any of their names, and stay", async () => {
    const data = writePairs(at("own.jsonl"), 2);
    const before = readFileSync(data);
    symlinkSync(data, at("other-name.jsonl"));
    for (const output of [data, at("other-name.jsonl"), join(folder, "..", basename(folder), "own.jsonl")]) {
      const { code, err } = await preftune("score", "--model", model, "--data", data, "--output", output);
      expect({ code, err }).toEqual({
        code: 2,
        err: `preftune: --output ${output} is a file that is read for it. Give another name.\n`,
      });
    }
    expect(readFileSync(data)).toEqual(before);
    expect(readdirSync(folder).filter((name) => name.includes(".tmp-"))).toEqual([]);
  });
});

test("report of a model's folder writes nothing into it", async () => {
  const before = readdirSync(model);
  const { code, err } = await preftune("report", model);
  expect({ code, err }).toEqual({
    code: 1,
    err: `preftune: ${model}: is the folder of a model, not of a run. Give the folder that a run was written to (its --output).\n`,
  });
  expect(readdirSync(model)).toEqual(before);
});

test("a demo refuses a folder that holds something before it writes a review", async () => {
  const { code, out, err } = await preftune("demo", "--output", folder);
  expect({ code, err }).toEqual({
    code: 1,
    err: `preftune: ${folder}: is there already and not empty. Give another --output.\n`,
  });
  expect(out).not.toContain("before tuning");
});

test("a number of threads that would take all memory is refused", async () => {
  const { code, err } = await preftune("generate", "--model", model, "--prompt", "Hi", "--threads", "100000");
  expect({ code, err }).toEqual({ code: 2, err: "preftune: --threads must be at most 1024, but is 100000.\n" });
});

describe("export", () => {
  const tensorsOf = async (path: string) => {
    using checkpoint = await openCheckpoint(path);
    return new Map([...checkpoint.tensors.keys()].map((name) => [name, checkpoint.read(name)]));
  };

  test.each([
    ["LoRA", { rank: 4, alpha: 8, rsLora: false }, 8 / 4],
    ["rsLoRA", { rank: 4, alpha: 8, rsLora: true }, 8 / 2],
  ])("merges %s as W + scale B A, to float32's rounding", async (name, options, scale) => {
    const adapter = writeRandomAdapter(at(`adapter-${name}`), options);
    const output = at(`merged-${name}`);
    expect(await preftune("export", "--model", model, "--adapter", adapter, "--output", output)).toEqual({
      code: 0,
      out: `${output}\n`,
      err: expect.stringMatching(/^The adapter was merged in float32. On \d+ tokens .* by at most \d\S* nats\.\n$/),
    });
    const [base, merged] = [await tensorsOf(model), await tensorsOf(output)];
    expect([...merged.keys()].toSorted()).toEqual([...base.keys()].toSorted());
    const { modules } = readAdapter(adapter);
    for (const [tensor, values] of merged) {
      const lora = modules.get(tensor.replace(/\.weight$/, ""));
      const expected = base.get(tensor)!.map((w, i) => {
        if (!lora) return w;
        const [row, column] = [Math.floor(i / lora.inFeatures), i % lora.inFeatures];
        let product = 0;
        for (let r = 0; r < options.rank; r++) {
          product += lora.b[row * options.rank + r]! * lora.a[r * lora.inFeatures + column]!;
        }
        return w + scale * product;
      });
      expect(values).toEqual(expected);
    }
  });

  test("the merged model says what model and adapter say", async () => {
    const adapter = writeRandomAdapter(at("adapter"), { rank: 4, alpha: 16, rsLora: false });
    await preftune("export", "--model", model, "--adapter", adapter, "--output", at("merged"));
    const base = await scores("--model", model);
    const adapted = await scores("--model", model, "--adapter", adapter);
    const merged = await scores("--model", at("merged"));
    merged.forEach(({ logp }, i) => {
      expect(Math.abs(logp - adapted[i]!.logp)).toBeLessThan(2e-3);
    });
    expect(merged.some(({ logp }, i) => Math.abs(logp - base[i]!.logp) > 1)).toBe(true);
  });

  test("a model alone is written again, tokenizer and template included", async () => {
    await preftune("export", "--model", model, "--output", at("again"));
    expect(readdirSync(at("again")).toSorted()).toEqual([...readdirSync(model), "README.md"].toSorted());
    for (const file of readdirSync(model)) {
      expect(readFileSync(join(at("again"), file)).equals(readFileSync(join(model, file)))).toBe(true);
    }
  });

  test("an adapter of another model is refused by name, and nothing is written", async () => {
    const adapter = at("foreign");
    const module = { a: new Float32Array(4), b: new Float32Array(4), inFeatures: 4, outFeatures: 4 };
    const modules = new Map([["model.layers.0.self_attn.q_proj", module]]);
    writeAdapter(adapter, { rank: 1, alpha: 1, rsLora: false, targets: ["q_proj"], modules });
    const { code, err } = await preftune("export", "--model", model, "--adapter", adapter, "--output", at("nothing"));
    expect(code).toBe(2);
    expect(err).toMatchInlineSnapshot(`
      "preftune: The adapter's module "model.layers.0.self_attn.q_proj" is for a layer of [4, 4]; the model's is [32, 32]. Is it another model's?
      "
    `);
    expect(existsSync(at("nothing"))).toBe(false);
  });

  test("a folder that holds something is not overwritten", async () => {
    mkdirSync(at("full"));
    writeFileSync(join(at("full"), "mine.txt"), "mine");
    const { code, err } = await preftune("export", "--model", model, "--output", at("full"));
    expect(code).toBe(1);
    expect(err.replaceAll(folder, "")).toMatchInlineSnapshot(`
      "preftune: /full: is there already and not an empty folder; choose another name or remove it first.
      "
    `);
  });
});

test("a loaded model writes its answers piece by piece, and no piece splits a character", async () => {
  await using loaded = await loadModel(model);
  const pieces = new Map<number, string[]>();
  const prompts = Array.from({ length: 8 }, (_, i) => `Prompt ${i}`);
  const answers = await loaded.generate(prompts, {
    maxNewTokens: 60,
    temperature: 1.5,
    onText: (piece, index) => pieces.set(index, [...(pieces.get(index) ?? []), piece]),
  });
  expect(answers.map((_, index) => pieces.get(index)!.join(""))).toEqual(answers.map(({ text }) => text));
  expect(pieces.get(0)!.length).toBeGreaterThan(20);
  // Random tokens have bytes that are no character, so characters did have to be waited for.
  expect(answers.some(({ text }) => text.includes("\ufffd"))).toBe(true);
});

describe("generate", () => {
  const question = 'How is the pacing in "The Forest in the City"?';
  const generate = (...words: string[]) => preftune("generate", "--model", model, "--max-new-tokens", "12", ...words);

  test("prints the answer to one prompt as it is written", async () => {
    const { code, out, err } = await generate("--prompt", question);
    expect({ code, err }).toEqual({ code: 0, err: "" });
    const [line] = (await generate("--prompt", question, "--json")).out.split("\n");
    expect(out).toBe(`${JSON.parse(line!).completion}\n`);
  });

  test("--json has the promised fields", async () => {
    const { out } = await generate("--prompt", question, "--json");
    expect(JSON.parse(out)).toEqual({
      index: 0,
      prompt: question,
      completion: expect.any(String),
      tokens: 12,
      reason: "length",
    });
  });

  test("a prompt is a user's message; --raw is text as it stands", async () => {
    const wrapped = `<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
    expect((await generate("--prompt", question)).out).toBe((await generate("--raw", "--prompt", wrapped)).out);
    expect((await generate("--prompt", question)).out).not.toBe((await generate("--raw", "--prompt", question)).out);
  });

  test("--system stands before the prompt, and can't go with --raw", async () => {
    const wrapped = `<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n`;
    const withSystem = await generate("--system", "Be brief.", "--prompt", question);
    expect(withSystem.out).toBe((await generate("--raw", "--prompt", wrapped)).out);
    const refused = await generate("--raw", "--system", "Be brief.", "--prompt", question);
    expect(refused).toMatchObject({ code: 2, out: "" });
  });

  test("a file's prompts are answered in its order, and its index kept where a row is left out", async () => {
    const rows = [{ prompt: question }, { prompt: "" }, { prompt: [{ role: "user", content: "Any good film?" }] }];
    writeFileSync(at("prompts.jsonl"), rows.map((row) => JSON.stringify(row)).join("\n"));
    const { code, out, err } = await generate("--raw", "--prompts", at("prompts.jsonl"), "--json");
    expect(code).toBe(0);
    expect(err).toContain("empty prompt");
    const answers = out
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(answers.map(({ index, prompt }) => [index, prompt])).toEqual([
      [0, question],
      [2, rows[2]!.prompt],
    ]);
  });

  test("sampling is reproducible by its seed, and the adapter counts", async () => {
    const sample = async (...words: string[]) =>
      (await generate("--prompt", question, "--temperature", "1", "--top-p", "0.9", ...words)).out;
    expect(await sample("--seed", "1")).toBe(await sample("--seed", "1"));
    expect(await sample("--seed", "1")).not.toBe(await sample("--seed", "2"));
    const adapter = writeRandomAdapter(at("generate-adapter"), { rank: 4, alpha: 16, rsLora: false });
    expect((await generate("--prompt", question, "--adapter", adapter)).out).not.toBe(
      (await generate("--prompt", question)).out,
    );
  });
});
