import { readFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { CheckpointError, ConfigError } from "../../src/errors.ts";
import { promptIds, tokenizeCompletions } from "../../src/text/boundary.ts";
import { ConversationError, type Message } from "../../src/text/chat.ts";
import { type Tokenizer, tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { sharedMissing } from "../support/shared.ts";
import { byteFiles, smollm2, stories260K } from "./tokenizers.ts";

interface GoldenPair {
  prompt: string;
  completion: string;
  promptIds: number[];
  completionIds: number[];
  merged: boolean;
}

const golden = JSON.parse(readFileSync(new URL("../golden/text/tokenization.json", import.meta.url), "utf8")) as Record<
  string,
  { pairs: GoldenPair[] }
>;

const template = (name: string) => readFileSync(new URL(`./templates/${name}.jinja`, import.meta.url), "utf8");

/** A tokenizer a byte a token, with the template's special tokens; it adds BOS to plain text by itself. */
function byteTokenizer(chatTemplate: string, special: readonly string[] = []): Tokenizer {
  const config = { bos_token: "<begin>", add_bos_token: true };
  return tokenizerFromFiles(byteFiles({ special: ["<begin>", ...special], config, chatTemplate }));
}

const text = (tokenizer: Tokenizer, ids: Iterable<number>) => tokenizer.decode(ids);
const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });
const system = (content: string): Message => ({ role: "system", content });

describe.skipIf(sharedMissing)("plain text (needs ../shared/models)", () => {
  test.each(["smollm2", "stories260K"])(
    "%s: prompts and completions have the ids that transformers gives them",
    async (name) => {
      const tokenizer = name === "smollm2" ? await smollm2() : stories260K();
      for (const { prompt, completion, ...expected } of golden[name]!.pairs) {
        const pair = tokenizeCompletions(tokenizer, prompt, [completion]);
        const found = { promptIds: [...pair.prompt], completionIds: [...pair.completions[0]!], merged: pair.merged };
        expect(found, `${JSON.stringify(prompt)} + ${JSON.stringify(completion)}`).toEqual(expected);
      }
    },
  );

  test("a SentencePiece completion gets no spurious leading space", () => {
    const tokenizer = stories260K();
    const { completions } = tokenizeCompletions(tokenizer, "The story so far", ["."]);
    expect(text(tokenizer, completions[0]!)).toBe(".</s>");
    expect(completions[0]).toHaveLength(2);
  });

  test("generation starts from the same prompt ids as training", async () => {
    for (const tokenizer of [await smollm2(), stories260K()]) {
      const prompt = "\n\nHuman: hi\n\nAssistant:";
      expect(promptIds(tokenizer, prompt)).toEqual(tokenizeCompletions(tokenizer, prompt, [" a", " b"]).prompt);
    }
  });
});

describe("the end token of a plain completion", () => {
  const tokenizer = tokenizerFromFiles(byteFiles({}));
  const completion = (answer: string) => text(tokenizer, tokenizeCompletions(tokenizer, "Q", [answer]).completions[0]!);

  test.each([
    ["A", "A<end>"],
    ["A<end>", "A<end>"],
    ["A<end><end>", "A<end>"],
    ["A<end> \n", "A<end>"],
    ["A<end> B", "A<end> B<end>"],
    ["", "<end>"],
  ])("%j ends once", (answer, expected) => {
    expect(completion(answer)).toBe(expected);
  });

  test("must be known", () => {
    const endless = tokenizerFromFiles({ ...byteFiles({}), config: {} });
    expect(() => tokenizeCompletions(endless, "Q", ["A"])).toThrow(CheckpointError);
  });
});

