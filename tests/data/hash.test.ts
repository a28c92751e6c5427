/** Hashes by which rows are known again. */

import { describe, expect, test } from "vitest";
import { hashOf, hashOfHashes } from "../../src/data/hash.ts";

describe("hashes", () => {
  test("tell texts apart by their place and their borders", () => {
    const hashes = [
      hashOf("ab", "c"),
      hashOf("a", "bc"),
      hashOf("abc"),
      hashOf("abc", ""),
      hashOf("c", "ab"),
      hashOf(""),
    ];
    expect(new Set(hashes).size).toBe(6);
    for (const hash of hashes) expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true);
  });

  test("of hashes depend on their order", () => {
    const [a, b] = [hashOf("a"), hashOf("b")];
    const hashes = [hashOfHashes([a, b]), hashOfHashes([b, a]), hashOfHashes([a]), hashOfHashes([a, a]), a];
    expect(new Set(hashes).size).toBe(5);
    for (const hash of hashes) expect(Number.isSafeInteger(hash) && hash >= 0).toBe(true);
    const many = Array.from({ length: 300 }, (_, i) => hashOf(`text ${i}`));
    expect(new Set(many.flatMap((x) => many.map((y) => hashOfHashes([x, y])))).size).toBe(90_000);
  });

  test("of a hundred thousand texts are all different", () => {
    expect(new Set(Array.from({ length: 100_000 }, (_, i) => hashOf(`text ${i}`))).size).toBe(100_000);
  });
});
