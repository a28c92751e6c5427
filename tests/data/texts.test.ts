import { describe, expect, test } from "vitest";
import { loadExamples } from "../../src/data/load.ts";
import type { TextOptions } from "../../src/data/texts.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { byteFiles } from "../text/tokenizers.ts";
import { temporaryFiles } from "./files.ts";
import { assistant, examplesOf, orReason, user } from "./shapes/rows.ts";

const talk = [user("Hi"), assistant("Hello"), user("Bye"), assistant("Ciao")];

/** [prompt, completion, what is scored of it] of a row, or the reason for which it is refused. */
function read(row: unknown, options: TextOptions = {}): unknown[] | string {
  return orReason(() => {
    const [{ prompt, completions, scored }] = examplesOf("texts", row, options) as [ReturnType<typeof examplesOf>[0]];
    expect(completions).toHaveLength(1);
    return scored === undefined ? [prompt, completions[0]] : [prompt, completions[0], scored];
  });
}

describe("a row with prompt and completion", () => {
  test("is learned by its completion", () => {
    expect(read({ prompt: "Q: ", completion: " yes\n" })).toEqual(["Q: ", " yes\n"]);
    expect(read({ prompt: [user("Hi")], completion: [assistant("Hello")] })).toEqual([
      [user("Hi")],
      [assistant("Hello")],
    ]);
    expect(read({ prompt: [user("Hi")], completion: "Hello" })).toEqual([[user("Hi")], [assistant("Hello")]]);
  });

  test("or all of it, as one text or conversation", () => {
    const score = "all";
    expect(read({ prompt: "Q: ", completion: "yes" }, { score })).toEqual(["", "Q: yes", "all"]);
    expect(read({ prompt: "Hi", completion: "Hello" }, { score, chat: true })).toEqual([[], talk.slice(0, 2), "all"]);
    expect(read({ prompt: [user("Hi")], completion: "Hello" }, { score })).toEqual([[], talk.slice(0, 2), "all"]);
  });

  test("or by the assistant's turns in prompt and completion", () => {
    const score = "assistant";
    expect(read({ prompt: talk.slice(0, 3), completion: "Ciao" }, { score })).toEqual([[], talk, "assistant"]);
    expect(read({ prompt: "Hi", completion: "Hello" }, { score, chat: true })).toEqual([
      [],
      talk.slice(0, 2),
      "assistant",
    ]);
    expect(read({ prompt: "Hi", completion: "Hello" }, { score })).toMatch(
      /^missing or wrong field: the row is plain text/,
    );
  });
});

describe("a conversation", () => {
  test.each(["messages", "conversations"])("in `%s` is learned by the assistant's turns", (field) => {
    expect(read({ [field]: talk })).toEqual([[], talk, "assistant"]);
  });

  test("as ShareGPT writes it", () => {
    const conversations = [
      { from: "system", value: "Be brief." },
      { from: "human", value: "Hi" },
      { from: "gpt", value: "Hello" },
    ];
    const messages = [{ role: "system", content: "Be brief." }, ...talk.slice(0, 2)];
    expect(read({ conversations })).toEqual([[], messages, "assistant"]);
  });

  test("or by its last answer, or all of it", () => {
    expect(read({ messages: talk }, { score: "completion" })).toEqual([talk.slice(0, 3), talk.slice(3)]);
    expect(read({ messages: talk.slice(0, 3) }, { score: "all" })).toEqual([[], talk.slice(0, 3), "all"]);
  });

  test.each([
    [talk.slice(0, 1), "assistant", "no answer: no message of the conversation is the assistant's"],
    [
      talk.slice(0, 3),
      "completion",
      "no answer: the conversation does not end with the assistant's answer to something",
    ],
    [
      talk.slice(1, 2),
      "completion",
      "no answer: the conversation does not end with the assistant's answer to something",
    ],
    [[user("Hi"), assistant("")], "assistant", "empty completion: a message of the assistant's is empty"],
    [[], "all", "empty completion: the conversation is empty"],
    ["Hi", "all", "missing or wrong field: the field `messages` is a string, not a list of messages"],
    [[{ role: "user" }], "all", expect.stringContaining("the field `messages[0].content` is missing, not a string")],
  ] as const)("%j by its %s is refused", (messages, score, expected) => {
    expect(read({ messages }, { score })).toEqual(expected);
  });
});

describe("a text", () => {
  test("is learned whole", () => {
    expect(read({ text: "Once" })).toEqual(["", "Once", "all"]);
    expect(read({ text: "Once" }, { score: "all", chat: true })).toEqual(["", "Once", "all"]);
  });

  test("has no completion and no turns", () => {
    expect(read({ text: "Once" }, { score: "completion" })).toMatch("needs rows with a prompt and a completion");
    expect(read({ text: "Once" }, { score: "assistant" })).toMatch("needs rows with messages");
    expect(read({ text: "" })).toBe("empty completion: the text is empty");
  });
});

