/** Which tokens of a text or conversation are scored: the assistant's own, held to each template's words and to transformers' masks. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { TokenizedText } from "../../src/text/boundary.ts";
import { ConversationError, type Message } from "../../src/text/chat.ts";
import { type Tokenizer, tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { tokenizeText } from "../../src/text/turns.ts";
import { sharedMissing } from "../support/shared.ts";
import { byteFiles, smollm2, stories260K } from "./tokenizers.ts";

const template = (name: string) => readFileSync(new URL(`./templates/${name}.jinja`, import.meta.url), "utf8");
const golden = (name: string) => JSON.parse(readFileSync(new URL(`../golden/text/${name}`, import.meta.url), "utf8"));
const chatml = (golden("chat.json") as { smollm2: string }).smollm2;
const marked = golden("turns.json") as {
  templates: Record<string, string>;
  conversations: Message[][];
  masked: Record<string, { ids: number[]; mask: number[] }[]>;
};

function byteTokenizer(chatTemplate: string, special: readonly string[] = []): Tokenizer {
  return tokenizerFromFiles(
    byteFiles({ special: ["<begin>", ...special], config: { bos_token: "<begin>" }, chatTemplate }),
  );
}

const user = (content: string): Message => ({ role: "user", content });
const assistant = (content: string): Message => ({ role: "assistant", content });

/** All ids, and whether each is scored. */
function flat({ prompt, completions, scored }: TokenizedText): { ids: number[]; mask: number[] } {
  const flags = scored ? Array.from(scored[0]!) : Array.from(completions[0]!, () => 1);
  return { ids: [...prompt, ...completions[0]!], mask: [...Array.from(prompt, () => 0), ...flags] };
}

/** The texts of the runs of scored tokens. */
function scoredTexts(tokenizer: Tokenizer, text: TokenizedText): string[] {
  const { ids, mask } = flat(text);
  const runs: number[][] = [];
  ids.forEach((id, i) => {
    if (mask[i] === 0) return;
    if (mask[i - 1] === 0) runs.push([]);
    runs.at(-1)!.push(id);
  });
  return runs.map((run) => tokenizer.decode(run));
}

describe("of a conversation the assistant's turns are scored, each with its end token", () => {
  const trimmed = ({ content }: Message) => content.trim();
  const templates: [name: string, source: string, special: string[], turn: (message: Message) => string][] = [
    ["chatml", chatml, ["<|im_start|>", "<|im_end|>"], ({ content }) => `${content}<|im_end|>`],
    ["headers", template("headers"), ["<|header|>", "<|/header|>", "<|end|>"], (m) => `${trimmed(m)}<|end|>`],
    ["turns", template("turns"), ["<turn>", "</turn>"], (m) => `${trimmed(m)}</turn>`],
    ["inst", template("inst"), [], (m) => ` ${trimmed(m)} <end>`],
  ];
  const words = fc.array(fc.constantFrom("a", "Hi there", " ", "\n", "é😀", "12", "[INST]", "user", "?"), {
    maxLength: 6,
  });
  const spoken = words.map((parts) => `${parts.join("")}.`);
  const exchanges = fc.array(fc.tuple(spoken, spoken), { minLength: 1, maxLength: 4 });

  test.each(templates)("%s", (_, source, special, turn) => {
    const tokenizer = byteTokenizer(source, special);
    fc.assert(
      fc.property(exchanges, fc.boolean(), (pairs, more) => {
        const messages = pairs.flatMap(([question, answer]) => [user(question), assistant(answer)]);
        if (more) messages.push(user("And then?"));
        const text = tokenizeText(tokenizer, messages, "assistant");
        expect(scoredTexts(tokenizer, text)).toEqual(messages.filter(({ role }) => role === "assistant").map(turn));
        const whole = tokenizer.chat.render(messages, { addGenerationPrompt: false });
        expect(whole.startsWith(tokenizer.decode(flat(text).ids))).toBe(true);
        expect(text.scored![0]!.at(-1)).toBe(1);
        expect(text.merged).toBe(false);
      }),
      { numRuns: 50 },
    );
  });

  test("what stands before the first of them is the prompt, whose ends truncation keeps", () => {
    const tokenizer = byteTokenizer(chatml, ["<|im_start|>", "<|im_end|>"]);
    const messages = [
      { role: "system", content: "Be brief." },
      user("Hi"),
      assistant("Ho"),
      user("Hi"),
      assistant("Ho"),
    ];
    const { prompt, fixed } = tokenizeText(tokenizer, messages, "assistant");
    const opening = tokenizer.chat.render(messages.slice(0, 2), { addGenerationPrompt: true });
    expect(tokenizer.decode(prompt)).toBe(opening);
    const { head, tail } = fixed();
    expect(tokenizer.decode(prompt.subarray(0, head))).toBe("<|im_start|>system\nBe brief.<|im_end|>\n");
    expect(tokenizer.decode(prompt.subarray(prompt.length - tail))).toBe("<|im_start|>assistant\n");
  });

  test("a last turn after which the template writes no end token gets the end-of-text token", () => {
    const tokenizer = byteTokenizer(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}",
    );
    const text = tokenizeText(tokenizer, [user("Hi"), assistant("Ho"), user("Hi"), assistant("Ha")], "assistant");
    expect(scoredTexts(tokenizer, text)).toEqual(["Ho\n", "Ha\n<end>"]);
  });

  test.skipIf(sharedMissing)(
    "a turn that merges with what stands before it is tokenized on its own (needs ../shared/models)",
    async () => {
      const tokenizer = await smollm2();
      const text = tokenizeText(
        tokenizer,
        [user("Hi"), assistant("  Hello"), user("Hi"), assistant("Ho")],
        "assistant",
      );
      expect(text.merged).toBe(true);
      expect(scoredTexts(tokenizer, text)).toEqual(["  Hello<|im_end|>", "Ho<|im_end|>"]);
    },
  );
});

