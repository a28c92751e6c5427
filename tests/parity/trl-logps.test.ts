/**
 * Completion log-probabilities of real models on real preferences against transformers in float32
 * (tests/reference/trl_logps.py), each row scored alone there and packed, prefix-shared and without padding here.
 */

import { describe, expect, it } from "vitest";
import { type Score, score } from "../../src/evaluation/score.ts";
import { golden } from "../support/parity.ts";
import { HH_PAIRS, SMOLLM2, STORIES, sharedMissing } from "../support/shared.ts";

interface Golden {
  readonly max_length: number;
  readonly completions: readonly (Omit<Score, "index"> & { readonly row: number })[];
}

describe.each([
  ["stories260K", STORIES],
  ["SmolLM2", SMOLLM2],
])("log-probabilities of %s on HH pairs", (name, model) => {
  it.skipIf(sharedMissing)("equal transformers' (skipped where ../shared is absent)", async () => {
    const { max_length: maxLength, completions } = golden<Golden>(`logps-${name}`);
    const lastRow = Math.max(...completions.map(({ row }) => row));
    const scores = new Map<string, Score>();
    await score(
      { model, data: HH_PAIRS, maxLength, truncation: "drop", limit: completions.length / 2, threads: 1 },
      (row) => scores.set(`${row.index + 1} ${row.completion}`, row),
    );
    expect(scores.size).toBe(completions.length);
    expect(Math.max(...[...scores.values()].map(({ index }) => index + 1))).toBe(lastRow);
    for (const expected of completions) {
      const found = scores.get(`${expected.row} ${expected.completion}`)!;
      expect([found.prompt_tokens, found.tokens]).toEqual([expected.prompt_tokens, expected.tokens]);
      const difference = Math.abs(found.logp - expected.logp);
      expect(difference, `row ${expected.row} ${expected.completion}`).toBeLessThan(2e-3);
      expect(difference / Math.abs(expected.logp)).toBeLessThan(1e-5);
    }
  });
});
