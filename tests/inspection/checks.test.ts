/** Every check finds the defect that it is for, says where, and says nothing of clean rows. */

import { describe, expect, test } from "vitest";
import { signatureOf } from "../../src/data/min-hash.ts";
import { hashesOf } from "../../src/data/repeats.ts";
import type { Check, Finding } from "../../src/inspection/check.ts";
import { chatTemplate } from "../../src/inspection/checks/chat-template.ts";
import { duplicates } from "../../src/inspection/checks/duplicates.ts";
import { encoding } from "../../src/inspection/checks/encoding.ts";
import { missingEnds } from "../../src/inspection/checks/ends.ts";
import { language, languageOf } from "../../src/inspection/checks/language.ts";
import { leaks } from "../../src/inspection/checks/leaks.ts";
import { ledgerFindings } from "../../src/inspection/checks/ledger.ts";
import { lengthPreference, lengthRule } from "../../src/inspection/checks/length.ts";
import { nearDuplicates } from "../../src/inspection/checks/near-duplicates.ts";
import { opposites } from "../../src/inspection/checks/opposites.ts";
import { stopsWithin, truncated } from "../../src/inspection/checks/truncated.ts";
import type { InspectedRow } from "../../src/inspection/row.ts";
import { Random } from "../../src/random.ts";

const random = new Random(3);
const vocabulary = Array.from(
  { length: 400 },
  (_, i) => `w${i.toString(26).replace(/\d/g, (d) => "abcdefghij"[Number(d)]!)}`,
);
const words = (count: number) =>
  Array.from({ length: count }, () => vocabulary[Math.floor(random.next() * vocabulary.length)]!).join(" ");

interface Given {
  readonly prompt?: string;
  readonly chosen?: string;
  readonly rejected?: string;
  readonly tokens?: readonly [number, number];
  readonly ends?: boolean;
  readonly isConversation?: boolean;
}

function row(line: number, given: Given = {}): InspectedRow {
  const { prompt = `${words(20)}?`, chosen = `${words(16)}.`, rejected = `${words(16)}.`, ends = true } = given;
  const [a, b] = given.tokens ?? [30 + (line % 7), 30 + ((line * 5) % 7)];
  const origin = { file: "rows.jsonl", line };
  const example = { origin, prompt, completions: [chosen, rejected] };
  return {
    origin,
    prompt,
    example,
    hashes: hashesOf(example),
    completions: [
      { role: "chosen", text: chosen, tokens: a, kept: ends ? a : 5, ends },
      { role: "rejected", text: rejected, tokens: b, kept: b, ends: true },
    ],
    promptTokens: 40,
    cut: [],
    isConversation: given.isConversation ?? true,
    signature: () => signatureOf([prompt, chosen, rejected].join("\n")),
  };
}

const clean = Array.from({ length: 60 }, (_, i) => row(i + 1));

function findingsOf(check: Check, rows: readonly InspectedRow[], heldOut: readonly InspectedRow[] = []): Finding[] {
  for (const one of rows) check.see(one);
  for (const one of heldOut) check.seeHeldOut?.(one);
  return check.findings();
}

const summary = (findings: readonly Finding[]) =>
  findings.map(({ name, count, rows }) => [name, count, rows.map(({ origin }) => origin.line)]);

const limits = { maxLength: 64, maxPromptLength: 24 };

const checks = {
  duplicates,
  nearDuplicates,
  opposites,
  leaks,
  lengthPreference,
  truncated,
  encoding,
  language,
  missingEnds: (named: number) => missingEnds(named, limits),
  chatTemplate,
};

test.each(Object.entries(checks))("%s finds nothing in clean rows", (_, check) => {
  expect(findingsOf(check(5), clean, [row(1001), row(1002)])).toEqual([]);
});

