import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { promptIds } from "../../src/text/boundary.ts";
import { ChatTemplate, ConversationError, type Message } from "../../src/text/chat.ts";
import { sharedMissing } from "../support/shared.ts";
import { smollm2 } from "./tokenizers.ts";

const golden = JSON.parse(readFileSync(new URL("../golden/text/chat.json", import.meta.url), "utf8")) as {
  tokens: { bos: string; eos: string };
  smollm2: string;
  conversations: Message[][];
  rendered: Record<string, { text?: string; error?: string }[][]>;
  smollm2Prompts: number[][];
};

const templates = new URL("./templates/", import.meta.url);
const sources: Record<string, string> = { smollm2: golden.smollm2 };
for (const file of readdirSync(templates)) {
  sources[file.replace(".jinja", "")] = readFileSync(new URL(file, templates), "utf8");
}

describe("a conversation reads as transformers' apply_chat_template writes it", () => {
  test.each(Object.keys(golden.rendered))("%s", (name) => {
    const template = new ChatTemplate(sources[name]!, golden.tokens);
    for (const [i, conversation] of golden.conversations.entries()) {
      for (const addGenerationPrompt of [false, true]) {
        const { text, error } = golden.rendered[name]![i]![Number(addGenerationPrompt)]!;
        const render = () => template.render(conversation, { addGenerationPrompt });
        if (text === undefined) expect(render).toThrow(error);
        else expect(render()).toBe(text);
      }
    }
  });

  test("every template was rendered", () => {
    expect(Object.keys(golden.rendered).toSorted()).toEqual(Object.keys(sources).toSorted());
  });

  test.skipIf(sharedMissing)("SmolLM2's prompts have the same ids (needs ../shared/models)", async () => {
    const tokenizer = await smollm2();
    for (const [i, conversation] of golden.conversations.entries()) {
      expect([...promptIds(tokenizer, conversation)]).toEqual(golden.smollm2Prompts[i]);
    }
  });
});

describe("a template", () => {
  const render = (source: string, messages: Message[] = [{ role: "user", content: "hi" }]) =>
    new ChatTemplate(source, {}).render(messages, { addGenerationPrompt: true });

  test("that raises gives its message", () => {
    const source = "{{ raise_exception('Only one message, please') }}";
    expect(() => render(source)).toThrow(ConversationError);
    expect(() => render(source)).toThrow("the chat template refuses this conversation: Only one message, please");
  });

  test("writes nothing for a token that the model lacks", () => {
    expect(render("{{ bos_token }}|{% if eos_token is defined %}{{ eos_token }}{% endif %}|")).toBe("||");
  });

  test("can ask for the date", () => {
    const [date, year] = render("{{ strftime_now('%Y-%m-%d') }}|{{ strftime_now('%d %b %Y')[-4:] }}").split("|");
    expect(date).toMatch(/^\d{4}-\d\d-\d\d$/);
    expect(date!.slice(0, 4)).toBe(year);
  });
});
