/** Supervised fine-tuning: what is scored, what a step's loss is, and whole runs. */

import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, it } from "vitest";
import { readAdapter } from "../../src/checkpoints/peft.ts";
import type { TokenizedExample } from "../../src/data/example.ts";
import { scoredLengths } from "../../src/data/microbatch.ts";
import { nll } from "../../src/objectives/index.ts";
import { Random } from "../../src/random.ts";
import { evaluate } from "../../src/training/measurements/evaluate.ts";
import type { Metrics, RunObserver } from "../../src/training/observer.ts";
import { type SftOptions, sft } from "../../src/training/tuners.ts";
import { interruptAfter } from "../support/runs.ts";
import { scratchFolder } from "../support/scratch.ts";
import { tinyPairs, writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { engineOf, newPolicy, withTrainer } from "../support/trainers.ts";

/** One completion each, some of whose tokens are only context. */
function maskedTexts(count: number): TokenizedExample[] {
  const random = new Random(3);
  return tinyPairs(count).map(({ origin, prompt, completions: [ids] }) => {
    const scored = Uint8Array.from(ids!, (_, i) => (i === 0 ? 1 : random.below(2)));
    return { origin, prompt, completions: [ids!], scored: [scored] };
  });
}

describe("a completion of which some tokens are scored", () => {
  const texts = maskedTexts(6);

  it("has these tokens' log-probabilities as it has them unmasked, and their sum", async () => {
    await using engine = await engineOf(newPolicy("full"), nll());
    const whole = await engine.score(
      "policy",
      texts.map(({ scored: _, ...text }) => text),
    );
    const masked = await engine.score("policy", texts);
    masked.forEach(({ logp, tokens }, i) => {
      const kept = whole[i]!.tokens.filter((_, t) => texts[i]!.scored![0]![t] === 1);
      expect(tokens.length).toBe(kept.length);
      for (const [t, value] of tokens.entries()) expect(value).toBeCloseTo(kept[t]!, 4);
      expect(logp).toBeCloseTo(
        kept.reduce((a, b) => a + b, 0),
        3,
      );
    });
  });
});

describe.each(["tokens", "completions"] as const)("a step on the mean over %s", (average) => {
  const texts = maskedTexts(9);

  function step(microBatchTokens: number) {
    const settings = { policy: newPolicy("full"), objective: nll({ average }), microBatchTokens, steps: 1 };
    return withTrainer(settings, async ({ trainer, engine, evaluator, reference }) => {
      await trainer.check(texts);
      const before = (await evaluate(texts, { engine, evaluator, reference, microBatchTokens: 25, step: 0 }))!;
      const metrics = await trainer.step(0, texts);
      return { metrics, before, gradients: engine.gradients.data.slice() };
    });
  }

  it("is that mean, in training and in evaluation", async () => {
    const { metrics, before } = await step(1000);
    await using engine = await engineOf(newPolicy("full"), nll());
    const scores = await engine.score("policy", texts);
    const lengths = texts.flatMap(scoredLengths);
    const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
    const expected =
      average === "tokens"
        ? -sum(scores.map(({ logp }) => logp)) / sum(lengths)
        : -sum(scores.map(({ logp }, i) => logp / lengths[i]!)) / texts.length;
    expect(metrics.loss).toBeCloseTo(expected, 5);
    expect(before.eval_loss).toBeCloseTo(expected, 5);
    expect(metrics["lengths/completion"]).toBeCloseTo(sum(lengths) / texts.length, 6);
  });

  it("has the large batch's gradient, whatever the micro-batches", async () => {
    const [large, ...small] = await Promise.all([1000, 40, 1].map(step));
    for (const { metrics, gradients } of small) {
      expect(metrics.loss).toBeCloseTo(large!.metrics.loss!, 5);
      expect(metrics.grad_norm! / large!.metrics.grad_norm!).toBeCloseTo(1, 4);
      const most = large!.gradients.reduce((m, x) => Math.max(m, Math.abs(x)), 0);
      const distance = gradients.reduce((m, x, i) => Math.max(m, Math.abs(x - large!.gradients[i]!)), 0);
      expect(distance).toBeLessThan(1e-4 * most);
    }
  });
});

describe("a run of supervised fine-tuning", () => {
  const { at, json, writeLines } = scratchFolder();
  const model = writeTinyModel(at("model"));
  const film = (title: string, verdict: string) => [
    { role: "user", content: `Review ${title}` },
    { role: "assistant", content: `It is ${verdict}.` },
    { role: "user", content: "Really?" },
    { role: "assistant", content: "Yes." },
  ];
  const verdicts = ["good", "bad", "fine", "long", "dull", "warm"];
  const rows = {
    conversations: verdicts.map((verdict, i) => ({ messages: film(`film ${i}`, verdict) })),
    completions: verdicts.map((verdict, i) => ({ prompt: `Film ${i} is`, completion: ` ${verdict}.` })),
    texts: verdicts.map((verdict, i) => ({ text: `Once film ${i} was ${verdict}.` })),
  };
  /** A file of each kind of rows, with the first `count` of them. */
  const files = (name: string, count: number) =>
    Object.entries(rows).map(([kind, lines]) => writeLines(`${name}-${kind}.jsonl`, lines.slice(0, count)));
  const options = (output: string, changes: Partial<SftOptions> = {}): SftOptions => ({
    model,
    data: files("train", 6),
    output: at(output),
    batchSize: 6,
    epochs: 4,
    learningRate: 1e-2,
    loraRank: 4,
    samplePrompts: 1,
    sampleTokens: 4,
    threads: 1,
    ...changes,
  });
  const told: Metrics[] = [];
  const observer: RunObserver = { onEvaluation: (metrics) => told.push(metrics) };
  beforeAll(async () => {
    await sft(options("run", { evalData: files("held", 2), evalEvery: 6 }), { observer });
  });

  it("lowers the loss of texts, conversations and completions together, without a reference", () => {
    expect(told.map(({ step }) => step)).toEqual([0, 6, 12]);
    expect(told[0]!.eval_loss).toBeGreaterThan(told.at(-1)!.eval_loss! + 0.5);
    expect(readAdapter(at("run", "adapter"))).toMatchObject({ rank: 4, baseModel: model });
    expect(json("run", "config.json")).toMatchObject({ method: "sft", loss: ["nll"] });
  });

  it("has TRL's learning rates where none is given", async () => {
    const rate = async (output: string, tuning: "lora" | "full") => {
      await sft(options(output, { tuning, learningRate: undefined, maxSteps: 1, samplePrompts: 0 }));
      return json(output, "config.json").learningRate;
    };
    expect([await rate("lora", "lora"), await rate("full", "full")]).toEqual([2e-4, 2e-5]);
  });

  it("goes on after an interruption as if there had been none", async () => {
    const settings = options("interrupted", { evalData: files("held", 2), evalEvery: 6 });
    expect((await sft(settings, interruptAfter(5))).step).toBe(5);
    await sft(settings, { resume: true });
    const weights = (run: string) => readFileSync(at(run, "adapter", "adapter_model.safetensors"), "base64");
    expect(weights("interrupted")).toBe(weights("run"));
  });

  it("learns the chosen completions of preference pairs", async () => {
    const { before, after } = await sft(options("pairs", { data: writePairs(at("pairs.jsonl"), 6), epochs: 2 }));
    expect(after!.loss).toBeLessThan(before!.loss!);
  });
});
