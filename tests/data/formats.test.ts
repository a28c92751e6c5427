import { execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseRecord, recordSplitter } from "../../src/data/files/csv.ts";
import { DataError } from "../../src/errors.ts";
import { readAll, temporaryFiles } from "./files.ts";

const { folder, refusal, write } = temporaryFiles();
const goldenFolder = new URL("../golden/data/", import.meta.url).pathname;
const golden = (name: string) => JSON.parse(readFileSync(goldenFolder + name, "utf8")) as Record<string, unknown>[];

/** Values of rows, or what is wrong with them. */
async function values(file: string): Promise<unknown[]> {
  return (await readAll(file)).map((row) => ("value" in row ? row.value : row.problem.message));
}

describe("CSV and TSV", () => {
  const texts = golden("pairs.json").map(({ margin, ...row }) => ({ ...row, margin: (margin as number).toString() }));

  test.each(["pairs.csv", "pairs.tsv", "pairs-index-crlf.csv"])("as pandas writes it: %s", async (name) => {
    const found = (await values(goldenFolder + name)) as Record<string, string>[];
    expect(found.map((row) => ({ ...row, margin: String(Number(row.margin)) }))).toEqual(texts);
  });

  test("any cells read back, in chunks of any size", () => {
    const cell = fc.string({ unit: fc.constantFrom("a", "ü", '"', ",", "\t", "\n", "\r", " ", "🙂") });
    const table = fc.array(fc.array(cell, { minLength: 2, maxLength: 4 }), { minLength: 1, maxLength: 5 });
    const layout = fc.record({
      delimiter: fc.constantFrom("," as const, "\t" as const),
      newline: fc.constantFrom("\n", "\r\n"),
      size: fc.integer({ min: 1, max: 9 }),
      lastNewline: fc.boolean(),
    });
    fc.assert(
      fc.property(table, layout, (rows, { delimiter, newline, size, lastNewline }) => {
        const quoted = (text: string) => `"${text.replaceAll('"', '""')}"`;
        const written = (text: string) => (/["\r\n,\t]/.test(text) ? quoted(text) : text);
        const content = rows.map((row) => row.map(written).join(delimiter)).join(newline);
        const bytes = Buffer.from(content + (lastNewline ? newline : ""));
        const splitter = recordSplitter("f", delimiter);
        const found = [];
        for (let at = 0; at < bytes.length; at += size) found.push(...splitter.push(bytes.subarray(at, at + size)));
        found.push(...splitter.finish());
        const decoded = found.map((raw) => parseRecord(Buffer.from(raw.bytes).toString(), delimiter));
        expect(decoded).toEqual(rows);
      }),
      { numRuns: 300 },
    );
  });

  test("a row is of the line on which it begins", async () => {
    const file = write("lines.csv", 'a,b\n1,"x\n\ny"\n\n2,z\n');
    expect((await readAll(file)).map(({ origin }) => origin.line)).toEqual([2, 6]);
  });

  test("a cell of messages is JSON, any other is text", async () => {
    const list = '"[{""role"":""user"",""content"":""Hi""}]"';
    expect(await values(write("cells.csv", `a,b,c\n${list},[1],"[{""x"":1}]"\n`))).toEqual([
      { a: [{ role: "user", content: "Hi" }], b: "[1]", c: '[{"x":1}]' },
    ]);
  });

  test("rows that are not right are named, and the others are read", async () => {
    const content = 'a,b\n1,2\n3\n4,5,6\n7,"x"y\n8,it"s\n9,"open\n10,11\n';
    expect(await values(write("bad.csv", content))).toMatchInlineSnapshot(`
      [
        {
          "a": "1",
          "b": "2",
        },
        "the row has 1 cells for 2 columns (it starts with 3): a cell with the separator or a newline in it stands in quotes",
        "the row has 3 cells for 2 columns (it starts with 4): a cell with the separator or a newline in it stands in quotes",
        "text follows a quote that closes: "x"y; a quote in a quoted cell is written twice",
        {
          "a": "8",
          "b": "it"s",
        },
        "a quote is opened and never closed: "open
      10,11
      ",
      ]
    `);
  });

  test.each(['"', '"a', '"a""', 'a,"', '"a\n"",b'])("a cut-off record ends: %j", async (record) => {
    const [row] = await readAll(write("cut.csv", `a,b\n${record}`));
    expect("problem" in row! && row.problem.message).toMatch(/^a quote is opened and never closed/);
  });

  test("a quote that is never closed ends within the memory that a row may take", () => {
    const splitter = recordSplitter("f.csv", ",");
    splitter.push(Buffer.from('a,b\n1,"'));
    const chunk = Buffer.alloc(2 ** 20, "x\n");
    expect(() => {
      for (let i = 0; i < 65; i++) splitter.push(chunk);
    }).toThrow("f.csv: row 2 is longer than 64 MiB. A quote that is opened on that line is never closed");
  });

  test("columns of one name are refused", async () => {
    expect(await refusal(readAll(write("twice.csv", "a,b,a\n1,2,3\n")))).toMatchInlineSnapshot(
      `"twice.csv has two columns named a. Rename one in its first line."`,
    );
  });
});

describe("Parquet", () => {
  test.each(["none", "snappy", "gzip", "brotli", "zstd", "lz4"])("as pyarrow writes it with %s", async (packing) => {
    expect(await values(`${goldenFolder}pairs-${packing}.parquet`)).toEqual(golden("pairs.json"));
  });

  test.each(["nested.parquet", "nested-v2.parquet"])(
    "lists, structs, nulls and whole numbers in several row groups: %s",
    async (name) => {
      const rows = await readAll(goldenFolder + name);
      expect(rows.map((row) => "value" in row && row.value)).toEqual(golden("nested.json"));
      expect(rows.map(({ origin }) => origin.line)).toEqual([1, 2, 3, 4, 5, 6, 7]);
      expect(rows[0]!.origin.unit).toBe("row");
    },
  );

  test("that is cut off or damaged is refused", async () => {
    const whole = readFileSync(`${goldenFolder}nested.parquet`);
    expect(await refusal(readAll(write("cut.parquet", whole.subarray(0, -100))))).toMatch(
      /^cut.parquet: the Parquet data can't be read \(.*\)\. Get the file again\.$/,
    );
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, flip) => {
        const damaged = Uint8Array.from(whole);
        damaged[at]! ^= flip;
        const file = write("damaged.parquet", damaged);
        await readAll(file).catch((error: unknown) => expect(error).toBeInstanceOf(DataError));
      }),
      { numRuns: 30, seed: 1 },
    );
  });
});