describe.skipIf(sharedMissing)("a conversation with SmolLM2 (needs ../shared/models)", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await smollm2();
  });

  test("the prompt ends with the generation prompt, completions with their end of turn and nothing after it", () => {
    const pair = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("Hello!")], [assistant("What?")]]);
    expect(text(tokenizer, pair.prompt)).toMatch(/<\|im_start\|>user\nHi<\|im_end\|>\n<\|im_start\|>assistant\n$/);
    expect(pair.completions.map((ids) => text(tokenizer, ids))).toEqual(["Hello!<|im_end|>", "What?<|im_end|>"]);
    expect(pair).toMatchObject({ merged: false, injected: [] });
  });

  test("--chat makes a string prompt a user's message and string completions the assistant's", () => {
    const wrapped = tokenizeCompletions(tokenizer, "Hi", ["Hello!", "What?"], { chat: true });
    const messages = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("Hello!")], [assistant("What?")]]);
    expect([wrapped.prompt, ...wrapped.completions]).toEqual([messages.prompt, ...messages.completions]);
    expect(promptIds(tokenizer, "Hi", { chat: true })).toEqual(messages.prompt);
  });

  test("a completion of several turns keeps them all", () => {
    const answer = [assistant("One"), user("More"), assistant("Two")];
    const { completions } = tokenizeCompletions(tokenizer, [user("Hi")], [answer]);
    expect(text(tokenizer, completions[0]!)).toBe(
      "One<|im_end|>\n<|im_start|>user\nMore<|im_end|>\n<|im_start|>assistant\nTwo<|im_end|>",
    );
  });

  test("an answer that merges with the generation prompt is tokenized on its own, and says so", () => {
    const pair = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("  Hello")]]);
    expect(pair.merged).toBe(true);
    expect(text(tokenizer, [...pair.prompt, ...pair.completions[0]!])).toMatch(/assistant\n {2}Hello<\|im_end\|>$/);
  });

  test("special tokens in the texts are reported, those of the template are not", () => {
    const pair = tokenizeCompletions(tokenizer, [user("a<|im_end|>b <|im_end|>")], [[assistant("<file_sep>")]]);
    expect(pair.injected).toEqual(["<|im_end|>", "<file_sep>"]);
  });

  test("a system message can be given, in place of the conversation's own", () => {
    const given = promptIds(tokenizer, [system("Old"), user("Hi")], { system: "New" });
    expect(given).toEqual(promptIds(tokenizer, "Hi", { chat: true, system: "New" }));
    expect(text(tokenizer, given)).toMatch(/^<\|im_start\|>system\nNew<\|im_end\|>\n<\|im_start\|>user/);
  });

  test("truncation is told which tokens at the prompt's ends stay: the system turn and the generation prompt", () => {
    const ends = (messages: Message[]) => {
      const { prompt, fixed } = tokenizeCompletions(tokenizer, messages, []);
      const { head, tail } = fixed();
      return [text(tokenizer, prompt.subarray(0, head)), text(tokenizer, prompt.subarray(prompt.length - tail))];
    };
    expect(ends([system("Be brief."), user("Hi"), assistant("Ho"), user("Hi")])).toEqual([
      "<|im_start|>system\nBe brief.<|im_end|>\n",
      "<|im_start|>assistant\n",
    ]);
    expect(ends([user("Hi")])[0]).toMatch(/^<\|im_start\|>system\nYou are a helpful AI assistant.*<\|im_end\|>\n$/);
  });
});

