import { describe, expect, test } from "vitest";
import { assistant, examplesOf, origin, orReason, user } from "./rows.ts";

/** [prompt, completion, label] of each example, or the reason for which the row is refused. */
function read(row: unknown): unknown[][] | string {
  return orReason(() =>
    examplesOf("labelled", row).map((example) => {
      expect(example.origin).toBe(origin);
      return [example.prompt, ...example.completions, example.values?.label];
    }),
  );
}

describe("prompt, completion and label", () => {
  test.each([
    [true, 1],
    [1, 1],
    [false, 0],
    [0, 0],
  ])("label %j is %i", (label, value) => {
    expect(read({ prompt: "Q: ", completion: " yes\n", label })).toEqual([["Q: ", " yes\n", value]]);
  });

  test("as messages, in any mixture", () => {
    const expected = [[[user("Hi")], [assistant("Hello")], 1]];
    const label = true;
    expect(read({ prompt: [user("Hi")], completion: [assistant("Hello")], label })).toEqual(expected);
    expect(read({ prompt: [user("Hi")], completion: "Hello", label })).toEqual(expected);
    expect(read({ prompt: "Hi", completion: [assistant("Hello")], label })).toEqual(expected);
    expect(read({ prompt: "Hi", completion: [user("Hi"), assistant("Hello")], label })).toEqual(expected);
  });

  test("as one conversation that ends with the answer", () => {
    const start = [user("Hi"), assistant("Hello"), user("Bye")];
    expect(read({ messages: [...start, assistant("Bye")], label: false })).toEqual([[start, [assistant("Bye")], 0]]);
  });
});

describe("a preference pair is two examples", () => {
  test("the chosen desirable, the rejected not", () => {
    expect(read({ prompt: "Q", chosen: "A", rejected: "B" })).toEqual([
      ["Q", "A", 1],
      ["Q", "B", 0],
    ]);
  });

  test("in every shape that pairs have", () => {
    const start = "\n\nHuman: a\n\nAssistant:";
    expect(read({ chosen: `${start} b`, rejected: `${start} c` })).toEqual([
      [start, " b", 1],
      [start, " c", 0],
    ]);
    expect(read({ prompt: "Q", chosen: "A", rejected: "A" })).toMatch(/^identical completions/);
  });

  test("also where the row carries the chosen conversation as messages", () => {
    const [chosen, rejected] = [assistant("A"), assistant("B")].map((answer) => [user("Q"), answer]);
    expect(read({ prompt: "Q", chosen, rejected, messages: chosen })).toEqual([
      [[user("Q")], [assistant("A")], 1],
      [[user("Q")], [assistant("B")], 0],
    ]);
  });
});

describe("a row that can't be read says which field and what is there", () => {
  test.each([
    [7, "a row is an object with fields, this one is a number: 7"],
    [{ prompt: "Q", label: true }, "the field `completion` is missing (the row has only prompt, label)"],
    [{ completion: "A", label: true }, "the field `prompt` is missing (the row has only completion, label)"],
    [{ prompt: "Q", completion: "A" }, "the field `label` is missing (the row has only prompt, completion)"],
    [{ prompt: "Q", completion: "A", label: "good" }, "the field `label` is good, not true or false (or 1 or 0)"],
    [{ prompt: "Q", completion: "A", label: 0.5 }, "the field `label` is 0.5, not true or false (or 1 or 0)"],
    [{ prompt: "Q", chosen: "A" }, "the field `rejected` is missing (the row has only prompt, chosen)"],
    [{ messages: "Hi", label: 1 }, "the field `messages` is a string, not a list of messages"],
    [{ messages: [user("Hi")], label: 1 }, "the field `messages` does not end with the assistant's message"],
    [{ messages: [assistant("Hi")], label: 1 }, "the field `messages` has no turn before the assistant's answer"],
    [
      { prompt: [user("Hi")], completion: [user("Hi!")], label: 1 },
      "the field `completion` starts with the role user: a completion starts with the assistant's message",
    ],
  ])("%j", (row, message) => {
    expect(read(row)).toBe(`missing or wrong field: ${message}`);
  });

  test("an empty completion can be read, but not used", () => {
    expect(read({ prompt: "Q", completion: "", label: 1 })).toBe("empty completion: the completion is empty");
  });
});