test("a preference pair is learned by its chosen completion", () => {
  expect(read({ prompt: "Q", chosen: "A", rejected: "B" })).toEqual(["Q", "A"]);
  const start = "\n\nHuman: a\n\nAssistant:";
  expect(read({ chosen: `${start} b`, rejected: `${start} c` })).toEqual([start, " b"]);
});

test("a ranking is learned by its best completion", () => {
  expect(read({ prompt: "Q", ranked: ["A", "B", "C"] })).toEqual(["Q", "A"]);
  expect(read({ prompt: "Q", responses: ["A", "B"], scores: [1, 2] })).toEqual(["Q", "B"]);
});

test("a completion that is labelled bad is not learned", () => {
  expect(read({ prompt: "Q", completion: "A", label: true })).toEqual(["Q", "A"]);
  const refused = "not desirable: the row is labelled false, so it is not to be learned";
  expect(read({ prompt: "Q", completion: "A", label: false })).toBe(refused);
});

test.each([
  [{ prompt: "Q" }, "the field `completion` is missing (the row has only prompt)"],
  [{ completion: "A" }, "the field `prompt` is missing (the row has only completion)"],
  [
    { content: "A" },
    "the row has none of the fields that tell what it holds (it has only content): name them, as in --columns prompt=question,chosen=good,rejected=bad",
  ],
])("%j is refused", (row, message) => {
  expect(read(row)).toBe(`missing or wrong field: ${message}`);
});

describe("loaded as token ids", () => {
  const { write } = temporaryFiles();
  const special = ["<|im_start|>", "<|im_end|>"];
  const chatTemplate =
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";
  const tokenizer = tokenizerFromFiles(byteFiles({ special, chatTemplate }));
  const load = (name: string, rows: readonly unknown[], options: Partial<Parameters<typeof loadExamples>[1]> = {}) =>
    loadExamples(
      { rows: "texts" },
      {
        files: write(name, rows.map((row) => JSON.stringify(row)).join("\n")),
        tokenizer,
        maxLength: 200,
        maxPromptLength: 100,
        truncation: "shorten",
        ...options,
      },
    );

  test("rows of several shapes, each in a file of its own, with the tokens that are learned", async () => {
    const rows = [{ prompt: "Q", completion: "A" }, { text: "Once" }, { messages: talk }];
    const files = rows.map((row, i) => write(`${i}.jsonl`, JSON.stringify(row)));
    const { examples, ledger } = await load("mixed.jsonl", [], { files });
    expect(ledger.toJSON().shape).toBe("completion, text, conversation");
    expect(examples.map(({ scored }) => scored !== undefined)).toEqual([false, false, true]);
    const { prompt, completions, scored } = examples[2]!;
    expect(tokenizer.decode(prompt)).toBe("<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n");
    const learned = completions[0]!.filter((_, i) => scored![0]![i] === 1);
    expect(tokenizer.decode(learned)).toBe("Hello<|im_end|>Ciao<|im_end|>");
  });

  test("too long, a text loses its end", async () => {
    const { examples, ledger } = await load("long.jsonl", [{ text: "0123456789" }], {
      maxLength: 6,
      maxPromptLength: 5,
    });
    expect(tokenizer.decode([...examples[0]!.prompt, ...examples[0]!.completions[0]!])).toBe("012345");
    expect(ledger.toJSON()).toMatchObject({
      used: 1,
      shortened: 1,
      shortenedBy: { "completion too long": { count: 1 } },
    });
  });

  test("too long, a conversation keeps its first answer, and the mask its tokens", async () => {
    const length = 60;
    const messages = [user("x".repeat(100)), ...talk.slice(1)];
    const { examples } = await load("talk.jsonl", [{ messages }], { maxLength: length, maxPromptLength: 40 });
    const { prompt, completions, scored } = examples[0]!;
    expect([prompt.length, prompt.length + completions[0]!.length]).toEqual([40, length]);
    expect(tokenizer.decode(prompt)).toMatch(/x<\|im_end\|>\n<\|im_start\|>assistant\n$/);
    expect(scored![0]!.length).toBe(completions[0]!.length);
    expect(tokenizer.decode(completions[0]!)).toMatch(/^Hello<\|im_end\|>/);
    expect(Array.from(scored![0]!.subarray(0, 7))).toEqual([1, 1, 1, 1, 1, 1, 0]);
  });

  test("a conversation that the template writes otherwise later is dropped, with the reason", async () => {
    const forgetful = tokenizerFromFiles(
      byteFiles({
        special,
        chatTemplate: chatTemplate.replace(
          "{{ m.content }}",
          "{{ m.content if loop.last or m.role == 'user' else '...' }}",
        ),
      }),
    );
    const once = { messages: talk.slice(1, 2) };
    const { examples, ledger } = await load("forget.jsonl", [{ messages: talk }, once], {
      tokenizer: forgetful,
    });
    expect(examples).toHaveLength(1);
    const { droppedBy } = ledger.toJSON();
    expect(droppedBy["refused by the chat template"]!.example).toContain("turn 2 of the conversation differently");
  });
});
