/** Rows that repeat or contradict others, or that training sees too, and are left out where that is asked for. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Needs } from "../../src/data/derive.ts";
import { loadExamples, type PreferenceOptions } from "../../src/data/load.ts";
import { refuseDropWithoutUse } from "../../src/data/repeats.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { byteFiles } from "../text/tokenizers.ts";
import { temporaryFiles } from "./files.ts";

const { write } = temporaryFiles();
const chatTemplate =
  "{% for m in messages %}{{ m.role ~ ':' ~ m.content ~ eos_token }}{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";
const tokenizer = tokenizerFromFiles(byteFiles({ chatTemplate }));
const jsonl = (name: string, rows: readonly object[]) =>
  write(name, rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
const pair = (prompt: string, chosen: string, rejected: string) => ({ prompt, chosen, rejected });

const load = (files: string | string[], options: Partial<PreferenceOptions>, needs: Needs = { rows: "pairs" }) =>
  loadExamples(needs, {
    files,
    tokenizer,
    maxLength: 64,
    maxPromptLength: 32,
    truncation: "shorten",
    shuffle: false,
    ...options,
  });
const lines = ({ examples }: Awaited<ReturnType<typeof load>>) => examples.map(({ origin }) => origin.line);

describe("duplicates", () => {
  const file = jsonl("duplicates.jsonl", [
    pair("Q", "A", "B"),
    pair("Q", "A", "B"),
    pair("Q", "A ", "B"),
    pair("Q", "B", "A"),
    pair("Q", "A", "B"),
  ]);

  test("all but the first are dropped, and the ledger names them", async () => {
    const loaded = await load(file, { drop: ["duplicates"] });
    expect(lines(loaded)).toEqual([1, 3, 4]);
    const { droppedBy, ...counts } = loaded.ledger.toJSON();
    expect(counts).toMatchObject({ read: 5, used: 3, dropped: 2 });
    expect(droppedBy).toMatchObject({ duplicate: { count: 2, example: expect.stringMatching(/^the same as .*1$/) } });
    expect(droppedBy.duplicate!.rows.map(({ line }) => line)).toEqual([2, 5]);
  });

  test("stay without it", async () => {
    expect(lines(await load(file, {}))).toEqual([1, 2, 3, 4, 5]);
  });

  test("are no bad rows, at which a load stops", async () => {
    expect(lines(await load(file, { drop: ["duplicates"], onBadRow: "error" }))).toEqual([1, 3, 4]);
  });

  test("do not count for the limit", async () => {
    expect(lines(await load(file, { drop: ["duplicates"], limit: 2 }))).toEqual([1, 3]);
  });

  test("are found across files", async () => {
    const other = jsonl("other.jsonl", [pair("Q", "B", "A"), pair("R", "A", "B")]);
    const loaded = await load([file, other], { drop: ["duplicates"] });
    expect(lines(loaded)).toEqual([1, 3, 4, 2]);
    expect(loaded.ledger.toJSON().sources!.map(({ used, dropped }) => [used, dropped])).toEqual([
      [3, 2],
      [1, 1],
    ]);
  });

  test("of messages differ by who speaks", async () => {
    const said = (role: string) => ({
      ...pair("Q", "A", "B"),
      prompt: [{ role, content: "Q" }],
      chosen: [{ role: "assistant", content: "A" }],
      rejected: [{ role: "assistant", content: "B" }],
    });
    const rows = jsonl("roles.jsonl", [said("user"), said("system"), said("user")]);
    expect(lines(await load(rows, { drop: ["duplicates"] }))).toEqual([1, 2]);
  });

  test("whatever the rows, the first of each is what stays", async () => {
    const letter = fc.constantFrom("A", "B", "C");
    const row = fc.tuple(letter, letter, letter).filter(([, chosen, rejected]) => chosen !== rejected);
    await fc.assert(
      fc.asyncProperty(fc.array(row, { minLength: 1, maxLength: 20 }), async (rows) => {
        const texts = rows.map((each) => each.join());
        const first = texts.flatMap((text, i) => (texts.indexOf(text) === i ? [i + 1] : []));
        const any = jsonl(
          "any.jsonl",
          rows.map((each) => pair(...each)),
        );
        expect(lines(await load(any, { drop: ["duplicates"] }))).toEqual(first);
      }),
      { numRuns: 30 },
    );
  });
});

describe("opposites", () => {
  const file = jsonl("opposites.jsonl", [
    pair("Q", "A", "B"),
    pair("Q", "A", "C"),
    pair("Q ", "B", "A\n"),
    pair("R", "B", "A"),
    pair("Q", "A", "B"),
  ]);

  test("none of those that contradict each other stays, whichever came first", async () => {
    const loaded = await load(file, { drop: ["opposites"] });
    expect(lines(loaded)).toEqual([2, 4]);
    expect(loaded.ledger.toJSON().droppedBy).toMatchObject({ "opposite preference": { count: 3 } });
  });

  test("are answers too that are labelled desirable and not", async () => {
    const labelled = [
      ["Q", "A", true],
      ["Q", "A", false],
      ["Q", "B", true],
      ["R", "A", false],
    ].map(([prompt, completion, label]) => ({ prompt, completion, label }));
    const rows = jsonl("labelled.jsonl", labelled);
    expect(lines(await load(rows, { drop: ["opposites"] }, { rows: "labelled" }))).toEqual([3, 4]);
  });

  test("can't be known of what is read once", async () => {
    await expect(load("-", { drop: ["opposites"] })).rejects.toThrow(
      "--drop opposites reads all rows before it knows which to leave out, and standard input can be read once. Write its rows into a file, and give that.",
    );
  });
});

describe("leaks", () => {
  const trained = jsonl("trained.jsonl", [pair("Is it?", "It  is.", "No."), pair("Why?", "So.", "Because.")]);
  const heldOut = jsonl("held-out.jsonl", [
    pair("is it?", "No.", "It is."),
    pair("Is it?", "It is.", "Perhaps."),
    pair("Why?", "So.", "Because."),
  ]);

  test("held-out rows that are trained on are left out of the evaluation", async () => {
    const { known } = await load(trained, { drop: ["leaks"] });
    const held = await load(heldOut, { drop: ["leaks"], trainedOn: known });
    expect(lines(held)).toEqual([2]);
    expect(held.ledger.toJSON().droppedBy["trained on"]).toMatchObject({ count: 2 });
  });

  test("need rows that they leak into", () => {
    expect(() => refuseDropWithoutUse(["leaks"], undefined)).toThrow("--drop leaks leaves rows out of --eval-data");
    refuseDropWithoutUse(["leaks"], ["held-out.jsonl"]);
    refuseDropWithoutUse(["duplicates"], undefined);
  });

  test("stay without it", async () => {
    const { known } = await load(trained, {});
    expect(lines(await load(heldOut, { trainedOn: known }))).toEqual([1, 2, 3]);
  });
});
