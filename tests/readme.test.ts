/** The README's library example, run as it stands. */

import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";

const root = new URL("..", import.meta.url).pathname;

it("the README's library example runs", () => {
  const readme = readFileSync(join(root, "README.md"), "utf8");
  const [, example] = /```ts\n(.*?)```/s.exec(readme)!;
  const folder = mkdtempSync(join(tmpdir(), "preftune-readme-"));
  try {
    cpSync(join(root, "examples/film-reviews"), join(folder, "examples/film-reviews"), { recursive: true });
    symlinkSync(join(root, "node_modules"), join(folder, "node_modules"));
    // Node 20 has no `await using`; the example's program ends right after it anyway.
    const source = example!
      .replace("await using", "const")
      .replaceAll('"preftune"', JSON.stringify(`${root}dist/index.js`));
    writeFileSync(join(folder, "example.mjs"), source);
    const output = execFileSync(process.execPath, ["example.mjs"], { cwd: folder, encoding: "utf8" });
    const lines = output.trim().split("\n");
    expect(Number(lines[0])).toBeGreaterThanOrEqual(0);
    expect(lines.at(-4)).toMatch(/^0 chosen -\d/);
    expect(lines.at(-1)).toMatch(/^1 rejected -\d/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
