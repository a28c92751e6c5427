import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Value } from "../../src/runtime/runtime.ts";
import { KeyValueCache } from "../../src/sampling/cache.ts";

const LAYERS = 2;
const WIDTH = 3;
const PARTS = ["0.key", "0.value", "1.key", "1.value"];

/** What the decode program might return: every element tells its token and its part. */
function outputsFor(ids: readonly number[]): Record<string, Value> {
  return Object.fromEntries(
    PARTS.map((part, p) => [
      `own.${part}`,
      { dims: [ids.length, WIDTH], data: Float32Array.from(ids.flatMap((id) => [id, p, id + p])) },
    ]),
  );
}

const none = Number.NEGATIVE_INFINITY;
const row = (owner: number, prompt = owner, position = 0) => ({ owner, prompt, position });

describe("the mask", () => {
  test("shows a token its prompt, its own sequence up to itself, and nothing else", () => {
    const cache = new KeyValueCache(LAYERS, WIDTH);
    const promptRows = [row(0), row(0), row(1)];
    expect(cache.mask(promptRows)).toEqual({
      dims: [3, 3],
      // biome-ignore format: a matrix
      data: Float32Array.of(
        0, none, none,
        0, 0, none,
        none, none, 0,
      ),
    });
    cache.append(promptRows, outputsFor([10, 11, 12]));
    // Two sequences continue prompt 0, and prompt 1 goes on.
    expect(cache.mask([row(2, 0), row(3, 0), row(1)])).toEqual({
      dims: [3, 6],
      // biome-ignore format: a matrix
      data: Float32Array.of(
        0, 0, none, 0, none, none,
        0, 0, none, none, 0, none,
        none, none, 0, none, none, 0,
      ),
    });
  });
});

test("rows stay in order of arrival while owners come and go, and rows that are gone do not pile up", () => {
  const action = fc.oneof(
    fc.record({ append: fc.array(fc.nat(7), { maxLength: 200 }) }),
    fc.record({ forget: fc.array(fc.nat(7), { maxLength: 8 }) }),
  );
  fc.assert(
    fc.property(fc.array(action, { maxLength: 12 }), (actions) => {
      const cache = new KeyValueCache(LAYERS, WIDTH);
      const seen: { owner: number; id: number }[] = [];
      let rows: { owner: number; id: number }[] = [];
      for (const act of actions) {
        if ("append" in act) {
          const added = act.append.map((owner, i) => ({ owner, id: seen.length + i }));
          cache.append(
            added.map(({ owner, id }) => row(owner, owner, id)),
            outputsFor(added.map(({ id }) => id)),
          );
          seen.push(...added);
          rows.push(...added);
        } else {
          const gone = new Set(act.forget);
          const live = rows.filter(({ owner }) => !gone.has(owner));
          cache.collect((owner) => !gone.has(owner));
          expect(cache.length).toBeLessThanOrEqual(2 * live.length);
          if (cache.length === live.length) rows = live;
        }
        expect(cache.length).toBe(rows.length);
      }
      const past = cache.past();
      const ids = outputsFor(rows.map(({ id }) => id));
      expect(Array.from(past["past.positions"]!.data, Number)).toEqual(rows.map(({ id }) => id));
      for (const part of PARTS) expect(past[`past.${part}`]).toEqual(ids[`own.${part}`]);
      const visible = Array.from(cache.mask([row(3)]).data, Number).slice(0, rows.length);
      expect(visible.map((x) => x === 0)).toEqual(rows.map(({ owner }) => owner === 3));
    }),
    { numRuns: 50 },
  );
});