describe("copies", () => {
  const { prompt, completions } = clean[3]!;
  const copy = { prompt, chosen: completions[0]!.text, rejected: completions[1]!.text };

  test("to the letter are counted after the first, which is named", () => {
    const found = findingsOf(duplicates(5), [...clean, row(61, copy), row(62, copy)]);
    expect(summary(found)).toEqual([["exact duplicates", 2, [61, 62]]]);
    expect(found[0]!.rows[0]!.detail).toBe("the same as rows.jsonl line 4");
    expect(found[0]!.share).toBeCloseTo(2 / 62);
  });

  test("with one word changed are near duplicates, and copies to the letter are not", () => {
    const edited = { ...copy, chosen: copy.chosen.replace(/^\S+/, "Otherwise") };
    const found = findingsOf(nearDuplicates(5), [...clean, row(61, copy), row(62, edited)]);
    expect(summary(found)).toEqual([["near duplicates", 1, [62]]]);
    expect(found[0]!.rows[0]!.detail).toMatch(/^about \d\d % of rows\.jsonl line 4$/);
  });

  test("with another answer to the same long prompt are no near duplicates", () => {
    const long = words(400);
    const rows = [
      row(1, { prompt: long }),
      row(2, { prompt: long }),
      row(3, { prompt: long, chosen: "Yes.", rejected: "No." }),
    ];
    expect(findingsOf(nearDuplicates(5), rows)).toEqual([]);
    const again = row(4, { prompt: `${long} again`, chosen: "yes. ", rejected: "No." });
    const turned = row(5, { prompt: `${long} again`, chosen: "No.", rejected: "Yes." });
    expect(summary(findingsOf(nearDuplicates(5), [...rows, again, turned]))).toEqual([["near duplicates", 1, [4]]]);
  });

  test("turned round are opposite preferences, not duplicates", () => {
    const turned = { prompt, chosen: copy.rejected, rejected: copy.chosen };
    const rows = [...clean, row(61, turned)];
    expect(summary(findingsOf(opposites(5), rows))).toEqual([["opposite preferences", 1, [61]]]);
    expect(findingsOf(duplicates(5), rows)).toEqual([]);
    expect(findingsOf(nearDuplicates(5), rows)).toEqual([]);
  });

  test("of a ranking's answers, each chosen once and rejected once, contradict nothing", () => {
    const [a, b, c] = ["One answer.", "Two answers.", "Three answers."];
    const chain = [row(1, { prompt, chosen: a!, rejected: b! }), row(2, { prompt, chosen: b!, rejected: c! })];
    expect(findingsOf(opposites(5), chain)).toEqual([]);
  });
});

describe("held-out rows that training sees", () => {
  const { prompt, completions } = clean[7]!;
  const [chosen, rejected] = completions.map(({ text }) => text) as [string, string];

  test("are told by text in another case and order, by likeness, and by prompt", () => {
    const heldOut = [
      row(1, { prompt: prompt.toUpperCase(), chosen: rejected, rejected: `  ${chosen}` }),
      row(2, { prompt, chosen: chosen.replace(/^\S+/, "Otherwise"), rejected }),
      row(3, { prompt }),
      row(4),
    ];
    expect(summary(findingsOf(leaks(5), clean, heldOut))).toEqual([
      ["held-out rows in the training data", 1, [1]],
      ["held-out rows nearly in the training data", 1, [2]],
      ["held-out prompts in the training data", 2, [2, 3]],
    ]);
  });

  test("copies among the held-out rows are no leak", () => {
    const alone = row(1);
    expect(findingsOf(leaks(5), clean, [alone, { ...alone, origin: { file: "eval.jsonl", line: 2 } }])).toEqual([]);
  });
});

