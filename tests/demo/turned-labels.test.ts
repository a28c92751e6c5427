/** Labels turned round on purpose are what a run suspects: docs/diagnostics.md has the same on all pairs of the example. */

import { readFileSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { demoRun } from "../../src/demo/demo.ts";
import type { Suspect } from "../../src/diagnostics/suspects.ts";
import { dpo } from "../../src/training/tuners.ts";
import { scratchFolder } from "../support/scratch.ts";

const { at } = scratchFolder();

describe("a run on pairs of which every eighth is labelled the wrong way round", () => {
  it("suspects some of these after two epochs, and hardly others", async () => {
    const { evalData, ...settings } = demoRun({ output: at("run"), seed: 0 });
    const rows = readFileSync(settings.data, "utf8").trimEnd().split("\n").slice(0, 256);
    const turned = rows.map((row, i) => {
      const { chosen, rejected, ...rest } = JSON.parse(row);
      return JSON.stringify(i % 8 === 7 ? { ...rest, chosen: rejected, rejected: chosen } : JSON.parse(row));
    });
    const data = at("turned.jsonl");
    writeFileSync(data, `${turned.join("\n")}\n`);
    const { suspects: count } = await dpo({ ...settings, data, epochs: 2, samplePrompts: 0, threads: 1 });

    const suspects = readFileSync(at("run", "suspects.jsonl"), "utf8").trimEnd().split("\n");
    const right = suspects.filter((line) => (JSON.parse(line) as Suspect).line % 8 === 0);
    expect(suspects).toHaveLength(count);
    expect(right.length).toBeGreaterThanOrEqual(5);
    expect(right.length / count).toBeGreaterThan(0.8);
  });
});