describe("Zstandard", () => {
  test.each(["one-frame", "streamed", "two-frames"])("data: %s", async (name) => {
    expect(await values(`${goldenFolder}${name}.jsonl.zst`)).toEqual(golden("pairs.json"));
  });

  test("after a frame of something else, as pzstd begins", async () => {
    const frame = [0x50, 0x2a, 0x4d, 0x18, 4, 0, 0, 0, 1, 2, 3, 4];
    const data = readFileSync(`${goldenFolder}one-frame.jsonl.zst`);
    expect(await values(write("skipped.zst", Buffer.from([...frame, ...frame, ...data])))).toEqual(
      golden("pairs.json"),
    );
    const wide = Buffer.from([...frame, 0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0]);
    expect(await refusal(readAll(write("skipped-wide.zst", wide)))).toMatch("a window of more than 128 MiB");
  });

  test("that is cut off or damaged is refused", async () => {
    const whole = readFileSync(`${goldenFolder}streamed.jsonl.zst`);
    expect(await refusal(readAll(write("cut.zst", whole.subarray(0, -20))))).toMatch(
      /^cut.zst: the Zstandard data is damaged or cut off \(.*\)\. Get the file again\.$/,
    );
    const wide = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xff, 0, 0, 0]);
    expect(await refusal(readAll(write("wide.zst", wide)))).toMatch("a window of more than 128 MiB");
    const whole128 = Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0x10, 0, 0, 0, 0]);
    expect(await refusal(readAll(write("whole.zst", whole128)))).toMatch("a window of more than 128 MiB");
  });
});

const built = fileURLToPath(new URL("../../dist/data/files/read.js", import.meta.url));

describe.skipIf(!existsSync(built.replace("read.js", "unpack.js")))("standard input, as it is built in dist/", () => {
  const script = `import { readRows } from ${JSON.stringify(built)};
    for await (const row of readRows("-")) console.log(JSON.stringify(row));`;
  const piped = (input: string | Uint8Array): unknown[] => {
    const { stdout, stderr } = spawnSync(process.execPath, ["--input-type=module", "-e", script], { input });
    expect(String(stderr)).toBe("");
    return String(stdout)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown);
  };
  const origin = { file: "standard input", line: 2 };

  test("is JSON or, without a name that says so, separated values; packed or not", () => {
    expect(piped('\n{"a":"1"}')).toEqual([{ origin, value: { a: "1" } }]);
    expect(piped(gzipSync('\n{"a":"1"}'))).toEqual([{ origin, value: { a: "1" } }]);
    expect(piped("a,b\n1,2\n")).toEqual([{ origin, value: { a: "1", b: "2" } }]);
    expect(piped("a\tb,c\n1\t2\n")).toEqual([{ origin, value: { a: "1", "b,c": "2" } }]);
  });
});

test.skipIf(process.platform === "win32")("a pipe is read once, from its beginning", async () => {
  const pipe = join(folder, "pipe");
  execFileSync("mkfifo", [pipe]);
  const writer = spawn("sh", ["-c", 'printf \'{"a":1}\\n{"a":2}\\n\' > "$0"', pipe]);
  expect(await values(pipe)).toEqual([{ a: 1 }, { a: 2 }]);
  writer.kill();
});