describe("length", () => {
  test("that predicts the preference is found, with the rule", () => {
    const longer = clean.map((_, i) => row(i + 1, { tokens: [90 + i, i % 10 === 0 ? 200 : 20 + i] }));
    const [found, ...rest] = findingsOf(lengthPreference(2), longer);
    expect(rest).toEqual([]);
    expect(found).toMatchObject({ name: "length predicts the preference", level: "warning", count: 54, share: 0.9 });
    expect(found!.rows.map(({ detail }) => detail)).toEqual([
      "chosen 91 tokens, rejected 21",
      "chosen 92 tokens, rejected 22",
    ]);
  });

  test("rules and AUC by hand", () => {
    expect(lengthRule([5, 6], [1, 2])).toEqual({ accuracy: 1, target: Number.POSITIVE_INFINITY, auc: 1, longer: 1 });
    expect(lengthRule([1, 2], [5, 6])).toEqual({ accuracy: 1, target: 0, auc: 0, longer: 0 });
    expect(lengthRule([4, 4], [4, 4])).toEqual({ accuracy: 0.5, target: 0, auc: 0.5, longer: 0 });
    // Nearer to 10 each time, from above and from below: no rule of "longer" or "shorter" is right more than half the time.
    expect(lengthRule([10, 10], [2, 30])).toEqual({ accuracy: 1, target: 13, auc: 0.5, longer: 0.5 });
  });

  test("the best rule is no worse than any other target", () => {
    const lengths = () => Array.from({ length: 200 }, () => 1 + Math.floor(40 * random.next()));
    const [chosen, rejected] = [lengths(), lengths()];
    const accuracy = (target: number) =>
      chosen.reduce((sum, a, i) => {
        const gap = Math.abs(rejected[i]! - target) - Math.abs(a - target);
        return sum + (gap > 0 ? 1 : gap === 0 ? 0.5 : 0);
      }, 0) / chosen.length;
    const best = lengthRule(chosen, rejected);
    const tried = Array.from({ length: 200 }, (_, i) => accuracy(i / 4 + 0.1));
    expect(best.accuracy).toBeCloseTo(Math.max(...tried), 10);
    expect(accuracy(Math.min(best.target, 1e6))).toBeCloseTo(best.accuracy, 10);
  });
});

describe("texts that were cut off", () => {
  test.each([
    ["I would say that there are many reasons for this, and the first of them is", true],
    ["I would say that there are many reasons for this, and the first of them is,", true],
    ["Here is the function that you asked for in the language of your choice:\n```js\nconst x = 1;", true],
    ["Here is the function that you asked for in the language of your choice:\n```js\nconst x = 1\n```", false],
    ["I would say that there are many reasons for this, and this is one.", false],
    ["I would say that there are many reasons for this (and this is one)", false],
    ["これは十分に長い文です。".repeat(4), false],
    ["Paris", false],
    ["There are a number of things that you need for it, which are these:\n- flour\n- sugar", false],
    ["You can read all about it on the page of the project, which is at https://example.org/a", false],
    ["He said that there are many reasons for this and that “this is one of them.”", false],
  ])("%j", (text, expected) => {
    expect(stopsWithin(text)).toBe(expected);
  });

  test("are named with the side that they are on", () => {
    const found = findingsOf(truncated(5), [...clean, row(61, { rejected: `${words(20)} and the` })]);
    expect(summary(found)).toEqual([["completions that stop within a sentence", 1, [61]]]);
    expect(found[0]).toMatchObject({ level: "note", rows: [{ detail: "rejected" }] });
  });

  test("by a generator's limit show as a pile of the longest", () => {
    const piled = clean.map((_, i) => row(i + 1, { tokens: [i < 6 ? 128 : 30 + i, 40] }));
    expect(summary(findingsOf(truncated(2), piled))).toEqual([["completions as long as a limit", 6, [1, 2]]]);
  });
});

describe("broken characters", () => {
  test.each([
    ["characters that were lost", "a \ufffd here"],
    ["characters that were lost", "half a pair \ud83d."],
    ["text in the wrong encoding", "the cafÃ© is open"],
    ["text in the wrong encoding", "I donâ€™t know"],
    ["control characters", "a bell \u0007 rings"],
    ["undecoded HTML entities", "fish &amp; chips"],
  ])("%s: %j", (name, text) => {
    const found = findingsOf(encoding(5), [...clean, row(61, { chosen: text })]);
    expect(summary(found)).toEqual([[name, 1, [61]]]);
    expect(found[0]!.rows[0]!.detail).toContain('"');
  });

  test.each([
    "Ça va, São Paulo, ÅNGSTRÖM, naïve, “quotes” – it’s fine… 🎉 👩‍👩‍👧",
    "x & y <b> Â is a letter",
    "tabs\tand\r\nlines",
  ])("%j is whole", (text) => {
    expect(findingsOf(encoding(5), [row(1, { chosen: text })])).toEqual([]);
  });
});

