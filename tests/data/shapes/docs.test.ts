import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { shapeNames } from "../../../src/data/shapes/registry.ts";

test("docs/data.md has every shape, in the order in which they are tried", () => {
  const page = readFileSync(new URL("../../../docs/data.md", import.meta.url), "utf8");
  const rows = page.slice(page.indexOf("## Shapes"), page.indexOf("## What is learned"));
  expect([...rows.matchAll(/^\| `([a-z]+)` \|/gm)].map(([, name]) => name)).toEqual(shapeNames);
});
