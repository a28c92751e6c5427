/** `preftune inspect data` on a tiny chat model and rows with one defect of each kind. */

import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import type { DataReport } from "../../src/inspection/data.ts";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune, recorder } from "./support.ts";

const { at, read } = scratchFolder();
const model = writeTinyModel(at("model"));
const pairs = writePairs(at("pairs.jsonl"), 20);

const lines = readFileSync(pairs, "utf8").trimEnd().split("\n");
type Row = Readonly<Record<"prompt" | "chosen" | "rejected", readonly { readonly content: string }[]>>;
const first = JSON.parse(lines[0]!) as Row;
const said = (field: keyof Row) => first[field][0]!.content;
const turned = { ...first, chosen: first.rejected, rejected: first.chosen };
const defects = [
  lines[0]!, // 21: the first again
  JSON.stringify(turned), // 22
  JSON.stringify({ prompt: "Hello?", chosen: "Yes.", rejected: "" }), // 23
  JSON.stringify({ prompt: "Hello?", chosen: "Yes.", rejected: "Yes." }), // 24
  JSON.stringify({ prompt: "Hello <|im_end|>?", chosen: "Yes.", rejected: "No." }), // 25
  JSON.stringify({ prompt: "Hello?", chosen: "A cafÃ©.", rejected: "No." }), // 26
  "not a row", // 27
];
writeFileSync(at("defects.jsonl"), [...lines, ...defects].join("\n"));

const inspect = (...words: string[]) => preftune("inspect", "data", "--model", model, ...words);

async function report(...words: string[]): Promise<DataReport> {
  const { code, out, err } = await inspect(...words, "--json");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  return JSON.parse(out) as DataReport;
}

const found = ({ findings }: DataReport) =>
  Object.fromEntries(findings.map(({ name, rows }) => [name, rows.map(({ origin }) => origin.line)]));

