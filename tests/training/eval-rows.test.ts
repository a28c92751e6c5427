/** Held-out rows and samples as the run directory shows them: complete, in order, and with the numbers that were measured. */

import { beforeAll, describe, expect, it } from "vitest";
import type { TokenizedExample } from "../../src/data/example.ts";
import { loadModel } from "../../src/evaluation/loaded-model.ts";
import { dpo as dpoObjective } from "../../src/objectives/index.ts";
import { TokenPieces } from "../../src/text/pieces.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { EvalRows } from "../../src/training/measurements/eval-rows.ts";
import type { EvalRow, Metrics, Sample, TokenScores } from "../../src/training/observer.ts";
import { dpo, kto, mpo, reward, sft } from "../../src/training/tuners.ts";
import { runsFolder } from "../support/runs.ts";
import { writeTinyModel } from "../support/tiny-model.ts";
import { byteFiles } from "../text/tokenizers.ts";

const { at, lines, writeLines } = runsFolder();

const model = writeTinyModel(at("model"));

/** Pairs whose completions have characters of several bytes, of which the tiny model's tokens are parts. */
const pairs = [
  { prompt: "How is the film?", chosen: "Charmant, un bijou ! 😀", rejected: "Ennuyeux — à éviter." },
  { prompt: "And its music?", chosen: "很好听。", rejected: " Naïve, überlang. 👩‍👩‍👧" },
  { prompt: "Its actors?", chosen: "Lovely, all of them.", rejected: "Wooden." },
  { prompt: "Its pictures?", chosen: "Warm, like a summer in the North.", rejected: "Grey as ash" },
];
const data = writeLines("pairs.jsonl", pairs);
const ranked = writeLines(
  "ranked.jsonl",
  pairs.map(({ prompt, chosen, rejected }) => ({
    prompt,
    completions: [rejected, "So so.", chosen],
    scores: [2, 2, 9],
  })),
);
const labelled = writeLines(
  "labelled.jsonl",
  pairs.flatMap(({ prompt, chosen, rejected }) => [
    { prompt, completion: chosen, label: true },
    { prompt, completion: rejected, label: false },
  ]),
);
const conversations = writeLines("conversations.jsonl", [
  {
    messages: [
      { role: "user", content: "How is the film?" },
      { role: "assistant", content: "Très bien 😀" },
      { role: "user", content: "And the music?" },
      { role: "assistant", content: "Also." },
    ],
  },
]);
const texts = [
  conversations,
  writeLines(
    "texts.jsonl",
    pairs.map(({ chosen }) => ({ text: chosen })),
  ),
];

const settings = (name: string, rows: string | string[]) => ({
  model,
  data: rows,
  evalData: rows,
  output: at(name),
  batchSize: 2,
  maxSteps: 2,
  learningRate: 1e-2,
  loraRank: 2,
  samplePrompts: 0,
  microBatchTokens: 150,
  threads: 1,
});

