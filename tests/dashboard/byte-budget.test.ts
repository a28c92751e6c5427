/** What is kept of what was read: as much as the budget allows, and what was used last. */

import fc from "fast-check";
import { expect, it } from "vitest";
import { ByteBudget } from "../../src/dashboard/byte-budget.ts";

it("keeps what was used last, and lets go of what was not used for longest", () => {
  const kept = new ByteBudget<string>(30);
  for (const name of ["a", "b", "c"]) kept.set(name, name, 10);
  expect(kept.get("a")).toBe("a");
  kept.set("d", "d", 10);
  expect(["a", "b", "c", "d"].map((name) => kept.get(name))).toEqual(["a", undefined, "c", "d"]);
});

it("counts a value that has grown by its new size, and keeps the newest whatever its size", () => {
  const kept = new ByteBudget<string>(30);
  for (const name of ["a", "b"]) kept.set(name, name, 10);
  kept.set("b", "b", 25);
  expect([kept.get("a"), kept.get("b")]).toEqual([undefined, "b"]);
  kept.set("c", "c", 1000);
  expect([kept.get("b"), kept.get("c")]).toEqual([undefined, "c"]);
});

it("never holds more than the budget besides the newest, in whatever order values come, grow and go", () => {
  const use = fc.record({ key: fc.constantFrom("a", "b", "c", "d", "e"), bytes: fc.nat(40), gone: fc.boolean() });
  fc.assert(
    fc.property(fc.array(use), (uses) => {
      const kept = new ByteBudget<number>(100);
      const sizes = new Map<string, number>();
      for (const { key, bytes, gone } of uses) {
        if (gone) kept.delete(key);
        else {
          kept.set(key, bytes, bytes);
          sizes.set(key, bytes);
          expect(kept.get(key)).toBe(bytes);
        }
      }
      const held = [...sizes.keys()].flatMap((key) => kept.get(key) ?? []);
      expect(held.reduce((a, b) => a + b, 0)).toBeLessThanOrEqual(100);
    }),
  );
});
