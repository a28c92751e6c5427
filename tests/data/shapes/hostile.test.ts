import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { pairings } from "../../../src/data/derive.ts";
import { RowProblem } from "../../../src/data/problem.ts";
import { shapes } from "../../../src/data/shapes/registry.ts";
import { assistant, examplesOf, promptIn, user } from "./rows.ts";

const fields = [
  ["prompt", "chosen", "rejected", "margin", "chosen_score", "rejected_score", "completion", "label", "messages"],
  ["conversations", "text", "ranked", "completions", "responses", "scores", "ranks", "input", "preferred_output"],
  ["non_preferred_output", "history", "human_ref_A", "human_ref_B", "labels", "score_ratio", "score_A", "score_B"],
  ["question", "answers", "instruction", "output", "response1", "response2", "winner", "preference", "winner_tie"],
  ["conversation_a", "conversation_b", "system", "tools", "__proto__", "constructor", "length"],
].flat();

const text = fc.oneof(
  fc.constantFrom(
    "",
    "\n\nHuman: a\n\nAssistant: b",
    "\n\nHuman: a\n\nAssistant:",
    "1",
    "[",
    "[1]",
    "{}",
    "tie",
    "<p>&#x110000;",
    "a",
  ),
  fc.string(),
);
const part = fc.record({ type: fc.constantFrom("text", "image_url", 1), text }, { requiredKeys: [] });
const call = fc.oneof(fc.jsonValue(), fc.record({ function: fc.record({ name: text, arguments: fc.jsonValue() }) }));
const message = fc.oneof(
  fc.record(
    {
      role: fc.constantFrom("user", "assistant", "system", "tool", "", 7),
      content: fc.oneof(text, fc.array(part), fc.constant(null)),
      tool_calls: fc.oneof(fc.array(call), fc.jsonValue()),
    },
    { requiredKeys: ["role"] },
  ),
  fc.record({
    from: fc.constantFrom("human", "gpt", "function_call", "observation", null),
    value: fc.oneof(text, fc.jsonValue()),
  }),
);
const scored = fc.record(
  {
    response: text,
    text,
    pm_score: fc.oneof(fc.double(), text),
    "fine-grained_score": fc.double(),
    annotations: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const value = fc.oneof(
  text,
  fc.array(text),
  fc.array(message),
  message,
  fc.array(scored),
  fc.array(fc.double()),
  fc.record({ messages: fc.array(message), tools: fc.jsonValue() }),
  fc.record({ text: fc.array(text), pm_score: fc.array(fc.double()) }),
  fc.double(),
  fc.boolean(),
  fc.jsonValue(),
);
const messages = [user("Q"), assistant("A")];

/** A row of each shape that can be read. */
const rows: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  openai: {
    input: { messages: [user("Q")] },
    preferred_output: [assistant("A")],
    non_preferred_output: [assistant("B")],
  },
  shp: { history: "Q", human_ref_A: "A", human_ref_B: "B", labels: 1, score_A: 9, score_B: 1 },
  stackexchange: { question: "<p>Q</p>", answers: [1, 2].map((score) => ({ text: `A${score}`, pm_score: score })) },
  ultrafeedback: {
    instruction: "Q",
    completions: [1, 2].map((score) => ({ response: `A${score}`, overall_score: score })),
  },
  sharegpt: { conversations: [{ from: "human", value: "Q" }], chosen: { from: "gpt", value: "A" }, rejected: "B" },
  alpaca: { instruction: "Q", input: "", output: ["A", "B"] },
  comparison: { question: "Q", response1: "A", response2: "B", winner: 1 },
  kto: { messages, label: true },
  hh: { chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" },
  preference: { prompt: [user("Q")], chosen: [assistant("A")], rejected: [assistant("B")], margin: 1 },
  completion: { prompt: "Q", completion: "A" },
  ranked: { prompt: "Q", completions: ["A", "B"], scores: [1, 2] },
  conversation: { messages, tools: "[]" },
  text: { text: "T" },
  prompt: { prompt: "Q" },
};

/** A row of a shape with some fields in the place of its own. */
function rowOf(name: string): fc.Arbitrary<Record<string, unknown>> {
  const own = Object.keys(rows[name]!);
  const field = fc.oneof(fc.constantFrom(...own), fc.constantFrom(...fields));
  return fc
    .array(fc.tuple(field, value), { maxLength: 3 })
    .map((entries) => ({ ...rows[name], ...Object.fromEntries(entries) }));
}

/** Whether `use` returns, or says what is wrong with the row; anything else that it throws is a defect. */
function isSettled(use: () => unknown): boolean {
  try {
    use();
    return true;
  } catch (error) {
    if (!(error instanceof RowProblem)) throw error;
    expect(error.message).not.toBe("");
    return false;
  }
}

describe("whatever stands in a row, it is read or what is wrong is said", () => {
  test.each(shapes.map(({ name }) => name))("as %s", (format) => {
    const options = fc.record({ chat: fc.boolean(), pairs: fc.constantFrom(...pairings) });
    let read = 0;
    fc.assert(
      fc.property(rowOf(format), options, (given, chosen) => {
        for (const kind of ["pairs", "ranked", "labelled", "texts"] as const) {
          read += Number(isSettled(() => examplesOf(kind, given, { ...chosen, format })));
        }
        isSettled(() => examplesOf({ rows: "pairs", margin: "logMargin" }, given, { ...chosen, format }));
        isSettled(() => examplesOf("texts", given, chosen));
        read += Number(isSettled(() => promptIn(given, chosen)));
      }),
      { numRuns: 300 },
    );
    expect(read).toBeGreaterThan(50);
  });
});

test("simple HTML is read in time that grows with its length", () => {
  const question = `<${"a<".repeat(200_000)}<p>&${"#".repeat(100_000)}`;
  const answers = [1, 2].map((score) => ({ text: `${question}${score}`, pm_score: score }));
  const start = performance.now();
  examplesOf("pairs", { question, answers });
  expect(performance.now() - start).toBeLessThan(2000);
});
