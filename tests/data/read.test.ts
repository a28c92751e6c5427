import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readRows } from "../../src/data/files/read.ts";
import { arraySplitter, lineSplitter, type Splitter } from "../../src/data/files/split.ts";
import { readAll, temporaryFiles } from "./files.ts";

const { folder, refusal, write } = temporaryFiles();

async function values(name: string, content: string | Uint8Array): Promise<unknown[]> {
  return (await readAll(write(name, content))).map((row) =>
    "value" in row ? row.value : reasonOf(row.problem.message),
  );
}

/** Without the JavaScript engine's own words, which differ between versions. */
function reasonOf(message: string): string {
  return message.replace(/^not JSON: .* JSON.* \((it .*)\)$/, "not JSON: ... ($1)");
}

const preference = fc.dictionary(fc.string({ unit: "grapheme" }), fc.jsonValue({ stringUnit: "grapheme" }));
const rows = fc.array(preference, { minLength: 1, maxLength: 8 });

describe("one set of rows reads the same", () => {
  test("as JSON lines, as a JSON array, gzipped or not, with any white space between", async () => {
    const layout = fc.record({
      newline: fc.constantFrom("\n", "\r\n", "\n\n", "\n \t\n"),
      mark: fc.constantFrom("", "\ufeff"),
      indent: fc.constantFrom(0, 2, "\t"),
      lastNewline: fc.boolean(),
    });
    await fc.assert(
      fc.asyncProperty(rows, layout, async (data, { newline, mark, indent, lastNewline }) => {
        const expected = data.map((value) => JSON.parse(JSON.stringify(value)) as unknown);
        const lines = mark + data.map((value) => JSON.stringify(value)).join(newline) + (lastNewline ? newline : "");
        const array = `${mark}${lastNewline ? "\n " : ""}${JSON.stringify(data, null, indent)}${lastNewline ? "\n" : ""}`;
        for (const content of [lines, array]) {
          expect(await values("rows", content)).toEqual(expected);
          expect(await values("rows", gzipSync(content))).toEqual(expected);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("whatever the chunks in which the bytes arrive", () => {
    const cuts = fc.array(fc.nat(30), { minLength: 1 });
    const texts = (splitter: Splitter, content: string, sizes: readonly number[]) => {
      const bytes = Buffer.from(content);
      const found = [];
      for (let at = 0, i = 0; at < bytes.length; i++) {
        const size = 1 + sizes[i % sizes.length]!;
        found.push(...splitter.push(bytes.subarray(at, at + size)));
        at += size;
      }
      found.push(...splitter.finish());
      return found.map(({ number, bytes }) => [number, JSON.parse(Buffer.from(bytes).toString())]);
    };
    fc.assert(
      fc.property(rows, cuts, (data, sizes) => {
        const expected = data.map((value, i) => [i + 1, JSON.parse(JSON.stringify(value))]);
        expect(texts(lineSplitter("f"), data.map((value) => JSON.stringify(value)).join("\n"), sizes)).toEqual(
          expected,
        );
        expect(texts(arraySplitter("f"), JSON.stringify(data, null, 1), sizes)).toEqual(expected);
      }),
    );
  });

  test("a gzip file of several members is one file", async () => {
    const content = Buffer.concat([gzipSync('{"a":1}\n'), gzipSync('{"a":2}\n')]);
    expect(await values("members.gz", content)).toEqual([{ a: 1 }, { a: 2 }]);
  });
});

describe("a row knows where it came from", () => {
  test("lines count blank lines", async () => {
    const file = write("lines.jsonl", '\n{"a":1}\r\n\r\n  \n{"a":2}');
    expect((await readAll(file)).map(({ origin }) => origin)).toEqual([
      { file, line: 2 },
      { file, line: 5 },
    ]);
  });

  test("elements of an array are counted", async () => {
    const file = write("array.json", '[{"a":1},\n\n{"a":2}]');
    expect((await readAll(file)).map(({ origin }) => origin)).toEqual([
      { file, line: 1, unit: "element" },
      { file, line: 2, unit: "element" },
    ]);
  });
});

describe("a row that is not JSON is named and the others are read", () => {
  test("in JSON lines", async () => {
    const long = `{"prompt": "${"x".repeat(200)}`;
    expect(await values("bad.jsonl", `{"a":1}\n{'a':2}\n${long}\n{"a":3} {"a":4}\n{"a":5}`)).toMatchInlineSnapshot(`
      [
        {
          "a": 1,
        },
        "not JSON: ... (it starts with {'a':2})",
        "not JSON: ... (it starts with {"prompt": "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...)",
        "not JSON: ... (it starts with {"a":3} {"a":4})",
        {
          "a": 5,
        },
      ]
    `);
  });

  test("in a JSON array", async () => {
    expect(await values("bad.json", '[{"a":1},{a:2},,{"a":[3}],{"a":4},]')).toMatchInlineSnapshot(`
      [
        {
          "a": 1,
        },
        "not JSON: ... (it starts with {a:2})",
        "not JSON: ... (it is empty)",
        "not JSON: ... (it starts with {"a":[3}])",
        {
          "a": 4,
        },
        "not JSON: ... (it is empty)",
      ]
    `);
  });

  test("when its bytes are not UTF-8", async () => {
    const content = Buffer.concat([Buffer.from('{"a":"caf'), Buffer.from([0xe9]), Buffer.from('"}\n{"a":1}')]);
    expect(await values("latin1.jsonl", content)).toMatchInlineSnapshot(`
      [
        "not JSON: the text is not UTF-8 (it starts with {"a":"café"})",
        {
          "a": 1,
        },
      ]
    `);
  });

  test("an empty array has no rows", async () => {
    expect(await values("none.json", " [ ] ")).toEqual([]);
  });
});

describe("a file that holds no rows is refused with what it is", () => {
  test("no file", async () => {
    expect(await refusal(readAll(`${folder}/missing.jsonl`))).toMatchInlineSnapshot(
      `"missing.jsonl: there is no such file. Check the path."`,
    );
  });

  test("a folder", async () => {
    expect(await refusal(readAll(folder))).toMatchInlineSnapshot(
      `"FOLDER: it is a folder. Name the preference file in it."`,
    );
  });

  test.each([
    ["nothing", ""],
    ["white space", " \n\n"],
    ["a byte order mark", "\ufeff"],
    ["gzipped nothing", gzipSync("")],
  ])("empty: %s", async (_, content) => {
    expect(await refusal(readAll(write("empty.jsonl", content)))).toMatchInlineSnapshot(
      `"empty.jsonl is empty. Give a file of JSON lines, one JSON array, CSV, TSV or Parquet."`,
    );
  });

  test("Parquet", async () => {
    expect(await refusal(readAll(write("data.parquet", "PAR1\x15\x04")))).toMatchInlineSnapshot(
      `"data.parquet: the Parquet data can't be read (parquet file invalid (footer != PAR1)). Get the file again."`,
    );
  });

  test("UTF-16", async () => {
    expect(await refusal(readAll(write("wide.jsonl", Buffer.from('\ufeff{"a":1}', "utf16le"))))).toMatchInlineSnapshot(
      `"wide.jsonl is UTF-16 text. Give a file of JSON lines, one JSON array, CSV, TSV or Parquet; text in UTF-8, packed by gzip or Zstandard or not."`,
    );
  });

  test.each([
    [
      "a Git LFS pointer, which says where the file is: get that by git lfs pull",
      "version https://git-lfs.github.com/spec/v1\n",
    ],
    ["a web page: download the file that it shows", "<!doctype html><title>Not found</title>"],
    ["packed by bzip2: unpack it", "BZh91AY&SY"],
  ])("what is %s", async (kind, content) => {
    expect(await refusal(readAll(write("other", content)))).toContain(`other is ${kind}. Give a file of JSON lines`);
  });

  test("columns that are parted by other signs", async () => {
    expect(await refusal(readAll(write("excel.csv", "prompt;chosen;rejected\nQ;A;B\n")))).toMatchInlineSnapshot(
      `"excel.csv: the columns in its first line are parted by semicolons, and were read as parted by commas. Part cells by commas in .csv, by tabs in .tsv."`,
    );
    expect(await refusal(readAll(write("named.tsv", "prompt,chosen\nQ,A\n")))).toContain("by commas, and were read");
    expect(await readAll(write("one.csv", '"te,xt"\n"a;b"\n'))).toMatchObject([{ value: { "te,xt": "a;b" } }]);
  });

  test("one JSON object over several lines", async () => {
    const object = JSON.stringify({ data: [{ prompt: "Q" }] }, null, 2);
    expect(await refusal(readAll(write("object.json", `\n${object}`)))).toMatchInlineSnapshot(
      `"object.json is one JSON object over several lines. Give its rows as an array, [{...}, {...}], or each on a line of its own."`,
    );
  });

  test("other bytes", async () => {
    expect(await refusal(readAll(write("bytes", Uint8Array.from([1, 2, 3, 0, 5]))))).toMatchInlineSnapshot(
      `"bytes is a binary file. Give a file of JSON lines, one JSON array, CSV, TSV or Parquet; text in UTF-8, packed by gzip or Zstandard or not."`,
    );
  });

  test("gzip data that is cut off or damaged", async () => {
    const whole = gzipSync(Array.from({ length: 100 }, (_, i) => `{"a":${i}}`).join("\n"));
    expect(await refusal(readAll(write("cut.gz", whole.subarray(0, -12))))).toMatchInlineSnapshot(
      `"cut.gz: the gzip data is damaged or cut off (unexpected end of file). Get the file again."`,
    );
    const damaged = Uint8Array.from(whole);
    damaged[40]! ^= 0xff;
    expect(await refusal(readAll(write("damaged.gz", damaged)))).toMatch(
      /^damaged.gz: the gzip data is damaged or cut off/,
    );
  });

  test("an array that is never closed", async () => {
    expect(await refusal(readAll(write("open.json", '[{"a":1},{"a":2')))).toMatchInlineSnapshot(
      `"open.json: the JSON array is never closed; the file ends within element 2. It seems to be cut off: get the whole file."`,
    );
  });

  test("an array with something after it", async () => {
    expect(await refusal(readAll(write("more.json", '[{"a":1}]\n[{"a":2}]')))).toMatchInlineSnapshot(
      `"more.json: there is text after the end of the JSON array. Leave one array, or write one row a line."`,
    );
  });

  test("a row without an end", () => {
    const splitter = lineSplitter("f.jsonl");
    const chunk = Buffer.alloc(2 ** 20, "x");
    expect(() => {
      for (let i = 0; i < 65; i++) splitter.push(chunk);
    }).toThrowErrorMatchingInlineSnapshot(
      `[DataError: f.jsonl: row 1 is longer than 64 MiB. A preference file has one row a line, or is one JSON array of rows.]`,
    );
  });
});

test("memory holds a chunk and a row, not the file", async () => {
  const line = `{"prompt":"${"long ".repeat(4000)}"}\n`;
  const file = write("large.jsonl.gz", gzipSync(line.repeat(8000), { level: 1 }));
  const used = () => process.memoryUsage().heapUsed + process.memoryUsage().arrayBuffers;
  const before = used();
  let count = 0;
  let most = 0;
  for await (const _ of readRows(file)) {
    count++;
    most = Math.max(most, used() - before);
  }
  expect(count).toBe(8000);
  expect(most).toBeLessThan(80 * 2 ** 20); // of 160 MB
});
