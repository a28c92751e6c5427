import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { objectivesReference, type ParityCase } from "../../src/cli/objectives-reference.ts";
import { definitions } from "../../src/objectives/index.ts";

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), "utf8");
const distances = (suite: string) => JSON.parse(read(`tests/golden/parity/distance-${suite}.json`)) as ParityCase[];
const parity = ["objectives", "sft", "reward"].flatMap(distances);
const golden = JSON.parse(read("tests/golden/parity/objectives.json")) as { readonly cases: object };

describe("the objectives' reference", () => {
  test("docs/objectives.md is current (else: npm run docs)", async () => {
    expect(read("docs/objectives.md")).toBe(await objectivesReference(parity));
  });

  test("every objective is in it", async () => {
    const text = await objectivesReference(parity);
    for (const { name, title } of definitions) expect(text).toContain(`\`${name}\` ${title}`);
  });

  test("its distances from TRL are of all golden cases (else: npm run parity), and small", () => {
    expect(distances("objectives").map(({ name }) => name)).toEqual(Object.keys(golden.cases));
    for (const { name, distance } of parity) expect(distance, name).toBeLessThan(1e-3);
  });
});