describe("a template in which the assistant's turns can't be found", () => {
  const refusal =
    (name: string, messages: readonly Message[], special: readonly string[] = []) =>
    () =>
      tokenizeText(byteTokenizer(template(name), special), messages, "assistant");
  const thought = assistant("<think>\nhm</think>Ho");

  test("because the prompt reads differently once the answer follows", () => {
    expect(refusal("json", [user("Hi"), assistant("Ho")])).toThrow(ConversationError);
    expect(refusal("thoughts", [user("Hi"), assistant("Ho")])).toThrow(
      "writes the prompt differently once the answer follows",
    );
  });

  test("because an earlier turn reads differently once others follow", () => {
    expect(refusal("thoughts", [user("Hi"), thought])).not.toThrow();
    expect(refusal("thoughts", [user("Hi"), thought, user("Hi"), thought])).toThrowErrorMatchingInlineSnapshot(
      `[ConversationError: the chat template writes turn 2 of the conversation differently once others follow it, so its tokens can't be found in the whole: give each answer as a row of its own, as prompt and completion]`,
    );
  });
});

describe("a template with generation blocks", () => {
  test.skipIf(sharedMissing).each(Object.keys(marked.templates))(
    "%s: ids and mask are transformers' (needs ../shared/models)",
    async (name) => {
      const tokenizer = await smollm2();
      // The same tokenizer with another template.
      Object.defineProperty(tokenizer, "templateSource", { value: marked.templates[name] });
      marked.conversations.forEach((messages, i) => {
        const { ids, mask } = marked.masked[name]![i]!;
        const end = mask.lastIndexOf(1) + 1;
        expect(flat(tokenizeText(tokenizer, messages, "assistant"))).toEqual({
          ids: ids.slice(0, end),
          mask: mask.slice(0, end),
        });
      });
    },
  );

  test("that the text depends on is refused", () => {
    const source =
      "{% for m in messages %}{% generation %}{{ m.content }}{% generation %}{% endgeneration %}{% endgeneration %}{% endfor %}";
    expect(() => tokenizeText(byteTokenizer(source), [assistant("Ho")], "assistant")).toThrow("can't be followed");
  });
});

describe("of all of a text", () => {
  test("every token but the first is scored: nothing predicts that one", () => {
    const tokenizer = tokenizerFromFiles(
      byteFiles({ special: ["<begin>"], config: { bos_token: "<begin>", add_bos_token: true } }),
    );
    const { prompt, completions, scored } = tokenizeText(tokenizer, "Once upon", "all");
    expect([tokenizer.decode(prompt), tokenizer.decode(completions[0]!)]).toEqual(["<begin>", "Once upon<end>"]);
    expect(scored).toBeUndefined();
  });

  test("a conversation is what the template writes, up to its last end token", () => {
    const tokenizer = byteTokenizer(chatml, ["<|im_start|>", "<|im_end|>"]);
    const messages = [{ role: "system", content: "Be brief." }, user("Hi"), assistant("Ho")];
    const { prompt, completions } = tokenizeText(tokenizer, messages, "all");
    expect(tokenizer.decode(prompt)).toBe("<|im_start|>");
    const whole = tokenizer.chat.render(messages, { addGenerationPrompt: false });
    expect(tokenizer.decode([...prompt, ...completions[0]!])).toBe(whole.trimEnd());
  });

  test.skipIf(sharedMissing)("a text is tokenized as at inference (needs ../shared/models)", () => {
    const tokenizer = stories260K();
    const { prompt, completions } = tokenizeText(tokenizer, "Once upon a time.", "all");
    expect([...prompt, ...completions[0]!]).toEqual([...tokenizer.encode("Once upon a time."), tokenizer.eosId]);
  });
});
