/** A folder for the files of a test: written by it, or by what it runs. */

import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A new folder that is removed after the tests of the calling file or `describe`. Names are the parts of a path in it. */
export function scratchFolder() {
  const folder = mkdtempSync(join(tmpdir(), "preftune-test-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const at = (...names: string[]): string => join(folder, ...names);
  const read = (...names: string[]): string => readFileSync(at(...names), "utf8");
  return {
    folder,
    at,
    read,
    json: (...names: string[]) => JSON.parse(read(...names)),
    /** The values of a file of one JSON value a line. */
    lines: <T = Record<string, number>>(...names: string[]): T[] =>
      read(...names)
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as T),
    /** Writes such a file and returns its path. */
    writeLines(name: string, values: readonly unknown[]): string {
      writeFileSync(at(name), values.map((value) => `${JSON.stringify(value)}\n`).join(""));
      return at(name);
    },
  };
}
