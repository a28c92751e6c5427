/** Rows that repeat or contradict others, or that training sees too, and are left out where that is asked for. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Needs } from "../../src/data/derive.ts";
import { refuseDropWithoutUse } from "../../src/data/drop.ts";
import { loadExamples, type PreferenceOptions } from "../../src/data/load.ts";
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

describe("near duplicates", () => {
  const LONG = Array.from({ length: 40 }, (_, i) => `word${i}`).join(" ");
  const near = (prompt: string, chosen = LONG, rejected = "No idea.") => pair(prompt, chosen, rejected);
  const drop = ["near-duplicates"] as const;
  const file = jsonl("near.jsonl", [
    near("What does it do?"),
    near("What does it do?", LONG.replace("word20", "other")),
    near("What does it do?"),
    near("What does it do?", "Nobody has ever seen it do anything but sit there and look at the dogs."),
    near("What does it do?", "No idea.", LONG),
    near("what does it do ?", `${LONG}.`, "no idea. "),
  ]);

  test("the first of each kind stays, as do other answers and those preferred the other way round", async () => {
    const loaded = await load(file, { drop, maxLength: 1000 });
    expect(lines(loaded)).toEqual([1, 4, 5]);
    expect(loaded.ledger.toJSON().droppedBy).toEqual({
      "near duplicate": {
        count: 2,
        rows: [expect.objectContaining({ line: 2 }), expect.objectContaining({ line: 6 })],
        example: expect.stringMatching(/^about \d\d % of .*near\.jsonl line 1$/),
      },
      duplicate: expect.objectContaining({ count: 1, rows: [expect.objectContaining({ line: 3 })] }),
    });
  });

  test("of a row that can't be used stay", async () => {
    const rows = jsonl("too-long.jsonl", [
      near("What does it do?", `${LONG} ${"z".repeat(40)}`),
      near("What does it do?"),
    ]);
    const limits = { maxLength: 300, maxPromptLength: 70, truncation: "drop" } as const;
    expect(lines(await load(rows, { drop, ...limits }))).toEqual([2]);
  });

  test("of labelled answers are of one label", async () => {
    const labelled = [true, false, true].map((label, i) => ({
      prompt: "What?",
      completion: LONG + "!".repeat(i),
      label,
    }));
    const rows = jsonl("near-labelled.jsonl", labelled);
    expect(lines(await load(rows, { drop, maxLength: 1000 }, { rows: "labelled" }))).toEqual([1, 2]);
  });
});

describe("garbled text", () => {
  const file = jsonl("garbled.jsonl", [
    pair("Où?", "Là, “très” près… Ã, Â, “AÔ.", "Ã la carte"),
    pair("Q", "It\ufffds here.", "B"),
    pair("Q", "A", "cafÃ© au lait"),
    pair("donâ€™t", "A", "B"),
    pair("Q", "A \ud83d", "B"),
    pair("Q", "A \ud83d\ude00", "B"),
  ]);

  test("is left out, lost or in the wrong encoding, and the ledger shows the first", async () => {
    const loaded = await load(file, { drop: ["garbled"] });
    expect(lines(loaded)).toEqual([1, 6]);
    expect(loaded.ledger.toJSON().droppedBy).toEqual({
      "garbled text": expect.objectContaining({ count: 4, example: 'characters were lost in "It\ufffds here."' }),
    });
  });

  test("stays without it", async () => {
    expect(lines(await load(file, {}))).toEqual([1, 2, 3, 4, 5, 6]);
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