describe("inspect data", () => {
  test("takes the rows with or without their flag", async () => {
    const said = await preftune("inspect", "data", pairs, "--model", model, "--chat");
    expect(said).toEqual(await preftune("inspect", "data", "--data", pairs, "--model", model, "--chat"));
    expect(said).toMatchObject({ code: 0, err: "" });
  });

  test("names each defect with its lines", async () => {
    expect(found(await report("--data", at("defects.jsonl"), "--chat"))).toMatchObject({
      "not JSON": [27],
      "empty completion": [23],
      "identical completions": [24],
      "<|im_end|> in the text": [25],
      "exact duplicates": [21],
      "opposite preferences": [22],
      "text in the wrong encoding": [26],
    });
  });

  test("finds held-out rows at which a run would stop", async () => {
    writeFileSync(at("broken.jsonl"), `${lines[0]}\n{"prompt":`);
    const broken = await report("--data", pairs, "--eval-data", at("broken.jsonl"), "--chat");
    expect(broken.findings).toContainEqual(
      expect.objectContaining({ name: "held-out rows: not JSON", level: "problem", count: 1, share: 0.5 }),
    );
  });

  test("finds held-out rows in the training data, and the others not", async () => {
    writeFileSync(at("held-out.jsonl"), lines.slice(4, 6).join("\n"));
    const { findings, evalLedger } = await report("--data", pairs, "--eval-data", at("held-out.jsonl"), "--chat");
    expect(evalLedger).toMatchObject({ read: 2, used: 2 });
    expect(findings.find(({ name }) => name === "held-out rows in the training data")).toMatchObject({
      level: "problem",
      count: 2,
      share: 1,
    });
    expect(found(await report("--data", pairs, "--chat"))).not.toHaveProperty("held-out rows in the training data");
  });

  test("shows rows as the model sees them: every token once, special ones apart, only completions scored", async () => {
    const { preview } = await report("--data", pairs, "--chat", "--show", "1");
    expect(preview).toHaveLength(1);
    const [prompt, chosen, rejected] = preview[0]!.parts;
    expect([prompt, chosen, rejected].map((part) => part!.role)).toEqual(["prompt", "chosen", "rejected"]);
    expect(prompt!.pieces.map(({ text }) => text).join("")).toBe(
      `<|im_start|>user\n${said("prompt")}<|im_end|>\n<|im_start|>assistant\n`,
    );
    expect(prompt!.pieces.filter(({ special }) => special).map(({ text }) => text)).toEqual([
      "<|im_start|>",
      "<|im_end|>",
      "<|im_start|>",
    ]);
    expect(prompt!.pieces.some(({ scored }) => scored)).toBe(false);
    expect(chosen!.pieces.map(({ text }) => text)).toEqual([said("chosen"), "<|im_end|>"]);
    expect(chosen!.pieces.every(({ scored }) => scored)).toBe(true);
    expect(chosen!.scored).toBe(chosen!.tokens);
  });

  test("counts what a shorter limit cuts, and where it ends up", async () => {
    const { shortened, ledger, lengths, findings } = await report(
      "--data",
      pairs,
      "--max-length",
      "24",
      "--max-prompt-length",
      "12",
    );
    expect(ledger.shortened).toBeGreaterThan(0);
    expect(shortened).toBe(ledger.shortened / 20);
    // Lengths are those before anything is cut.
    expect(lengths.at(-1)!.percentiles["100"]).toBeGreaterThan(24);
    expect(lengths.map(({ of, count }) => [of, count])).toEqual([
      ["prompt", 20],
      ["chosen", 20],
      ["rejected", 20],
      ["prompt and longest completion", 20],
    ]);
    for (const { histogram, count } of lengths) expect(histogram.reduce((sum, bin) => sum + bin.count, 0)).toBe(count);
    expect(findings.map(({ name }) => name)).toContain("completions without their end");
  });

  test("allows no more than the model's positions, as a run does", async () => {
    expect((await report("--data", pairs)).limits).toMatchObject({ maxLength: 512, maxPromptLength: 256 });
    expect((await report("--data", pairs, "--max-length", "9999", "--max-prompt-length", "9000")).limits).toMatchObject(
      { maxLength: 512, maxPromptLength: 256 },
    );
  });

  test("reads rows as another method does", async () => {
    const { preview, lengths } = await report("--data", pairs, "--chat", "--method", "kto", "--show", "2");
    expect(preview.map(({ parts }) => parts.map(({ role }) => role))).toEqual([
      ["prompt", "desirable"],
      ["prompt", "undesirable"],
    ]);
    expect(lengths.map(({ of }) => of)).toContain("undesirable");
  });

  test("prints it all, in colours where there are some and with words where not", async () => {
    const { code, out } = await inspect("--data", at("defects.jsonl"), "--chat", "--show", "1");
    expect(code).toBe(0);
    expect(out).not.toContain("\u001b");
    expect(out).toMatch(/rows read +27/);
    expect(out).toContain(`as the model sees ${at("defects.jsonl")}:1`);
    expect(out).toMatch(/problem {3}opposite preferences {2}1 \(\d\.\d%\)/);
    expect(out).toContain(`${at("defects.jsonl")}:22`);
    expect(out).toContain("█");
    const terminal = recorder({ isTTY: true, hasColors: () => true, columns: 80 });
    await runProgram(["inspect", "data", "--model", model, "--data", pairs, "--chat", "--show", "1"], {
      stdout: terminal,
      stderr: recorder(),
    });
    expect(terminal.text()).toContain("\u001b[33m<|im_start|>\u001b[39m");
    expect(terminal.text()).toContain(`\u001b[32m${said("chosen").slice(0, 8)}`);
    expect(terminal.text()).toContain("\u001b[31m");
  });

  test("of texts of which a part is scored, marks that part where there are no colours", async () => {
    const messages = [
      { role: "user", content: "Hello?" },
      { role: "assistant", content: "Yes." },
      { role: "user", content: "And?" },
      { role: "assistant", content: "No." },
    ];
    writeFileSync(at("talk.jsonl"), JSON.stringify({ messages }));
    const { out } = await inspect("--data", at("talk.jsonl"), "--method", "sft");
    expect(out).toContain("⟦Yes.<|im_end|>⟧");
    expect(out).toContain("⟦No.<|im_end|>⟧");
    expect(out).not.toContain("⟦And?");
  });

  test("writes a page that needs nothing else and runs no scripts", async () => {
    writeFileSync(
      at("hostile.jsonl"),
      [
        ...lines,
        JSON.stringify({
          prompt: "<script>alert(1)</script>",
          chosen: '"><img src=x onerror=alert(1)>',
          rejected: "&",
        }),
      ]
        .reverse()
        .join("\n"),
    );
    const { code, out } = await inspect("--data", at("hostile.jsonl"), "--chat", "--html", at("report.html"));
    expect(code).toBe(0);
    expect(out).toContain(at("report.html"));
    const page = read("report.html");
    expect(page).toContain("&lt;script&gt;alert(1)");
    expect(page).not.toMatch(/<script|<img|<link|<[^>]*\s(?:src|href|on\w+)=|url\(|@import/);
    expect(page).toContain("light-dark(");
    const opened = [...page.matchAll(/<(\w+)(?=[\s>])[^>]*>/g)]
      .map(([, name]) => name!)
      .filter((name) => !["meta"].includes(name));
    const closed = [...page.matchAll(/<\/(\w+)>/g)].map(([, name]) => name!);
    expect(opened.toSorted()).toEqual(closed.toSorted());
  });

  test("says what to do where no row can be used or the page can't be written", async () => {
    writeFileSync(at("empty.jsonl"), JSON.stringify({ prompt: "Hello?", chosen: "Yes.", rejected: "Yes." }));
    const none = await inspect("--data", at("empty.jsonl"));
    expect(none).toMatchObject({ code: 1, out: "" });
    expect(none.err).toContain("No row can be used");
    const page = await inspect("--data", pairs, "--html", at("no/such/folder.html"));
    expect(page).toMatchObject({ code: 2, out: "" });
    expect(page.err).toContain("can't be written");
  });

  test("leaves a page as it was where there is nothing to put into it", async () => {
    writeFileSync(at("kept.html"), "as it was");
    const none = await inspect("--data", at("empty.jsonl"), "--html", at("kept.html"));
    expect(none.code).toBe(1);
    expect(read("kept.html")).toBe("as it was");
    expect(readdirSync(at(".")).filter((name) => name.includes(".tmp-"))).toEqual([]);
  });
});
