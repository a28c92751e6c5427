import { mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { dataShape, type GivenSource } from "../../src/data/source-settings.ts";
import { formatSource, openSources, refuseWeights } from "../../src/data/sources.ts";
import { PreftuneError } from "../../src/errors.ts";
import { temporaryFiles, withoutFolder } from "./files.ts";

const { folder, write } = temporaryFiles();
for (const name of ["many", "splits", "outer", "outer/inner", "none"]) mkdirSync(join(folder, name));
for (const name of ["b.jsonl", "a.csv.gz", "notes.txt", ".hidden.json", "dataset_info.json"])
  write(`many/${name}`, "x");
for (const name of ["train-00.parquet", "train-01.parquet", "test-00.parquet"]) write(`splits/${name}`, "x");
write("plain.jsonl", "x");
write("outer/inner/a.jsonl", "x");
write("odd:0.5", "x");
write("[x].jsonl", "x");
symlinkSync("loop.jsonl", join(folder, "loop.jsonl"));
symlinkSync("nowhere", join(folder, "none", "broken"));

const at = (name: string) => join(folder, name);
const short = (path: string) => withoutFolder(path, folder);

async function open(...given: GivenSource[]) {
  const sources = await openSources(given);
  return sources.map(({ name, files, weight }) => [
    short(name),
    files.map(short),
    ...(weight === undefined ? [] : [weight]),
  ]);
}

async function refusal(...given: GivenSource[]): Promise<string> {
  const error: unknown = await open(...given).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(PreftuneError);
  return short((error as Error).message);
}

describe("a source", () => {
  test("is a file, a folder's files of rows in order, or those that a glob finds", async () => {
    expect(await open(at("plain.jsonl"))).toEqual([["plain", ["plain.jsonl"]]]);
    expect(await open(at("many"))).toEqual([["many", ["many/a.csv.gz", "many/b.jsonl"]]]);
    expect(await open(at("splits/train*"))).toEqual([
      ["train*", ["splits/train-00.parquet", "splits/train-01.parquet"]],
    ]);
    expect(await open(at("**/*.jsonl"))).toEqual([
      ["*", ["[x].jsonl", "many/b.jsonl", "outer/inner/a.jsonl", "plain.jsonl"]],
    ]);
  });

  test("is what is there under its name, whatever signs the name has", async () => {
    expect(await open(at("odd:0.5"), at("[x].jsonl"))).toEqual([
      ["odd:0.5", ["odd:0.5"]],
      ["[x]", ["[x].jsonl"]],
    ]);
  });

  test("may have a weight", async () => {
    expect(await open(`${at("plain.jsonl")}:0.25`, { path: at("many"), weight: 2 })).toEqual([
      ["plain", ["plain.jsonl"], 0.25],
      ["many", ["many/a.csv.gz", "many/b.jsonl"], 2],
    ]);
    expect(await open(`${at("plain.jsonl")}:1e-3`)).toEqual([["plain", ["plain.jsonl"], 0.001]]);
  });

  test("has another name than all others", async () => {
    const names = (await openSources(["a/x.jsonl", "b/x.csv", "b/x.csv", "y"])).map(({ name }) => name);
    expect(names).toEqual(["a/x.jsonl", "b/x.csv (1)", "b/x.csv (2)", "y"]);
  });

  test("that is not on this machine is found by whoever knows it", async () => {
    const find = async (path: string) => (path === "hf:org/name" ? ["/cache/a", "/cache/b"] : undefined);
    const sources = await openSources(["hf:org/name:2", "x.jsonl:1"], { find });
    expect(sources.map(({ name, files, weight }) => [name, files, weight])).toEqual([
      ["name", ["/cache/a", "/cache/b"], 2],
      ["x", ["x.jsonl"], 1],
    ]);
  });

  test("says its own shape and columns, or has those of all", async () => {
    const given = [
      { path: "a.jsonl", format: "hh" },
      { path: "b.jsonl", columns: ["prompt=q"] },
    ];
    const sources = await openSources(given, { format: "kto", columns: ["label=l"] });
    expect(sources.map(({ format, columns }) => [format, [...columns]])).toEqual([
      ["hh", [["label", "l"]]],
      ["kto", [["prompt", "q"]]],
    ]);
  });
});

describe("what can't be is refused", () => {
  test.each([
    [[at("none")], "none: the folder has no files of rows (JSONL, JSON, CSV, TSV, Parquet)."],
    [[at("outer")], "It has the folder inner: name that, or a glob such as outer/**/*.parquet."],
    [[at("splits")], "has files of several splits (test, train). Name one's, as in splits/test*"],
    [[at("*.tsv")], "*.tsv: no file has a name like that. Check the path."],
    [["a:1", "b"], "a has a weight and b has none. Give every source one, as in b:0.5, or none."],
    [["a:0"], "a:0: a source's weight must be above 0."],
    [["a:-0.5"], "a:-0.5: a source's weight must be above 0."],
    [[at("loop.jsonl")], "loop.jsonl: it is a link that leads to itself. Name the file itself."],
    [[`a${"a".repeat(5000)}`], "aaa...: no file has so long a name. Check the path."],
    [["-", "-"], "- is given twice, and standard input can be read once."],
  ])("%j", async (given, message) => {
    expect(await refusal(...(given as string[]))).toContain(message);
  });

  test("weights where every row counts once", () => {
    expect(() => refuseWeights(["a", "b:2"], "--eval-data")).toThrow(
      "--eval-data has a weight for b: its rows are each used once. Leave the weight out.",
    );
    expect(() => refuseWeights(["a", "b"], "--eval-data")).not.toThrow();
  });
});

describe("as settings", () => {
  const parse = (value: unknown) => dataShape.sources.parse(value);

  test("several are parted by commas, but not within a glob's braces", () => {
    expect(parse("a.jsonl:0.7, b.parquet:0.3")).toEqual(["a.jsonl:0.7", "b.parquet:0.3"]);
    expect(parse("{a,b}.jsonl,c")).toEqual(["{a,b}.jsonl", "c"]);
  });

  test("or are a list, of texts and objects", () => {
    const given = ["a.jsonl:1", { path: "b", weight: 2, columns: { prompt: "q", chosen: "x" } }];
    expect(parse(given)).toEqual(["a.jsonl:1", { path: "b", weight: 2, columns: ["prompt=q", "chosen=x"] }]);
    expect((parse(given) as GivenSource[]).map(formatSource)).toEqual(["a.jsonl:1", "b:2"]);
  });

  test.each([[""], [["a", ""]], [[]], [[{ path: "" }]], [[{ path: "a", weight: 0 }]], [[{ path: "a", wieght: 1 }]]])(
    "%j is none",
    (value) => {
      expect(dataShape.sources.safeParse(value).success).toBe(false);
    },
  );
});
