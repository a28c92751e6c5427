import { existsSync, readdirSync, readlinkSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { Needs } from "../../src/data/derive.ts";
import { loadExamples, loadPrompts, type PreferenceOptions, visitExamples } from "../../src/data/load.ts";
import type { GivenSource } from "../../src/data/source-settings.ts";
import { ConfigError } from "../../src/errors.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { HH_PAIRS, POLITE, sharedMissing } from "../support/shared.ts";
import { byteFiles } from "../text/tokenizers.ts";
import { temporaryFiles, withoutFolder } from "./files.ts";

const { folder, refusal, write } = temporaryFiles();
const chatTemplate =
  "{% if tools %}{{ tools | tojson }}{% endif %}{% for m in messages %}{{ m.role ~ ':' ~ m.content ~ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const tokenizer = tokenizerFromFiles(byteFiles({ chatTemplate }));
const golden = (name: string) => new URL(`../golden/data/${name}`, import.meta.url).pathname;

const pairs = (letters: string) => [...letters].map((letter) => ({ prompt: letter, chosen: "A", rejected: "B" }));
const jsonl = (name: string, rows: readonly unknown[]) =>
  write(name, rows.map((row) => (typeof row === "string" ? row : JSON.stringify(row))).join("\n"));

function load(files: readonly GivenSource[], options: Partial<PreferenceOptions> = {}, rows: Needs["rows"] = "pairs") {
  const limits = { maxLength: 400, maxPromptLength: 200, truncation: "shorten" as const };
  return loadExamples({ rows }, { files, tokenizer, ...limits, ...options });
}

const promptsOf = ({ examples }: Awaited<ReturnType<typeof load>>) =>
  examples.map(({ prompt }) => tokenizer.decode(prompt)).join("");

describe("the shape of a file", () => {
  test("is told from its first rows, and may be another in the next file", async () => {
    const files = [
      jsonl("hh.jsonl", [{ chosen: "\n\nHuman: a\n\nAssistant: b", rejected: "\n\nHuman: a\n\nAssistant: c" }]),
      jsonl("ranked.jsonl", [{ prompt: "Q", ranked: ["A", "B"] }]),
      golden("pairs.csv"),
    ];
    const { examples, ledger } = await load(files);
    expect(examples.map(({ source }) => source)).toEqual(["hh", "ranked", "pairs", "pairs"]);
    expect(ledger.toJSON()).toMatchObject({
      shape: "hh, ranked, preference",
      sources: [{ shape: "hh" }, { shape: "ranked" }, { shape: "preference", read: 3, used: 2, dropped: 1 }],
    });
  });

  test("is that of most of the first rows: a row that is not right does not decide", async () => {
    const file = jsonl("first.jsonl", [{ prompt: "Q" }, ...pairs("RS")]);
    const { examples, ledger } = await load([file], { onBadRow: "drop" });
    expect(examples).toHaveLength(2);
    expect(ledger.toJSON()).toMatchObject({ shape: "preference", dropped: 1 });
  });

  test("is one for all of its rows", async () => {
    const file = jsonl("mixed.jsonl", [...pairs("QR"), { prompt: "Q", completion: "A", label: true }]);
    expect(await refusal(load([file]))).toMatchInlineSnapshot(
      `"mixed.jsonl line 3: the row has the shape kto (prompt, completion, label; or messages, label), and the first rows of the file have preference (prompt, chosen, rejected; or chosen and rejected as conversations that share their first turns); a file has rows of one shape: make it two files. Mend the row, or skip such rows with --on-bad-row drop."`,
    );
  });

  test("can be forced", async () => {
    const row = { ...pairs("Q")[0], completion: "C", label: false };
    const file = jsonl("both.jsonl", [row]);
    const completionsOf = async (format?: string) => {
      const { examples } = await load([file], { format }, "labelled");
      return examples.map(({ completions }) => tokenizer.decode(completions[0]!));
    };
    expect(await completionsOf()).toEqual(["C<end>"]);
    expect(await completionsOf("preference")).toEqual(["A<end>", "B<end>"]);
    expect(await refusal(load([file], { format: "openai" }))).toMatchInlineSnapshot(
      `"both.jsonl line 1: the row has the shape kto (prompt, completion, label; or messages, label), and --format is openai. Mend the row, or skip such rows with --on-bad-row drop."`,
    );
    expect(await refusal(load([file], { format: "opneai" }), ConfigError)).toMatch(
      "--format opneai is no shape of rows",
    );
  });

  test("that a method does not learn from is refused in words", async () => {
    const file = jsonl("texts.jsonl", [{ text: "Once" }]);
    expect(await refusal(load([file]))).toMatchInlineSnapshot(
      `"texts.jsonl line 1: the row holds a text, and what is learned from here are completions that were compared; preftune sft learns from such rows. Mend the row, or skip such rows with --on-bad-row drop."`,
    );
  });
});

test("columns have other names in CSV, and numbers are text", async () => {
  const file = write("named.csv", "question,good,bad,system\nQ,A,B,S\n");
  const columns = ["prompt=question", "chosen=good", "rejected=bad"];
  const { examples } = await load([file], { columns, chat: true });
  expect(tokenizer.decode(examples[0]!.prompt)).toBe("system:S<end>user:Q<end>assistant:");
  expect(await refusal(load([file], { columns: ["prompt=query"] }))).toMatchInlineSnapshot(
    `"named.csv line 2: the column \`query\` of --columns is missing (the row has only question, good, bad, system). Mend the row, or skip such rows with --on-bad-row drop."`,
  );
});

describe("all pairs of a ranking", () => {
  test("are used together, though they have completions in common", async () => {
    const file = jsonl("ranked.jsonl", [{ prompt: "Q", completions: ["A", "B", "C"], scores: [1, 3, 2] }]);
    const { examples, ledger } = await load([file], { pairs: "all" });
    expect(examples.map(({ completions }) => completions.map((ids) => tokenizer.decode(ids)).join(" "))).toEqual([
      "B<end> C<end>",
      "B<end> A<end>",
      "C<end> A<end>",
    ]);
    expect(ledger.toJSON()).toMatchObject({ read: 1, used: 1 });
  });
});

test("tools of a row are told to the template, of prompts alone too", async () => {
  const row = { prompt: [{ role: "user", content: "Q" }], chosen: "A", rejected: "B", tools: '[{"name":"f"}]' };
  const file = jsonl("tools.jsonl", [row]);
  const expected = '[{"type": "function", "function": {"name": "f"}}]user:Q<end>assistant:';
  expect(promptsOf(await load([file]))).toBe(expected);
  const { prompts } = await loadPrompts({ files: file, tokenizer });
  expect(tokenizer.decode(prompts[0]!.prompt)).toBe(expected);
});

test("of completions of several turns the last may be scored alone", async () => {
  const say = (...contents: string[]) =>
    contents.map((content, i) => ({ role: i % 2 === 0 ? "user" : "assistant", content }));
  const file = jsonl("turns.jsonl", [{ chosen: say("a", "b", "c", "d"), rejected: say("a", "x", "c", "y") }]);
  const scoredIn = async (score: "last" | "all") => {
    const { examples } = await load([file], { score });
    const { completions, scored } = examples[0]!;
    return completions.map((ids, i) => tokenizer.decode(ids.filter((_, at) => scored![i]![at] === 1)));
  };
  expect(await scoredIn("all")).toEqual(["b<end>d<end>", "x<end>y<end>"]);
  expect(await scoredIn("last")).toEqual(["d<end>", "y<end>"]);
});

describe("a mixture", () => {
  const a = jsonl("a.jsonl", pairs("abcd"));
  const b = jsonl("b.jsonl", pairs("xy"));
  const given = [`${a}:1`, `${b}:1`];

  test("has its sources' rows by their weights, and the ledger tells of each", async () => {
    const loaded = await load(given, { shuffle: false });
    expect(promptsOf(loaded)).toBe("axbycxdy");
    expect(loaded.ledger.toJSON()).toMatchObject({
      read: 6,
      used: 6,
      sources: [
        { name: "a", weight: 1, used: 4, mixed: 4 },
        { name: "b", weight: 1, used: 2, mixed: 4 },
      ],
    });
    expect(withoutFolder(String(loaded.ledger), folder)).toMatchInlineSnapshot(`
      "rows read                         6  a.jsonl, b.jsonl
          of a                          4  used, 4 of the mixture; preference
          of b                          2  used, 4 of the mixture; preference
        used                            6
        dropped                         0"
    `);
  });

  test("is decided by the seed", async () => {
    const order = async (seed: number) => promptsOf(await load(given, { seed }));
    expect(await order(1)).toBe(await order(1));
    expect([...(await order(1))].toSorted().join("")).toBe("abcdxxyy");
    expect(new Set(await Promise.all([1, 2, 3, 4].map(order))).size).toBeGreaterThan(1);
  });

  test("may leave rows out", async () => {
    expect(promptsOf(await load(given, { shuffle: false, mixture: "once" }))).toBe("axby");
  });

  test("reads no more rows than a limit needs", async () => {
    const long = jsonl("long.jsonl", [...pairs("efgh"), "not JSON"]);
    const { examples, ledger } = await load([`${long}:1`, `${b}:1`], { shuffle: false, limit: 4 });
    expect(examples).toHaveLength(4);
    expect(ledger.read).toBe(4);
  });

  test("needs a row of every source", async () => {
    const none = jsonl("none.jsonl", [{ prompt: "Q", chosen: "A", rejected: "A" }]);
    expect(await refusal(load([`${a}:1`, `${none}:1`]))).toMatch(/^No row of none can be used\./);
  });
});

test.skipIf(!existsSync("/proc/self/fd"))("a file of which there are enough rows is let go of", async () => {
  const open = () =>
    readdirSync("/proc/self/fd").filter((name) => {
      const path = `/proc/self/fd/${name}`;
      return existsSync(path) && readlinkSync(path).endsWith("large.jsonl");
    });
  const rows = pairs("Q".repeat(20_000));
  const { examples } = await load([jsonl("large.jsonl", rows)], { limit: 20 });
  expect(examples).toHaveLength(20);
  await expect.poll(open).toEqual([]);
});

test("examples can be visited with what was cut of them", async () => {
  const rows = [{ prompt: "Q", chosen: "0123456789", rejected: "B" }, ...pairs("R")];
  const options = {
    files: jsonl("visit.jsonl", rows),
    tokenizer,
    maxLength: 6,
    maxPromptLength: 2,
    truncation: "shorten",
  };
  const seen: unknown[] = [];
  const { ledger } = await visitExamples(
    { rows: "pairs" },
    options as PreferenceOptions,
    ({ example, text, tokenized, cut }) => {
      seen.push([example.completions[0], text.completions[0]!.length, tokenized.completions[0]!.length, cut]);
    },
  );
  expect(seen).toEqual([
    ["0123456789", 11, 5, ["completion too long"]],
    ["A", 2, 2, []],
  ]);
  expect(ledger.toJSON()).toMatchObject({ read: 2, used: 2, shortened: 1 });
});

test("calls of tools that the template has no words for are told of, and refused where they are all", async () => {
  const calls = [{ type: "function", function: { name: "now", arguments: "{}" } }];
  const row = (content: string) => ({
    prompt: [{ role: "user", content: "Q" }],
    chosen: [{ role: "assistant", content, tool_calls: calls }],
    rejected: [{ role: "assistant", content: "B" }],
  });
  // The template of these tests writes roles and ends, which makes no completion empty.
  const bare = "{% for m in messages %}{{ m.content ~ eos_token }}{% endfor %}";
  const { ledger } = await load([jsonl("calls.jsonl", [row("A"), row("")])], {
    tokenizer: tokenizerFromFiles(byteFiles({ chatTemplate: bare })),
  });
  expect(ledger.toJSON()).toMatchObject({
    used: 1,
    unwrittenTools: { count: 1, example: "the chat template writes no tool calls" },
    droppedBy: {
      "refused by the chat template": {
        example: "the chat template writes no tool calls, and a completion is nothing else",
      },
    },
  });
  expect(String(ledger)).toMatch(/tools not written +1 +line 1/);
});

test("a value that is nested without end is one row's problem", async () => {
  const deep = `{"prompt":"Q","chosen":"A","rejected":"B","tools":${"[".repeat(200_000)}${"]".repeat(200_000)}}`;
  const nested = `{"prompt":"Q","chosen":"A","rejected":"B","tools":[{"a":${'{"a":'.repeat(100_000)}1${"}".repeat(100_000)}}]}`;
  const file = jsonl("deep.jsonl", [...pairs("Q"), deep, nested]);
  const { examples, ledger } = await load([file], { onBadRow: "drop" });
  expect(examples).toHaveLength(1);
  expect(ledger.toJSON()).toMatchObject({ dropped: 2 });
});

describe.skipIf(sharedMissing)("the real files (need ../shared)", () => {
  test("polite-instructions is Alpaca's, HH is raw text", async () => {
    const { ledger } = await load([POLITE, HH_PAIRS], { maxLength: 2000, maxPromptLength: 1500, limit: 1200 });
    expect(ledger.toJSON()).toMatchObject({
      shape: "alpaca, hh",
      sources: [{ name: "polite-instructions", read: 1100 }, { name: "hh-rlhf-harmless-base-test" }],
    });
    expect(ledger.toJSON().sources![0]!.used).toBeGreaterThan(1050);
  });
});
