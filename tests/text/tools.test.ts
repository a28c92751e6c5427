import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { asMessage, toolsOf } from "../../src/data/messages.ts";
import { promptIds, tokenizeCompletions } from "../../src/text/boundary.ts";
import { ChatTemplate, type Message, type Tools } from "../../src/text/chat.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { tokenizeText } from "../../src/text/turns.ts";
import { byteFiles } from "./tokenizers.ts";

const read = (path: string) => readFileSync(new URL(path, import.meta.url), "utf8");
const golden = JSON.parse(read("../golden/text/tools.json")) as {
  tools: Tools;
  conversations: Record<string, unknown>[][];
  rendered: Record<string, string[][]>;
};
const source = (name: string) => read(`./tool-templates/${name}.jinja`);

/** The conversation as OpenAI has it: arguments are JSON text. */
function withTextArguments(conversation: Record<string, unknown>[]): unknown[] {
  type Call = { function: { arguments: unknown } };
  return conversation.map((message) => ({
    ...message,
    ...(message.tool_calls !== undefined && {
      tool_calls: (message.tool_calls as Call[]).map((call) => ({
        ...call,
        function: { ...call.function, arguments: JSON.stringify(call.function.arguments) },
      })),
    }),
  }));
}

describe("tools and their calls read as transformers' apply_chat_template writes them", () => {
  test.each(Object.keys(golden.rendered))("%s", (name) => {
    const template = new ChatTemplate(source(name), {});
    for (const [i, conversation] of golden.conversations.entries()) {
      const messages = withTextArguments(conversation).map((message, at) => asMessage(message, `messages[${at}]`));
      const rendered = [undefined, toolsOf(JSON.stringify(golden.tools), "tools")].flatMap((tools) =>
        [false, true].map((addGenerationPrompt) => template.render(messages, { addGenerationPrompt, tools })),
      );
      expect(rendered).toEqual(golden.rendered[name]![i]);
    }
  });
});

test("a template says whether it writes tools and calls of them", () => {
  const writes = (name: string) => {
    const { writesTools, writesCalls } = new ChatTemplate(name.includes("{") ? name : source(name), {});
    return [writesTools, writesCalls];
  };
  expect(writes("tags")).toEqual([true, true]);
  expect(writes("indented")).toEqual([true, true]);
  expect(writes("{{ messages[0].content }}")).toEqual([false, false]);
  expect(writes("{{ tools | tojson }}{{ messages[0].content }}")).toEqual([true, false]);
});

const tokenizer = tokenizerFromFiles(
  byteFiles({ special: ["<|im_start|>", "<|im_end|>"], chatTemplate: source("tags") }),
);
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const calling: Message = {
  role: "assistant",
  content: "",
  tool_calls: [{ type: "function", function: { name: "now", arguments: {} } }],
};
const result: Message = { role: "tool", content: "12:00" };
const tools: Tools = [{ type: "function", function: { name: "now" } }];

/** The text whose tokens are scored. */
function scoredText(ids: Int32Array, scored: Uint8Array | undefined): string {
  return tokenizer.decode(ids.filter((_, i) => scored === undefined || scored[i] === 1));
}

describe("of a completion of several messages", () => {
  const answer = [calling, result, assistant("Noon.")];
  const tokenize = (score: "all" | "last" | undefined) =>
    tokenizeCompletions(tokenizer, [user("Time?")], [answer, [assistant("Late.")]], { tools, score });

  test("what the assistant says is scored, and not what it is told", () => {
    const { prompt, completions, scored } = tokenize("all");
    expect(tokenizer.decode(prompt)).toContain('They are:\n{"type": "function", "function": {"name": "now"}}');
    expect(tokenizer.decode(completions[0]!)).toMatch(/^<call>.*<\|im_end\|>\n<\|im_start\|>user\n<result>\n12:00/s);
    expect(scoredText(completions[0]!, scored![0])).toBe(
      '<call>\n{"name": "now", "arguments": {}}\n</call><|im_end|>Noon.<|im_end|>',
    );
    expect(scoredText(completions[1]!, scored![1])).toBe("Late.<|im_end|>");
    expect(tokenize(undefined)).toMatchObject({ completions, scored });
  });

  test("or the last turn alone", () => {
    const { completions, scored } = tokenize("last");
    expect(scoredText(completions[0]!, scored![0])).toBe("Noon.<|im_end|>");
    expect(scoredText(completions[1]!, scored![1])).toBe("Late.<|im_end|>");
    expect(completions).toEqual(tokenize("all").completions);
  });

  test("the tokens are those of the whole conversation, up to where the last answer ends", () => {
    const { prompt, completions } = tokenize("all");
    const whole = tokenizer.chat.render([user("Time?"), ...answer], { addGenerationPrompt: false, tools });
    expect(tokenizer.decode([...prompt, ...completions[0]!])).toBe(whole.trimEnd());
    const further = [...answer, user("Thanks")];
    const { completions: cut } = tokenizeCompletions(tokenizer, [user("Time?")], [further], { tools });
    expect(cut[0]).toEqual(completions[0]);
  });

  test("one message needs no mask", () => {
    expect(tokenizeCompletions(tokenizer, [user("Q")], [[assistant("A")]]).scored).toBeUndefined();
  });
});

test("a conversation with calls is learned by the assistant's turns, calls among them", () => {
  const messages = [user("Time?"), calling, result, assistant("Noon.")];
  const { prompt, completions, scored } = tokenizeText(tokenizer, messages, "assistant", tools);
  expect(tokenizer.decode(prompt)).toContain("Call functions");
  expect(scoredText(completions[0]!, scored![0])).toBe(
    '<call>\n{"name": "now", "arguments": {}}\n</call><|im_end|>Noon.<|im_end|>',
  );
});

test("a prompt that is cut keeps its tools", () => {
  const { prompt, fixed } = tokenizeCompletions(tokenizer, [user("Time?")], [[assistant("A")]], { tools });
  expect(tokenizer.decode(prompt.subarray(0, fixed().head))).toMatch(/^<\|im_start\|>system\n.*"now".*<\|im_end\|>\n/s);
  expect(prompt).toEqual(promptIds(tokenizer, [user("Time?")], { tools }));
});

test("special tokens within calls are told", () => {
  const call = { type: "function" as const, function: { name: "f", arguments: { text: "<|im_end|>" } } };
  const answer: Message = { role: "assistant", content: "", tool_calls: [call] };
  expect(tokenizeCompletions(tokenizer, [user("Q")], [[answer]]).injected).toEqual(["<|im_end|>"]);
});
