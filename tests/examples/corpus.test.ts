import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import type { Message } from "../../src/data/example.ts";
import { preferencePairs, pretrainingConversations, prompts } from "../../src/demo/corpus.ts";
import { exampleFiles } from "../../src/demo/example-files.ts";
import { titles } from "../../src/demo/films.ts";
import { sentiment } from "../../src/demo/sentiment.ts";

const EXAMPLE = new URL("../../examples/film-reviews/", import.meta.url);

function filmsIn(conversations: readonly (readonly Message[])[]): Set<string> {
  const text = conversations.flat().map(({ content }) => content);
  return new Set(text.flatMap((content) => [...content.matchAll(/"(.+?)"/g)].map((match) => match[1]!)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

describe("films", () => {
  it("are split without a title in both", () => {
    const train = new Set(titles("train"));
    expect(train.size).toBe(titles("train").length);
    expect(train.size).toBeGreaterThan(600);
    expect(titles("held-out").length).toBeGreaterThan(150);
    expect(titles("held-out").filter((title) => train.has(title))).toEqual([]);
  });

  it("kept apart for evaluation are in no text to train on", () => {
    const conversations = pretrainingConversations(5, 5000);
    const pairs = preferencePairs(6, 300, "train").flatMap(({ prompt, chosen, rejected }) => [
      prompt,
      chosen,
      rejected,
    ]);
    const seen = filmsIn([...conversations, ...pairs]);
    expect(titles("held-out").filter((title) => seen.has(title))).toEqual([]);
    expect([...filmsIn(prompts(7, 200))].every((title) => titles("held-out").includes(title))).toBe(true);
    expect([...filmsIn(prompts(7, 200, "train"))].every((title) => titles("train").includes(title))).toBe(true);
  });
});

describe("pretraining conversations", () => {
  it("are a question and a review, half of them positive", () => {
    const conversations = pretrainingConversations(3, 1000);
    expect(
      conversations.every(([question, review, ...rest]) => {
        return question!.role === "user" && review!.role === "assistant" && rest.length === 0;
      }),
    ).toBe(true);
    expect(conversations.filter(([, review]) => sentiment(review!.content) === "positive")).toHaveLength(500);
  });
});

describe("prompts", () => {
  it("are all different", () => {
    expect(new Set(prompts(1, 500).map(([question]) => question!.content)).size).toBe(500);
  });
});

describe("preference pairs", () => {
  const pairs = preferencePairs(8, 2000, "train");
  const lengths = (side: "chosen" | "rejected") => pairs.map((pair) => pair[side][0]!.content.length);

  it("prefer the positive review of the same film", () => {
    expect(pairs.every(({ chosen }) => sentiment(chosen[0]!.content) === "positive")).toBe(true);
    expect(pairs.every(({ rejected }) => sentiment(rejected[0]!.content) === "negative")).toBe(true);
    expect(pairs.every(({ prompt, chosen, rejected }) => filmsIn([prompt, chosen, rejected]).size === 1)).toBe(true);
  });

  it("ask different questions", () => {
    expect(new Set(pairs.map(({ prompt }) => prompt[0]!.content)).size).toBe(pairs.length);
  });

  it("do not tell chosen from rejected by length", () => {
    const chosen = lengths("chosen");
    const rejected = lengths("rejected");
    const longer = chosen.filter((length, index) => length > rejected[index]!).length / pairs.length;
    const shorter = chosen.filter((length, index) => length < rejected[index]!).length / pairs.length;
    expect(Math.abs(mean(chosen) / mean(rejected) - 1)).toBeLessThan(0.03);
    expect(Math.abs(longer - shorter)).toBeLessThan(0.1);
  });
});

describe("the committed files", () => {
  const files = exampleFiles();

  it.each(Object.keys(files))("%s is what the generator writes", (path) => {
    expect(readFileSync(new URL(path, EXAMPLE), "utf8")).toBe(files[path]);
  });

  it("hold 512 pairs to train on and 128 to evaluate on, in less than 300 kB", () => {
    const train = files["preferences.jsonl"]!;
    const evaluation = files["preferences-eval.jsonl"]!;
    expect(train.trimEnd().split("\n")).toHaveLength(512);
    expect(evaluation.trimEnd().split("\n")).toHaveLength(128);
    expect(train.length + evaluation.length).toBeLessThan(300_000);
  });
});
