/** What a finding says to do can be done: every flag that it names is one. */

import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { commands } from "../../src/cli/commands/index.ts";
import { flagsOf } from "../../src/cli/flags.ts";

const FOLDER = new URL("../../src/inspection/checks/", import.meta.url);
const flags = new Set(commands.flatMap(({ schema }) => flagsOf(schema).map(({ name }) => `--${name}`)));
const checks = readdirSync(FOLDER).map((name) => [name, readFileSync(new URL(name, FOLDER), "utf8")] as const);

test.each(checks)("%s names no flag that there is not", (_, source) => {
  const named = source.match(/--[a-z][a-z-]+[a-z]/g) ?? [];
  expect(named.filter((flag) => !flags.has(flag))).toEqual([]);
});

test("and some are named", () => {
  expect(checks.map(([, source]) => source).join("")).toMatch(/--drop duplicates.*--drop leaks.*--drop opposites/s);
});
