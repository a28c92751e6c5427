import { describe, expect, test } from "vitest";
import type { Message } from "../../../src/data/example.ts";
import { hh } from "../../../src/data/shapes/hh.ts";
import { assistant, promptIn, pairIn as read, shapeNameOf, system, user } from "./rows.ts";

describe("prompt, chosen and rejected", () => {
  test("as strings are text as it stands", () => {
    expect(read({ prompt: "Q: ", chosen: "yes", rejected: " no\n" })).toEqual(["Q: ", "yes", " no\n"]);
  });

  test("as messages", () => {
    const row = { prompt: [user("Hi")], chosen: [assistant("Hello")], rejected: [assistant("What?")] };
    expect(read(row)).toEqual([row.prompt, row.chosen, row.rejected]);
  });

  test("messages with string completions: the assistant says them", () => {
    expect(read({ prompt: [user("Hi")], chosen: "Hello", rejected: "What?" })).toEqual([
      [user("Hi")],
      [assistant("Hello")],
      [assistant("What?")],
    ]);
  });

  test("a string with messages: the user says it", () => {
    expect(read({ prompt: "Hi", chosen: [assistant("Hello")], rejected: [assistant("What?")] })).toEqual([
      [user("Hi")],
      [assistant("Hello")],
      [assistant("What?")],
    ]);
  });

  test("a string beside whole conversations in which it is a turn", () => {
    const start = [system("Be kind."), user("Hi")];
    expect(
      read({ prompt: "Hi", chosen: [...start, assistant("Hello")], rejected: [...start, assistant("What?")] }),
    ).toEqual([start, [assistant("Hello")], [assistant("What?")]]);
    expect(
      read({ prompt: "Bye", chosen: [...start, assistant("Hello")], rejected: [...start, assistant("What?")] }),
    ).toMatch(/^missing or wrong field: the field `prompt` is not a turn/);
  });

  test("completions that repeat the prompt's messages", () => {
    const prompt = [user("Hi")];
    expect(
      read({ prompt, chosen: [...prompt, assistant("Hello")], rejected: [...prompt, assistant("What?")] }),
    ).toEqual([prompt, [assistant("Hello")], [assistant("What?")]]);
  });

  test("fields beyond these are left alone, and null is absent", () => {
    const row = {
      prompt: null,
      chosen: "\n\nHuman: a\n\nAssistant: b",
      rejected: "\n\nHuman: a\n\nAssistant: c",
      score: 1,
    };
    expect(shapeNameOf(row)).toBe("hh");
    expect(read(row)).toEqual(["\n\nHuman: a\n\nAssistant:", " b", " c"]);
  });

  test("message fields beyond role and content are left alone", () => {
    const named = { ...user("Hi"), name: "Ann" };
    expect(read({ prompt: [named], chosen: "a", rejected: "b" })).toEqual([
      [user("Hi")],
      [assistant("a")],
      [assistant("b")],
    ]);
  });
});

describe("whole conversations share their prompt", () => {
  const split = (chosen: Message[], rejected: Message[]) => read({ chosen, rejected });

  test("up to the turn where they part", () => {
    const start = [user("a"), assistant("b"), user("c")];
    expect(split([...start, assistant("d")], [...start, assistant("e"), user("f")])).toEqual([
      start,
      [assistant("d")],
      [assistant("e"), user("f")],
    ]);
  });

  test("where one is the beginning of the other, from the last answer that both give", () => {
    const short = [user("a"), assistant("b")];
    const long = [...short, user("c"), assistant("d")];
    expect(split(short, long)).toEqual([[user("a")], [assistant("b")], long.slice(1)]);
    expect(split(long, short)).toEqual([[user("a")], long.slice(1), [assistant("b")]]);
  });

  test("where they part in a user's turn, from the answer before it", () => {
    const chosen = [user("a"), assistant("b"), user("c"), assistant("d")];
    const rejected = [user("a"), assistant("b"), user("x"), assistant("y")];
    expect(split(chosen, rejected)).toEqual([[user("a")], chosen.slice(1), rejected.slice(1)]);
  });

  test("or have none", () => {
    expect(split([user("a"), assistant("b")], [user("x"), assistant("y")])).toMatch(/^no common prompt/);
    expect(split([assistant("b")], [assistant("y")])).toMatch(/^no common prompt/);
    expect(split([user("a")], [user("a"), assistant("y")])).toMatch(/^no common prompt/);
  });

  test("and must differ, and answer", () => {
    expect(split([user("a"), assistant("b")], [user("a"), assistant("b")])).toMatch(/^identical completions/);
    expect(split([user("a"), assistant("")], [user("a"), assistant("b")])).toMatch(/^empty completion: the chosen/);
    expect(split([user("a"), assistant("b")], [])).toMatch(/^empty completion: `rejected` has no messages/);
  });
});

