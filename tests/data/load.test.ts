import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Needs } from "../../src/data/derive.ts";
import type { TokenizedExample } from "../../src/data/example.ts";
import { readRows } from "../../src/data/files/read.ts";
import {
  type LoadedPreferences,
  loadExamples,
  loadPreferences,
  loadPrompts,
  type PreferenceOptions,
} from "../../src/data/load.ts";
import { ConfigError } from "../../src/errors.ts";
import { tokenizeCompletions } from "../../src/text/boundary.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { HH_PAIRS, sharedMissing } from "../support/shared.ts";
import { byteFiles, smollm2, stories260K } from "../text/tokenizers.ts";
import { temporaryFiles, withoutFolder } from "./files.ts";
import { examplesOf } from "./shapes/rows.ts";

const { folder, refusal, write } = temporaryFiles();

const template =
  "{{ bos_token }}{% for m in messages %}{{ m.role ~ ':' ~ m.content ~ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const bytes = tokenizerFromFiles(
  byteFiles({ special: ["<begin>"], config: { bos_token: "<begin>" }, chatTemplate: template }),
);

const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected });

function jsonl(name: string, rows: readonly unknown[]): string {
  return write(name, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));
}

async function load(rows: readonly unknown[], options: Partial<PreferenceOptions> = {}): Promise<LoadedPreferences> {
  return loadPreferences(settingsFor(rows, options));
}

async function loadAs(kind: Needs["rows"], rows: readonly unknown[], options: Partial<PreferenceOptions> = {}) {
  return loadExamples({ rows: kind }, settingsFor(rows, options));
}

function settingsFor(rows: readonly unknown[], options: Partial<PreferenceOptions>): PreferenceOptions {
  const settings = { tokenizer: bytes, maxLength: 20, maxPromptLength: 10, truncation: "shorten" as const, ...options };
  return { files: jsonl("rows.jsonl", rows), ...settings };
}

/** Each example as its texts, prompt first. */
function texts({ examples }: LoadedPreferences): string[][] {
  return examples.map(({ prompt, completions }) => [prompt, ...completions].map((ids) => bytes.decode(ids)));
}

describe("preference pairs", () => {
  test("become token ids with their origin", async () => {
    const loaded = await load([pair("Q", "A", "B"), pair("R", "C", "D")]);
    expect(texts(loaded)).toEqual([
      ["Q", "A<end>", "B<end>"],
      ["R", "C<end>", "D<end>"],
    ]);
    expect(loaded.examples[1]!.origin).toEqual({ file: `${folder}/rows.jsonl`, line: 2 });
    expect(loaded.ledger.toJSON()).toMatchObject({ read: 2, used: 2, shortened: 0, dropped: 0 });
  });

  test("go through the chat template with --chat, and as messages always", async () => {
    const messages = [{ role: "user", content: "Q" }];
    const rows = [pair("Q", "A", "B"), { prompt: messages, chosen: "A", rejected: "B" }];
    const chat = ["<begin>user:Q<end>assistant:", "A<end>", "B<end>"];
    expect(texts(await load(rows, { chat: true, maxLength: 99 }))).toEqual([chat, chat]);
    expect(texts(await load(rows, { maxLength: 99 }))).toEqual([["Q", "A<end>", "B<end>"], chat]);
  });

  test("come from several files in order", async () => {
    const files = [
      jsonl("a.jsonl", [pair("Q", "A", "B")]),
      jsonl("b.jsonl", [pair("R", "A", "A"), pair("S", "A", "B")]),
    ];
    const { examples, ledger } = await load([], { files });
    expect(examples.map(({ prompt }) => bytes.decode(prompt))).toEqual(["Q", "S"]);
    expect(withoutFolder(String(ledger), folder)).toMatchInlineSnapshot(`
      "rows read                         3  a.jsonl, b.jsonl
          of a                          1  used; preference
          of b                          1  used; preference
        used                            2
        dropped                         1
          identical completions         1  line b.jsonl:1
            chosen and rejected are identical"
    `);
  });

  test("are the first N usable rows with a limit; later rows are not read", async () => {
    const rows = [pair("Q", "A", "A"), pair("R", "A", "B"), pair("S", "A", "B"), "not JSON"];
    const { examples, ledger } = await load(rows, { limit: 2 });
    expect(examples.map(({ origin }) => origin.line)).toEqual([2, 3]);
    expect(ledger.toJSON()).toMatchObject({ read: 3, used: 2, dropped: 1 });
    await expect(load(rows, { limit: 0 })).rejects.toThrow(ConfigError);
  });
});

