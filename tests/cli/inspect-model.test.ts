/** `preftune inspect model` on a tiny chat model. */

import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { inspectModel, type ModelReport } from "../../src/inspection/model.ts";
import type { RunSummary } from "../../src/training/observer.ts";
import { dpo } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at } = scratchFolder();
const model = writeTinyModel(at("model"));
// A tokenizer that says nothing of padding.
writeFileSync(at("model", "tokenizer_config.json"), JSON.stringify({ eos_token: "<|im_end|>" }));

async function report(...words: string[]): Promise<ModelReport> {
  const { code, out, err } = await preftune("inspect", "model", ...words, "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out) as ModelReport;
}

describe("inspect model", () => {
  test("says what config.json, the weights' header and the tokenizer say", async () => {
    const { family, architecture, parameters, dtypes, tokenizer } = await report(model, "--no-time");
    expect(family).toBe("llama");
    expect(architecture).toMatchObject({
      layers: 2,
      hiddenSize: 32,
      attentionHeads: 4,
      vocabularySize: 1024,
      maxPositions: 512,
    });
    // Two layers of 32 x 32 queries and outputs, 32 x 16 keys and values, three of 32 x 48; two norms each and one at the end.
    expect(parameters).toEqual({
      embedding: 1024 * 32,
      attention: 2 * (2 * 32 * 32 + 2 * 32 * 16),
      "feed-forward": 2 * 3 * 32 * 48,
      norms: 5 * 32,
      "output head": 1024 * 32,
      total: 2 * 1024 * 32 + 2 * (3 * 1024 + 3 * 32 * 48) + 160,
    });
    expect(dtypes).toEqual({ F32: parameters.total });
    expect(tokenizer).toMatchObject({ vocabulary: 1024, bos: null, eos: "<|im_end|>", before: "" });
    expect(tokenizer.chat!.text).toBe(
      "<|im_start|>user\nWhat is the capital of France?<|im_end|>\n<|im_start|>assistant\nParis.<|im_end|>\n" +
        "<|im_start|>user\nAnd of Italy?<|im_end|>\n<|im_start|>assistant\n",
    );
    expect(tokenizer.chat!.tokens).toBeGreaterThan(tokenizer.chat!.words);
  });

  test("estimates memory for both kinds of tuning at each length", async () => {
    const { estimates } = await report(
      "--model",
      model,
      "--no-time",
      "--max-length",
      "64,128",
      "--micro-batch-tokens",
      "1",
    );
    expect(estimates.map(({ tuning, maxLength }) => [tuning, maxLength])).toEqual([
      ["lora", 64],
      ["lora", 128],
      ["full", 64],
      ["full", 128],
    ]);
    for (const one of estimates) expect(one).not.toHaveProperty("seconds");
    const [short, long] = estimates;
    expect(long!.memory).toBeGreaterThan(short!.memory);
    // A pair of twice the length takes more than twice the work: attention's part grows faster.
    expect(long!.flops).toBeGreaterThan(2 * short!.flops);
  });

  test("estimates the time of a step, from the machine that it is on", async () => {
    const { estimates } = await report(model, "--max-length", "32", "--batch-size", "4");
    expect(estimates).toHaveLength(2);
    for (const { seconds, pairsPerSecond } of estimates) {
      expect(seconds).toBeGreaterThan(0);
      expect(pairsPerSecond).toBeCloseTo(4 / seconds!, 6);
    }
  });

  test.each(["lora", "full"] as const)("plans %s as a run with the same settings does", async (tuning) => {
    const words = (count: number) => Array.from({ length: count }, (_, i) => `word ${i}`).join(" ");
    const row = JSON.stringify({ prompt: words(99), chosen: ` ${words(98)}`, rejected: ` no ${words(99)}` });
    writeFileSync(at("long.jsonl"), `${row}\n`.repeat(5));
    const settings = { batchSize: 4, microBatchTokens: 250, loraRank: 3, threads: 1 };
    const { estimates } = await inspectModel({ ...settings, model, maxLength: "64", time: false });
    const run = { tuning, maxLength: 64, maxPromptLength: 32, maxSteps: 1, sampleTokens: 1, epochs: 1 };
    let planned: number | undefined;
    const onStart = ({ memory }: RunSummary) => {
      planned = memory.total;
    };
    await dpo({ ...settings, ...run, model, data: at("long.jsonl"), output: at(tuning) }, { observer: { onStart } });
    expect(estimates.find((estimate) => estimate.tuning === tuning)?.memory).toBe(planned);
  });

  test("estimates for no length that the model can't have", async () => {
    const { estimates } = await report(model, "--no-time", "--max-length", "256,4096,100000");
    expect(estimates.map(({ maxLength }) => maxLength)).toEqual([256, 512, 256, 512]);
  });

  test("prints it as text", async () => {
    const { code, out, err } = await preftune("inspect", "model", model, "--no-time", "--max-length", "64");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out.replace(model, "MODEL")).toMatchInlineSnapshot(`
      "model         MODEL
      family        llama
      architecture  2 layers of width 32, 4 attention heads, 1,024 tokens, up to 512 positions
      parameters    81.1K: embedding 32.8K (40%), norms 160 (0%), attention 6.1K (8%), feed-forward 9.2K
                    (11%), output head 32.8K (40%)
      stored as     F32 (100%); computed in float32, 1 MB

      tokenizer     1,024 tokens, 3 of them special
      begin, end    none, <|im_end|>; padding none (never used: micro-batches have none)
      plain text    begins as it stands
      conversations by its chat template, which makes 41 tokens of three messages with 23:
          <|im_start|>user
          What is the capital of France?<|im_end|>
          <|im_start|>assistant
          Paris.<|im_end|>
          <|im_start|>user
          And of Italy?<|im_end|>
          <|im_start|>assistant
          

      DPO   longest  trained  memory       a pair  a step  pairs/s
      LoRA       64    14.8K  180 MB  0.045 GFLOP
      full       64    81.1K  178 MB  0.045 GFLOP
      Steps of 8 pairs, 256 tokens to a micro-batch where more than one pair fits; prompts take half of the length.
      "
    `);
  });

  test("a model that is given twice, or not at all, is a usage error", async () => {
    const twice = await preftune("inspect", "model", model, "--model", model);
    expect(twice).toMatchObject({ code: 2, out: "" });
    expect(twice.err).toContain("The model is given twice");
    const none = await preftune("inspect", "model");
    expect(none).toMatchObject({ code: 2, out: "" });
    expect(none.err).toContain("--model is missing");
    expect((await preftune("inspect")).code).toBe(2);
  });

  test("lengths must be whole numbers", async () => {
    const { code, err } = await preftune("inspect", "model", model, "--max-length", "256,long");
    expect(code).toBe(2);
    expect(err).toMatchInlineSnapshot(`
      "preftune: --max-length must be a number, but is "long".
      "
    `);
  });
});
