/** CONTRIBUTING's example of an objective: every line that its diff adds is in the file that it names. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";

const read = (path: string) => readFileSync(new URL(`../${path}`, import.meta.url), "utf8");

it("CONTRIBUTING shows an objective as it is in the repository", () => {
  const [, diff] = /```diff\n(.*?)```/s.exec(read("CONTRIBUTING.md"))!;
  const files = diff!.split(/^--- .*\n\+\+\+ b\//m).slice(1);
  expect(files.map((file) => file.split("\n")[0])).toContain("src/objectives/registry.ts");
  for (const file of files) {
    const [path, ...lines] = file.split("\n");
    const there = new Set(read(path!).split("\n"));
    for (const line of lines) if (/^[+ ]/.test(line)) expect(there, path).toContain(line.slice(1));
  }
});