describe("rows that can't be read", () => {
  const rows = [pair("Q", "A", "B"), '{"prompt": "Q"', { prompt: "Q", chosen: "A" }, pair("R", "A", "B")];

  test("stop the load, with file, line, field and the value's beginning", async () => {
    expect(await refusal(load(rows))).toMatch(
      /^rows.jsonl line 2: not JSON: .* \(it starts with {"prompt": "Q"\)\. Mend the row, or skip such rows with --on-bad-row drop\.$/,
    );
    expect(await refusal(load(rows.toSpliced(1, 1)))).toMatchInlineSnapshot(
      `"rows.jsonl line 2: the field \`rejected\` is missing (the row has only prompt, chosen). Mend the row, or skip such rows with --on-bad-row drop."`,
    );
    const wrong = { prompt: "Q", chosen: { text: "a long answer ".repeat(20) }, rejected: "B" };
    expect(await refusal(load([wrong]))).toMatchInlineSnapshot(
      `"rows.jsonl line 1: the field \`chosen\` is an object, not a string or a list of messages: {"text":"a long answer a long answer a long answer a long an.... Mend the row, or skip such rows with --on-bad-row drop."`,
    );
    const file = write("array.json", JSON.stringify([pair("Q", "A", "B"), 7]));
    expect(await refusal(load([], { files: file }))).toMatchInlineSnapshot(
      `"array.json element 2: a row is an object with fields, this one is a number: 7. Mend the row, or skip such rows with --on-bad-row drop."`,
    );
  });

  test("are dropped, counted and named on request", async () => {
    const { examples, ledger } = await load(rows, { onBadRow: "drop" });
    expect(examples.map(({ origin }) => origin.line)).toEqual([1, 4]);
    expect(ledger.toJSON().droppedBy).toMatchObject({
      "not JSON": { count: 1, rows: [{ line: 2 }] },
      "missing or wrong field": { count: 1, rows: [{ line: 3 }] },
    });
  });
});

describe("rows that can be read but not used", () => {
  const unusable: [string, object, Partial<PreferenceOptions>][] = [
    ["empty completion", pair("Q", "", "B"), {}],
    ["empty completion", pair("Q", "<end>", "B"), {}],
    ["identical completions", pair("Q", "A", "A"), {}],
    ["identical completions", pair("Q", "A", "A<end>"), {}],
    ["identical completions", pair("Q", "the same first words, A", "the same first words, B"), {}],
    ["no common prompt", { chosen: "A", rejected: "B" }, {}],
    ["empty prompt", pair("", "A", "B"), {}],
    ["empty prompt", { ...pair("", "A", "B"), prompt: [] }, {}],
    ["prompt too long", pair("a prompt of many words", "A", "B"), { truncation: "drop" }],
    ["completion too long", pair("Q", "an answer of many words", "B"), { truncation: "drop" }],
    ["refused by the chat template", pair("Q", "A", "B"), { chat: true, tokenizer: refusing() }],
  ];

  test.each(unusable)("%s: %j", async (cause, row, options) => {
    const good = { prompt: [{ role: "user", content: "f" }], chosen: "A", rejected: "B" };
    const { examples, ledger } = await load([row, good], { maxLength: 20, ...options });
    expect(examples.map(({ origin }) => origin.line)).toEqual([2]);
    expect(ledger.toJSON()).toMatchObject({ read: 2, used: 1, dropped: 1, droppedBy: { [cause]: { count: 1 } } });
    expect(await refusal(load([row, good], { ...options, onBadRow: "error" }))).toMatch(
      /^rows.jsonl line 1: .*\. Mend the row, or leave out --on-bad-row error to skip such rows\.$/,
    );
  });

  /** A template short enough for the limits here, that refuses one question. */
  function refusing() {
    const source =
      "{% if messages[0].content == 'Q' %}{{ raise_exception('no Q') }}{% endif %}{% for m in messages %}{{ m.content ~ eos_token }}{% endfor %}";
    return tokenizerFromFiles(byteFiles({ chatTemplate: source }));
  }

  test("leave nothing to train on: the ledger says why", async () => {
    const message = await refusal(load([pair("Q", "A", "A"), pair("Q", "", "B"), pair("R", "", "B")]));
    expect(message).toMatchInlineSnapshot(`
      "No row can be used. Mend the rows, or give another file:
      rows read                         3  rows.jsonl (shape: preference)
        used                            0
        dropped                         3
          identical completions         1  line 1
            chosen and rejected are identical
          empty completion              2  lines 2, 3
            the chosen completion is empty"
    `);
  });
});

describe("a file without rows to use is refused", () => {
  test("as empty where it has none at all", async () => {
    const message = "No row can be used: there are none in none.json. Give another file.";
    expect(await refusal(load([], { files: write("none.json", "[]") }))).toBe(message);
  });

  test("as text to be made JSON of, unless it is nearly JSON", async () => {
    const refused = (text: string) => refusal(load([], { files: write("rows.txt", text), onBadRow: "drop" }));
    expect(await refused("Once upon a time")).toMatch(/^No row can be used\. Make JSON of the lines/);
    expect(await refused("{'prompt': 'Q'}")).toMatch(/^No row can be used\. Mend the rows/);
  });

  test("with a prompt that is null, which is not one that is missing", async () => {
    expect(await refusal(load([{ ...pair("Q", "A", "B"), prompt: null }]))).toContain("the field `prompt` is null");
  });
});

test("a row of a million characters is dropped before a tokenizer takes all memory for it", async () => {
  const endless = "x".repeat(2 ** 20 + 1);
  const rows = [pair(endless, "A", "B"), pair("Q", endless, "B"), pair("Q", "A", "B")];
  const { examples, ledger } = await load(rows);
  expect(examples.map(({ origin }) => origin.line)).toEqual([3]);
  expect(ledger.toJSON().droppedBy).toMatchObject({
    "prompt too long": {
      count: 1,
      example: "the prompt has 1048577 characters, of at most 1048576: part it into several rows",
    },
    "completion too long": { count: 1 },
  });
  const settings = { files: jsonl("endless.jsonl", rows), tokenizer: bytes };
  expect((await loadPrompts(settings)).prompts.map(({ origin }) => origin.line)).toEqual([2, 3]);
});

describe("labelled completions", () => {
  const labelled = (prompt: string, completion: string, label: boolean) => ({ prompt, completion, label });

  test("are one example each, pairs two; the ledger counts rows, and completions by label", async () => {
    const files = [jsonl("a.jsonl", [labelled("Q", "A", false)]), jsonl("b.jsonl", [pair("R", "C", "D")])];
    const loaded = await loadAs("labelled", [], { files });
    expect(texts(loaded)).toEqual([
      ["Q", "A<end>"],
      ["R", "C<end>"],
      ["R", "D<end>"],
    ]);
    expect(loaded.examples.map(({ values }) => values)).toEqual([{ label: 0 }, { label: 1 }, { label: 0 }]);
    expect(loaded.ledger.toJSON()).toMatchObject({ read: 2, used: 2, labels: { desirable: 1, undesirable: 2 } });
    expect(String(loaded.ledger)).toContain("    undesirable completions       2");
  });

  test("of a pair are both used or neither, and shortened as one row", async () => {
    const rows = [
      pair("R", "0123456789abcdefghijkl", "0123456789abcdefghijkm"),
      pair("R", "0123456789abcdefghijkl", "m123456789abcdefghijkl"),
    ];
    const { examples, ledger } = await loadAs("labelled", rows);
    expect(examples.map(({ origin }) => origin.line)).toEqual([2, 2]);
    expect(ledger.toJSON()).toMatchObject({
      used: 1,
      shortened: 1,
      shortenedBy: { "completion too long": { count: 1 } },
      droppedBy: {
        "identical completions": { count: 1, example: "two completions have the same tokens once shortened" },
      },
      labels: { desirable: 1, undesirable: 1 },
    });
  });
});

describe("rankings", () => {
  test("keep their prompt, and a rank for each completion", async () => {
    const { examples } = await loadAs("ranked", [{ prompt: "Q", responses: ["A", "B", "C"], scores: [1, 2, 1] }]);
    expect(texts({ examples } as LoadedPreferences)).toEqual([["Q", "B<end>", "A<end>", "C<end>"]]);
    expect(examples[0]!.values).toEqual({ rank: [1, 2, 2] });
  });

  test("may not have any two completions of the same tokens", async () => {
    const rows = [
      { prompt: "Q", ranked: ["A", "B", "B<end>"] },
      { prompt: "Q", ranked: ["A", "B", "C"] },
    ];
    const { ledger } = await loadAs("ranked", rows);
    expect(ledger.toJSON().droppedBy).toMatchObject({
      "identical completions": { rows: [{ line: 1 }], example: "two completions have the same tokens" },
    });
  });

  test("keep one prompt for all when they are shortened", async () => {
    const rows = [{ prompt: "0123456789abcdef", ranked: ["ghijkl", "mnopqrstuvwxyz", "A"] }];
    expect(texts(await loadAs("ranked", rows))).toEqual([["6789abcdef", "ghijkl<end>", "mnopqrstuv", "A<end>"]]);
  });
});

describe("pairs that are too long", () => {
  const long = pair("0123456789abcdef", "ghijklmnop", "q");

  test("are shortened, counted and named", async () => {
    const loaded = await load([pair("Q", "A", "B"), long], { maxLength: 20, maxPromptLength: 12 });
    expect(texts(loaded)[1]).toEqual(["456789abcdef", "ghijklmn", "q<end>"]);
    expect(loaded.ledger.toJSON()).toMatchObject({
      used: 2,
      shortened: 1,
      shortenedBy: { "prompt too long": { count: 1, rows: [{ line: 2 }] }, "completion too long": { count: 1 } },
    });
  });

  test("keep BOS, system turn and generation prompt", async () => {
    const prompt = [
      { role: "system", content: "S" },
      { role: "user", content: "0123456789" },
    ];
    const loaded = await load([{ prompt, chosen: "A", rejected: "B" }], { maxLength: 27, maxPromptLength: 5 });
    expect(texts(loaded)).toEqual([["<begin>system:S<end>6789<end>assistant:", "A<end>", "B<end>"]]);
  });

  test("stop the load with --truncation error", async () => {
    const loading = load([long], { truncation: "error", onBadRow: "drop" });
    expect(await refusal(loading)).toMatchInlineSnapshot(
      `"rows.jsonl line 1: the prompt is too long: prompt 16, longest completion 11, together 27 of at most 20 tokens. Raise --max-length, or let --truncation shorten or drop such rows."`,
    );
  });

  test("need limits that can be met", async () => {
    await expect(load([long], { maxLength: 1 })).rejects.toThrow(ConfigError);
    await expect(load([long], { maxPromptLength: 0 })).rejects.toThrow(ConfigError);
  });
});

test("the ledger is a short table, and JSON", async () => {
  const rows = [
    ...Array.from({ length: 7 }, () => pair("Q", "A", "A")),
    pair("Q <end>", "A<begin>", "B"),
    pair("Q", "A", "B<end> \n"),
    pair("a prompt that is too long", "A", "B"),
    { chosen: "A", rejected: "B" },
  ];
  const { ledger } = await load(rows);
  expect(withoutFolder(String(ledger), folder)).toMatchInlineSnapshot(`
    "rows read                         11  rows.jsonl (shape: preference)
      used                             3
        special token <end> in text    2  lines 8, 9
        special token <begin> in text  1  line 8
      of these shortened               1
        prompt too long                1  line 10
      dropped                          8
        identical completions          7  lines 1, 2, 3, 4, 5, ...
          chosen and rejected are identical
        no common prompt               1  line 11
          the row has no \`prompt\` (it has chosen, rejected): if another column is, name it, as in --columns prompt=question"
  `);
  expect(withoutFolder(JSON.stringify(ledger.toJSON().specialTokens), folder)).toMatchInlineSnapshot(
    `"{"<end>":{"count":2,"rows":[{"file":"rows.jsonl","line":8},{"file":"rows.jsonl","line":9}]},"<begin>":{"count":1,"rows":[{"file":"rows.jsonl","line":8}]}}"`,
  );
});

describe("prompts for generation", () => {
  const prompts = async (rows: readonly unknown[], options = {}) => {
    const { prompts } = await loadPrompts({ files: jsonl("prompts.jsonl", rows), tokenizer: bytes, ...options });
    return prompts.map(({ prompt }) => bytes.decode(prompt));
  };

  test("are strings or messages, with --chat and --system", async () => {
    const rows = [{ prompt: "Q" }, { prompt: [{ role: "user", content: "R" }] }];
    expect(await prompts(rows)).toEqual(["Q", "<begin>user:R<end>assistant:"]);
    expect(await prompts(rows, { chat: true, system: "S" })).toEqual([
      "<begin>system:S<end>user:Q<end>assistant:",
      "<begin>system:S<end>user:R<end>assistant:",
    ]);
  });

  test("can be the prompts of preference rows", async () => {
    const row = { chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" };
    expect(await prompts([row])).toEqual(["\n\nHuman: a\n\nAssistant:"]);
  });

  test("that are not there stop the load", async () => {
    expect(await refusal(prompts([{ text: "Q" }]))).toMatchInlineSnapshot(
      `"prompts.jsonl line 1: the field \`prompt\` is missing (the row has only text). Mend the row, or skip such rows with --on-bad-row drop."`,
    );
  });
});

describe.skipIf(sharedMissing)("HH's 2,312 rows (need ../shared)", () => {
  test("load with SmolLM2's tokenizer, each of them used", async () => {
    const tokenizer = await smollm2();
    const { examples, ledger } = await loadPreferences({
      files: HH_PAIRS,
      tokenizer,
      maxLength: 512,
      maxPromptLength: 256,
      truncation: "shorten",
    });
    expect(ledger.toJSON()).toMatchObject({ read: 2312, used: 2312, dropped: 0 });
    expect(ledger.toJSON().boundaryMerged).toBeUndefined();
    for (const { prompt, completions } of examples) {
      const longest = Math.max(...completions.map((ids) => ids.length));
      expect(prompt.length + longest).toBeLessThanOrEqual(512);
    }
    const example = examples[0]!;
    expect(tokenizer.decode(example.prompt)).toMatch(/^\n\nHuman: .*\n\nAssistant:$/s);
    expect(tokenizer.decode(example.completions[0]!)).toMatch(/^ .*<\|im_end\|>$/s);
  });

  test("begin with BOS once with stories260K's tokenizer", async () => {
    const tokenizer = stories260K();
    const { examples } = await loadPreferences({
      files: HH_PAIRS,
      tokenizer,
      maxLength: 512,
      maxPromptLength: 256,
      truncation: "shorten",
      limit: 100,
    });
    for (const { prompt, completions } of examples) {
      expect(prompt.filter((id) => id === 1)).toEqual(Int32Array.of(1));
      expect(prompt[0]).toBe(1);
      for (const ids of completions) expect(ids).not.toContain(1);
    }
  });

  test.each(["plain", "chat"] as const)(
    "%s: prompts and completions have the ids that TRL gives them",
    async (kind) => {
      type Entry = { line: number; prompt: unknown; chosen: unknown; rejected: unknown };
      const golden = JSON.parse(readFileSync(new URL("../golden/text/trl.json", import.meta.url), "utf8")) as Record<
        string,
        Entry[]
      >;
      const expected = new Map(golden[kind]!.map((entry) => [entry.line, entry]));
      const summary = (ids: Int32Array) => [ids.length, createHash("sha256").update(ids).digest("hex").slice(0, 16)];
      const tokenizer = await smollm2();
      const found: Entry[] = [];
      for await (const row of readRows(HH_PAIRS)) {
        if (!expected.has(row.origin.line) || !("value" in row)) continue;
        const { prompt, completions } = examplesOf("pairs", row.value)[0]!;
        const text = tokenizeCompletions(tokenizer, prompt, completions, { chat: kind === "chat" });
        const [chosen, rejected] = text.completions.map(summary);
        found.push({ line: row.origin.line, prompt: summary(text.prompt), chosen, rejected });
      }
      expect(found).toEqual([...expected.values()]);
    },
  );
});

test("origins and ids are all that a tokenized example holds", async () => {
  const { examples } = await load([pair("Q", "A", "B")]);
  const [example] = examples as [TokenizedExample];
  expect(Object.keys(example).toSorted()).toEqual(["completions", "origin", "prompt"]);
  expect(example.prompt).toBeInstanceOf(Int32Array);
});