describe("HH's raw text shares its prompt", () => {
  const split = (chosen: string, rejected: string) => read({ chosen, rejected });

  test("up to and with the last Assistant: turn in common; answers keep their leading space", () => {
    const start = "\n\nHuman: a\n\nAssistant: b\n\nHuman: c\n\nAssistant:";
    expect(split(`${start} It is`, `${start} It was`)).toEqual([start, " It is", " It was"]);
  });

  test("with --chat as messages, a turn each", () => {
    const split = (chosen: string, rejected: string) => read({ chosen, rejected }, { chat: true });
    const start = "\n\nHuman: a\n\nAssistant: b\n\nHuman:  c\nd \n\nAssistant:";
    const prompt = [user("a"), assistant("b"), user("c\nd")];
    expect(split(`${start} It is`, `${start} It was`)).toEqual([prompt, [assistant("It is")], [assistant("It was")]]);
    expect(split(`${start} It is`, `${start} It was\n\nHuman: e\n\nAssistant: f`)).toEqual([
      prompt,
      [assistant("It is")],
      [assistant("It was"), user("e"), assistant("f")],
    ]);
    expect(() => hh.read({ chosen: "a", rejected: "b" }, { chat: true })).toThrow(
      "the field `chosen` does not begin with a `Human:` turn",
    );
    expect(split(`${start}`, `${start} It was`)).toBe("empty completion: the chosen completion is empty");
  });

  test("never cut within an answer, however long the answers agree", () => {
    const start = "\n\nHuman: a\n\nAssistant:";
    expect(split(`${start} The same words`, `${start} The same wordings`)).toEqual([
      start,
      " The same words",
      " The same wordings",
    ]);
  });

  test("where one text is the beginning of the other", () => {
    const start = "\n\nHuman: a\n\nAssistant:";
    expect(split(`${start} b`, `${start} b\n\nHuman: c\n\nAssistant: d`)).toEqual([
      start,
      " b",
      " b\n\nHuman: c\n\nAssistant: d",
    ]);
  });

  test("where the texts part within a turn's mark", () => {
    const start = "\n\nHuman: a\n\nAssistant:";
    expect(split(`${start} b\n\nAssistance`, `${start} b\n\nAssistant: c`)).toEqual([
      start,
      " b\n\nAssistance",
      " b\n\nAssistant: c",
    ]);
  });

  test("an empty answer is an empty completion", () => {
    expect(split("\n\nHuman: a\n\nAssistant:", "\n\nHuman: a\n\nAssistant: b")).toMatch(
      /^empty completion: the chosen/,
    );
  });

  test("or have none, and must differ", () => {
    expect(split("A cat", "A car")).toMatch(/^no common prompt/);
    expect(split("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: x\n\nAssistant: b")).toMatch(/^no common prompt/);
    expect(split("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: a\n\nAssistant: b")).toMatch(/^identical completions/);
  });
});

