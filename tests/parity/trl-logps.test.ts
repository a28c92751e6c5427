/**
 * Completion log-probabilities of real models on real preferences against transformers in float32
 * (tests/reference/trl_logps.py), each row scored alone there and packed, prefix-shared and without padding here.
 */

import { existsSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { type Score, score } from "../../src/evaluation/score.ts";

const shared = new URL("../../../shared/", import.meta.url);
const data = new URL("data/hh-rlhf-harmless-base-test.jsonl.gz", shared).pathname;

interface Golden {
  readonly max_length: number;
  readonly completions: readonly (Omit<Score, "index"> & { readonly row: number })[];
}

describe.each([
  ["stories260K", "models/stories260K"],
  ["SmolLM2", "models/SmolLM2-135M-Instruct.Q4_1.gguf"],
])("log-probabilities of %s on HH pairs", (name, path) => {
  const model = new URL(path, shared).pathname;
  const present = existsSync(model) && existsSync(data);

  it.skipIf(!present)(`equal transformers' (skipped where ../shared/${path} is absent)`, async () => {
    const url = new URL(`../golden/parity/logps-${name}.json`, import.meta.url);
    const golden = JSON.parse(readFileSync(url, "utf8")) as Golden;
    const lastRow = Math.max(...golden.completions.map(({ row }) => row));
    const scores = new Map<string, Score>();
    await score(
      { model, data, maxLength: golden.max_length, truncation: "drop", limit: golden.completions.length / 2 },
      (row) => scores.set(`${row.index + 1} ${row.completion}`, row),
    );
    expect(scores.size).toBe(golden.completions.length);
    expect(Math.max(...[...scores.values()].map(({ index }) => index + 1))).toBe(lastRow);
    for (const expected of golden.completions) {
      const found = scores.get(`${expected.row} ${expected.completion}`)!;
      expect([found.prompt_tokens, found.tokens]).toEqual([expected.prompt_tokens, expected.tokens]);
      const difference = Math.abs(found.logp - expected.logp);
      expect(difference, `row ${expected.row} ${expected.completion}`).toBeLessThan(2e-3);
      expect(difference / Math.abs(expected.logp)).toBeLessThan(1e-5);
    }
  });
});