/** The rows of a run with the last evaluation's means, which it wrote of the same. */
function evaluated(name: string) {
  return {
    rows: lines<EvalRow>(name, "eval-rows.jsonl"),
    last: lines<Metrics>(name, "metrics.jsonl").findLast((line) => "eval_loss" in line)!,
  };
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const mean = (values: readonly number[]) => sum(values) / values.length;
/** The completions of a role, in all rows. */
const ofRole = (rows: readonly EvalRow[], role: string) =>
  rows.flatMap(({ completions }) => completions.filter((completion) => completion.role === role));

/** What holds of the rows of every language model's run. */
function expectTokensOfTexts(rows: readonly EvalRow[]) {
  for (const { text, tokens, logp, reference_logp } of rows.flatMap(({ completions }) => completions)) {
    expect(tokens!.text.join("")).toBe(text);
    expect([tokens!.policy.length, tokens!.reference.length]).toEqual([tokens!.text.length, tokens!.text.length]);
    expect(sum(tokens!.policy)).toBeCloseTo(logp!, 3);
    expect(sum(tokens!.reference)).toBeCloseTo(reference_logp!, 3);
  }
}

describe("held-out rows of a run", () => {
  it("on pairs: each with its texts, rewards and margin, the least margin first", async () => {
    await dpo(settings("pairs", data));
    const { rows, last } = evaluated("pairs");
    expectTokensOfTexts(rows);
    expect(rows.map(({ step, file }) => [step, file])).toEqual(pairs.map(() => [2, data]));
    expect(rows.map(({ line }) => line).toSorted()).toEqual([1, 2, 3, 4]);
    for (const { line, prompt, completions, margin } of rows) {
      const row = pairs[line - 1]!;
      expect(prompt).toBe(row.prompt);
      expect(completions.map(({ role, text }) => [role, text])).toEqual([
        ["chosen", row.chosen],
        ["rejected", row.rejected],
      ]);
      const [chosen, rejected] = completions;
      expect(margin).toBeCloseTo(chosen!.reward! - rejected!.reward!, 5);
      expect(chosen!.reward).toBeCloseTo(0.1 * (chosen!.logp! - chosen!.reference_logp!), 5);
    }
    const margins = rows.map(({ margin }) => margin!);
    expect(margins).toEqual(margins.toSorted((a, b) => a - b));
    expect(mean(rows.map(({ loss }) => loss))).toBeCloseTo(last.eval_loss!, 9);
    expect(mean(margins)).toBeCloseTo(last["eval_rewards/margins"]!, 9);
    for (const role of ["chosen", "rejected"]) {
      expect(mean(ofRole(rows, role).map(({ logp }) => logp!))).toBeCloseTo(last[`eval_logps/${role}`]!, 9);
    }
  });

  it("on rankings: each completion with its rank, tied ones with the same", async () => {
    await dpo({ ...settings("ranked", ranked), loss: "plackett_luce" });
    const { rows, last } = evaluated("ranked");
    expectTokensOfTexts(rows);
    for (const { line, completions } of rows) {
      expect(completions.map(({ role, text }) => [role, text])).toEqual([
        ["rank 1", pairs[line - 1]!.chosen],
        ["rank 2", pairs[line - 1]!.rejected],
        ["rank 2", "So so."],
      ]);
    }
    expect(mean(rows.map(({ margin }) => margin!))).toBeCloseTo(last["eval_rewards/margins"]!, 9);
  });

  it("on labelled completions: each with its label and its reward, the greatest loss first", async () => {
    await kto(settings("labelled", labelled));
    const { rows, last } = evaluated("labelled");
    expectTokensOfTexts(rows);
    expect(rows).toHaveLength(8);
    for (const { line, completions } of rows) {
      expect(completions.map(({ role }) => role)).toEqual([line % 2 === 1 ? "desirable" : "undesirable"]);
    }
    const rewards = (role: string) => mean(ofRole(rows, role).map(({ reward: own }) => own!));
    expect(rewards("desirable")).toBeCloseTo(last["eval_rewards/chosen"]!, 9);
    expect(rewards("undesirable")).toBeCloseTo(last["eval_rewards/rejected"]!, 9);
    const losses = rows.map(({ loss }) => loss);
    expect(losses).toEqual(losses.toSorted((a, b) => b - a));
    expect(rows.every(({ margin }) => margin === undefined)).toBe(true);
  });

  it("on texts and conversations: what is given and not learned has a log-probability of 0", async () => {
    await sft({ ...settings("texts", texts) });
    const { rows, last } = evaluated("texts");
    expectTokensOfTexts(rows);
    expect(rows).toHaveLength(5);
    expect(mean(ofRole(rows, "completion").map(({ logp }) => logp!))).toBeCloseTo(last["eval_logps/completion"]!, 9);
    const { tokens } = rows.find(({ file }) => file === conversations)!.completions[0]!;
    const learned = tokens!.text.filter((_, i) => tokens!.policy[i] !== 0).join("");
    expect(learned).toBe("Très bien 😀Also.");
    expect(tokens!.text.join("")).toContain("And the music?");
  });

  it("of MPO, whose examples need not be pairs: as of pairs", async () => {
    await mpo(settings("mpo", data));
    const { rows } = evaluated("mpo");
    expectTokensOfTexts(rows);
    for (const { completions } of rows) expect(completions.map(({ role }) => role)).toEqual(["chosen", "rejected"]);
  });

  it("of a reward model: rewards alone", async () => {
    await reward(settings("reward", data));
    const { rows, last } = evaluated("reward");
    for (const { completions, margin } of rows) {
      const [chosen, rejected] = completions;
      expect(chosen).toEqual({ role: "chosen", text: expect.any(String), reward: expect.any(Number) });
      expect(margin).toBeCloseTo(chosen!.reward! - rejected!.reward!, 5);
    }
    expect(mean(rows.map(({ margin }) => margin!))).toBeCloseTo(last["eval_rewards/margins"]!, 9);
  });
});

describe("tokens are told of the most wrong rows", () => {
  const tokenizer = tokenizerFromFiles(byteFiles({}));
  const ids = (text: string) => tokenizer.encode(text);
  const example = (line: number): TokenizedExample => ({
    origin: { file: "pairs.jsonl", line },
    prompt: ids("a"),
    completions: [ids("bc"), ids("de")],
  });
  const score = { logp: -2, tokens: Float32Array.of(-1, -1) };

  /** The lines that have tokens, of examples with these margins. */
  function told(margins: number[], budget: number): [line: number, told: boolean][] {
    const examples = margins.map((_, i) => example(i + 1));
    const rows = new EvalRows(dpoObjective({ beta: 0.1 }), tokenizer, new TokenPieces(tokenizer), budget);
    const scores = examples.flatMap(() => [score, score]);
    rows.add(examples, { losses: margins, metrics: { "rewards/margins": margins }, scores }, scores);
    return [...rows.sorted(examples, 1)].map(({ line, completions }) => [
      line,
      completions.every(({ tokens }) => tokens),
    ]);
  }

  it("until the budget is spent", () => {
    const margins = [0.5, -1, 0.25];
    expect(told(margins, 12)).toEqual([
      [2, true],
      [3, true],
      [1, true],
    ]);
    expect(told(margins, 11)).toEqual([
      [2, true],
      [3, true],
      [1, false],
    ]);
    expect(told(margins, 0).some(([, tokens]) => tokens)).toBe(false);
  });

  it("rows that are as wrong stay in the file's order", () => {
    expect(told([0, 0, 0], 0).map(([line]) => line)).toEqual([1, 2, 3]);
  });
});

describe("samples", () => {
  const results: Sample[] = [];
  const sampled = { ...settings("samples", data), learningRate: 0.05, samplePrompts: 3, sampleTokens: 24 };
  beforeAll(async () => {
    results.push(...(await dpo(sampled)).samples);
  });
  const expectClose = (found: readonly number[], expected: readonly number[]) => {
    expect(found).toHaveLength(expected.length);
    found.forEach((logp, i) => {
      expect(logp).toBeCloseTo(expected[i]!, 3);
    });
  };

  it("tell each answer in the tokens that join to it", () => {
    expect(results).toHaveLength(3);
    for (const { reference, policy, reference_tokens, policy_tokens } of results) {
      expect(reference_tokens.text.join("")).toBe(reference);
      expect(policy_tokens.text.join("")).toBe(policy);
    }
  });

  it("tell the log-probabilities that the models write their own answers with", async () => {
    const logpsOf = async (adapter?: string) => {
      await using loaded = await loadModel(model, { threads: 1, ...(adapter && { adapter }) });
      const prompts = results.map(({ prompt }) => loaded.tokenizer.encode(prompt));
      return (await loaded.generateFromIds(prompts, { maxNewTokens: 24 })).map(({ logps }) => logps);
    };
    const [before, after] = [await logpsOf(), await logpsOf(at("samples", "adapter"))];
    results.forEach(({ reference_tokens, policy_tokens }, i) => {
      expectClose(reference_tokens.reference, before[i]!);
      expectClose(policy_tokens.policy, after[i]!);
    });
    const change = ({ policy, reference }: TokenScores) => sum(policy) - sum(reference);
    for (const { policy_tokens } of results) expect(Math.abs(change(policy_tokens))).toBeGreaterThan(0.01);
  });

  it("tell those of the other's answers, token by token: a policy that has hardly moved has the reference's", async () => {
    const { samples } = await dpo({ ...sampled, output: at("unmoved"), learningRate: 1e-9 });
    for (const { reference_tokens, policy_tokens } of samples) {
      expectClose(reference_tokens.policy, reference_tokens.reference);
      expectClose(policy_tokens.reference, policy_tokens.policy);
    }
  });
});