describe("a row that can't be read says which field and what is there", () => {
  test.each([
    [["not", "an", "object"], 'a row is an object with fields, this one is a list: ["not","an","object"]'],
    ["text", "a row is an object with fields, this one is a string: text"],
    [null, "a row is an object with fields, this one is null: null"],
    [
      {},
      "the row has none of the fields that tell what it holds (it has no fields): name them, as in --columns prompt=question,chosen=good,rejected=bad",
    ],
    [{ prompt: "a", chosen: "b" }, "the field `rejected` is missing (the row has only prompt, chosen)"],
    [
      { input: "", output: "c", chosen: null },
      "the row has none of the fields that tell what it holds (it has only input, output): name them, as in --columns prompt=question,chosen=good,rejected=bad",
    ],
    [
      { prompt: 7, chosen: "a", rejected: "b" },
      "the field `prompt` is a number, not a string or a list of messages: 7",
    ],
    [
      { prompt: "a", chosen: { text: "a" }, rejected: "b" },
      'the field `chosen` is an object, not a string or a list of messages: {"text":"a"}',
    ],
    [
      { prompt: "a", chosen: "a", rejected: [assistant("b")] },
      "the fields `chosen` and `rejected` are of different kinds: give both as strings or both as lists of messages",
    ],
    [
      { prompt: [user("a"), "b"], chosen: "a", rejected: "b" },
      "the field `prompt[1]` is a string, not a message with `role` and `content`: b",
    ],
    [
      { prompt: [{ content: "a" }], chosen: "a", rejected: "b" },
      'the field `prompt[0].role` is missing, not a string: {"content":"a"}',
    ],
    [
      { prompt: [{ role: "user", content: ["x".repeat(80)] }], chosen: "a", rejected: "b" },
      'the field `prompt[0].content` is a list, not a string: ["xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...',
    ],
    [
      { prompt: [user("a")], chosen: [{ ...assistant(""), tool_calls: [{ id: 1 }] }], rejected: [assistant("b")] },
      'the field `chosen[0].tool_calls[0]` is no call with a `name` and `arguments`: {"id":1}',
    ],
    [
      { prompt: [user("a")], chosen: [user("b")], rejected: [assistant("c")] },
      "the field `chosen` starts with the role user: a completion starts with the assistant's message",
    ],
  ])("%j", (row, message) => {
    expect(read(row)).toBe(`missing or wrong field: ${message}`);
  });
});

describe("a row that can be read but not used", () => {
  test.each([
    [{ prompt: "a", chosen: "", rejected: "b" }, "empty completion: the chosen completion is empty"],
    [{ prompt: "a", chosen: "b", rejected: "" }, "empty completion: the rejected completion is empty"],
    [{ prompt: [user("a")], chosen: "", rejected: "b" }, "empty completion: the chosen completion is empty"],
    [{ prompt: "a", chosen: [], rejected: [assistant("b")] }, "empty completion: `chosen` has no messages"],
    [{ prompt: "a", chosen: "b", rejected: "b" }, "identical completions: chosen and rejected are identical"],
    [{ prompt: [user("a")], chosen: "b", rejected: "b" }, "identical completions: chosen and rejected are identical"],
  ])("%j", (row, reason) => {
    expect(read(row)).toBe(reason);
  });

  test("a completion of white space is text as it stands", () => {
    expect(read({ prompt: "a", chosen: " ", rejected: "b" })).toEqual(["a", " ", "b"]);
  });
});

describe("prompts alone", () => {
  const prompt = promptIn;

  test("are strings, messages, or what a preference row implies", () => {
    expect(prompt({ prompt: "Q" })).toBe("Q");
    expect(prompt({ prompt: [user("Q")] })).toEqual([user("Q")]);
    expect(prompt({ prompt: "Q", chosen: "same", rejected: "same" })).toBe("Q");
    expect(prompt({ chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" })).toBe(
      "\n\nHuman: a\n\nAssistant:",
    );
  });

  test("must be there", () => {
    expect(() => prompt({ text: "Q" })).toThrow("the field `prompt` is missing (the row has only text)");
  });
});