describe("other chat templates", () => {
  test("BOS stands once where template and tokenizer both write it", () => {
    const tokenizer = byteTokenizer(template("headers"), ["<|header|>", "<|/header|>", "<|end|>"]);
    const { prompt, completions } = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant(" Ho ")]]);
    expect(text(tokenizer, prompt)).toMatch(/^<begin><\|header\|>system.*<\|header\|>assistant<\|\/header\|>\n\n$/s);
    expect([...prompt].filter((id) => id === tokenizer.bosId)).toHaveLength(1);
    expect(text(tokenizer, completions[0]!)).toBe("Ho<|end|>");
    expect(text(tokenizer, tokenizeCompletions(tokenizer, "Hi", [" Ho"]).prompt)).toBe("<begin>Hi");
  });

  test("a template that writes no BOS gets none", () => {
    const tokenizer = byteTokenizer("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
    expect(text(tokenizer, promptIds(tokenizer, [user("Hi")]))).toBe("user: Hi\n");
  });

  test("an answer without an end of turn gets the end-of-text token", () => {
    const tokenizer = byteTokenizer("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}");
    const { completions } = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("Ho")]]);
    expect(text(tokenizer, completions[0]!)).toBe("assistant: Ho\n<end>");
  });

  test("a turn that ends with a token of its own does not get the end-of-text token too", () => {
    const tokenizer = byteTokenizer(template("turns"), ["<turn>", "</turn>"]);
    const { completions } = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("Ho")]]);
    expect(text(tokenizer, completions[0]!)).toBe("Ho</turn>");
  });

  test("a prompt that reads differently once the answer follows is refused with both readings", () => {
    const tokenizer = byteTokenizer(template("thoughts"));
    expect(() => tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("Ho")]])).toThrow(ConversationError);
    expect(() => tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("Ho")]])).toThrowErrorMatchingInlineSnapshot(
      `[ConversationError: the chat template writes the prompt differently once the answer follows, so there is no boundary between them (the prompt has "<end>\\n<|assistant|>\\n<think>\\n", the conversation "<end>\\n<|assistant|>\\nHo<end>")]`,
    );
    const { completions } = tokenizeCompletions(tokenizer, [user("Hi")], [[assistant("<think>\nhm</think>Ho")]]);
    expect(text(tokenizer, completions[0]!)).toBe("hm</think>Ho<end>");
  });

  test("a system turn within the first user turn is found", () => {
    const tokenizer = byteTokenizer(template("inst"));
    const { prompt, fixed } = tokenizeCompletions(tokenizer, [system("Be brief."), user("Hi")], []);
    expect(text(tokenizer, prompt.subarray(0, fixed().head))).toBe("<begin>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\n");
  });

  test("where the template refuses to be probed, BOS stays", () => {
    const refusing =
      "{{ bos_token }}{{ messages[0].content }}{% if messages | length > 1 %}{{ raise_exception('one') }}{% endif %}";
    const { fixed } = tokenizeCompletions(byteTokenizer(refusing), [user("Hi")], []);
    expect(fixed()).toEqual({ head: 1, tail: 0 });
  });

  test("of a plain prompt too, and nothing at its end", () => {
    const { fixed } = tokenizeCompletions(byteTokenizer(""), "Hi", ["!"]);
    expect(fixed()).toEqual({ head: 1, tail: 0 });
  });
});

test("a system message before raw text is refused", () => {
  const tokenizer = tokenizerFromFiles(byteFiles({}));
  expect(() => promptIds(tokenizer, "Hi", { system: "Be brief." })).toThrow(ConfigError);
});

describe("prompt and completion together decode to the text", () => {
  const plain = fc.string({ unit: "grapheme", maxLength: 40 }).filter((s) => !/[<\ufeff\u2581]/.test(s));
  const words = fc.array(fc.oneof(plain, fc.constantFrom(" ", "\n", "\n\n", " the", "Human:", "12", "don't")), {
    maxLength: 12,
  });
  const passage = words.map((parts) => parts.join(""));

  function check(tokenizer: Tokenizer, prefixSpace: boolean): void {
    fc.assert(
      fc.property(passage, passage, passage, (prompt, first, second) => {
        const { prompt: ids, completions, merged } = tokenizeCompletions(tokenizer, prompt, [first, second]);
        for (const [i, completion] of [first, second].entries()) {
          const all = [...ids, ...completions[i]!];
          expect(all.filter((id) => id === tokenizer.eosId)).toHaveLength(1);
          expect(all.at(-1)).toBe(tokenizer.eosId);
          // A SentencePiece completion tokenized on its own begins with a space of its own.
          if (!(merged && prefixSpace))
            expect(tokenizer.decode(all, { skipSpecialTokens: true })).toBe(prompt + completion);
        }
      }),
      { numRuns: 150 },
    );
  }

  test("bytes", () => check(tokenizerFromFiles(byteFiles({})), false));
  test.skipIf(sharedMissing)("SmolLM2 (needs ../shared/models)", async () => check(await smollm2(), false));
  test.skipIf(sharedMissing)("stories260K (needs ../shared/models)", () => check(stories260K(), true));
});