describe("languages", () => {
  const english = "What is the best way to learn to cook for a family that is not used to it?";
  test.each([
    [english, "English"],
    ["Was ist der beste Weg, um das Kochen zu lernen, und ist es nicht auch eine Kunst?", "German"],
    ["Quel est le meilleur moyen pour apprendre que les enfants aiment et qui est dans le livre ?", "French"],
    ["как лучше всего научиться готовить для семьи", "Cyrillic"],
    ["料理を学ぶのに一番いい方法は何ですか", "Japanese"],
    ["学习做饭的最好方法是什么呢", "Chinese"],
    ["It’s 5 – 6.", undefined],
  ])("%s", (text, expected) => {
    expect(languageOf(text)).toBe(expected);
  });

  test("an answer in another language than its prompt is found, and the rows of a rare language", () => {
    const german =
      "Der beste Weg ist das Üben, und das ist nicht schwer: die Familie wird mit der Zeit auch zufrieden.";
    const answer = "The best way is to do it with them, and that is not hard for you to do.";
    const rows = [
      ...clean,
      ...[61, 62, 63].map((line) => row(line, { prompt: english, chosen: answer })),
      row(64, { prompt: english, chosen: german }),
    ];
    const found = findingsOf(language(5), rows);
    expect(summary(found)).toEqual([
      ["answers in another language than the prompt", 1, [64]],
      ["rows in German", 1, [64]],
    ]);
    expect(found[0]!.rows[0]!.detail).toBe("prompt English, chosen German");
  });
});

describe("the end of a turn", () => {
  test("that is cut off is found", () => {
    const found = findingsOf(missingEnds(5, limits), [...clean, row(61, { ends: false, tokens: [900, 20] })]);
    expect(summary(found)).toEqual([["completions without their end", 1, [61]]]);
    expect(found[0]!.rows[0]!.detail).toBe("chosen: 5 of 900 tokens left");
  });
});

describe("the chat template", () => {
  test("is missed by plain rows", () => {
    expect(summary(findingsOf(chatTemplate(1), [row(1, { isConversation: false }), row(2)]))).toEqual([
      ["plain text for a chat model", 1, [1]],
    ]);
  });

  test("is doubled by rows that mark turns themselves", () => {
    expect(summary(findingsOf(chatTemplate(1), [row(1, { prompt: "\n\nHuman: hi\n\nAssistant:" }), row(2)]))).toEqual([
      ["turns marked in the text of a message", 1, [1]],
    ]);
  });
});

describe("what the ledger has", () => {
  const tally = { count: 2, rows: [{ file: "rows.jsonl", line: 3 }], example: "chosen and rejected are identical" };
  const ledger = {
    files: ["rows.jsonl"],
    read: 10,
    used: 8,
    shortened: 0,
    dropped: 2,
    shortenedBy: {},
    droppedBy: {},
    specialTokens: {},
  };

  test("becomes findings with a reason and what to do", () => {
    const found = ledgerFindings(
      {
        ...ledger,
        droppedBy: { "identical completions": tally },
        shortenedBy: { "completion too long": { count: 1, rows: [] } },
        specialTokens: { "<|im_end|>": { count: 4, rows: [] } },
        boundaryMerged: { count: 8, rows: [] },
      },
      limits,
    );
    expect(found.map(({ name, level, share }) => [name, level, share])).toEqual([
      ["identical completions", "problem", 0.2],
      ["shortened: completion too long", "warning", 0.125],
      ["boundary tokens that merge", "note", 1],
      ["<|im_end|> in the text", "warning", 0.5],
    ]);
    expect(found[0]!.rows[0]).toEqual({ origin: { file: "rows.jsonl", line: 3 }, detail: tally.example });
    for (const { why, remedy } of found) expect([why, remedy]).not.toContain("");
    expect(found[1]!.remedy).toMatch(/--max-length \(now 64\), lower --max-prompt-length \(now 24\)/);
  });

  test("is nothing where all is well", () => {
    expect(ledgerFindings(ledger, limits)).toEqual([]);
  });
});
