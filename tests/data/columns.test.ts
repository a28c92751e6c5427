import { describe, expect, test } from "vitest";
import { parseColumns, withColumns } from "../../src/data/columns.ts";
import { ConfigError } from "../../src/errors.ts";
import { orReason } from "./shapes/rows.ts";

const named = (row: unknown, ...columns: string[]) => orReason(() => withColumns(row, parseColumns(columns)));

describe("columns", () => {
  const row = { question: "Q", best: "A", prompt: "template", input: { text: "inside" }, "a.b": 1 };

  test("are taken for fields, and the others stay", () => {
    expect(named(row, "prompt=question", "chosen=best")).toEqual({
      prompt: "Q",
      chosen: "A",
      input: { text: "inside" },
      "a.b": 1,
    });
    expect(named(row)).toEqual(row);
  });

  test("may be inside objects, or have dots in their names", () => {
    expect(named(row, "prompt=input.text")).toMatchObject({ prompt: "inside", best: "A" });
    expect(named(row, "x=a.b")).toMatchObject({ x: 1 });
  });

  test("may be exchanged, and left out", () => {
    expect(named({ a: 1, b: 2 }, "a=b", "b=a")).toEqual({ a: 2, b: 1 });
    expect(named({ system: "S", prompt: "Q" }, "system=")).toEqual({ prompt: "Q", system: null });
  });

  test("that are missing are named", () => {
    expect(named({ b: 1 }, "prompt=question")).toBe(
      "missing or wrong field: the column `question` of --columns is missing (the row has only b)",
    );
    expect(named({ b: 1 }, "prompt=constructor.name")).toMatch(/^missing or wrong field/);
  });

  test.each([["prompt"], ["=x"], [""]])("%j is none", (column) => {
    expect(() => parseColumns([column])).toThrow(ConfigError);
  });

  test("name each field once", () => {
    expect(() => parseColumns(["a=b", "a=c"])).toThrow("--columns names the field a twice.");
  });
});
