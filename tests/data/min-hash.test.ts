/** How alike texts are, by their runs of three words. */

import { describe, expect, test } from "vitest";
import { Signatures, signatureOf, union } from "../../src/data/min-hash.ts";
import { Random } from "../../src/random.ts";

const random = new Random(3);
const words = (count: number) =>
  Array.from(
    { length: count },
    () => `w${String.fromCharCode(97 + Math.floor(26 * random.next()))}${Math.floor(15 * random.next())}`,
  ).join(" ");

describe("MinHash", () => {
  test("estimates the Jaccard similarity of the sets of three words", () => {
    const common = words(400);
    for (const own of [20, 100, 400]) {
      const [a, b] = [`${common} ${words(own)}`, `${common} ${words(own)}`];
      const shingles = (text: string) => {
        const list = text.split(" ");
        return new Set(list.slice(2).map((_, i) => list.slice(i, i + 3).join(" ")));
      };
      const [x, y] = [shingles(a), shingles(b)];
      const both = [...x].filter((shingle) => y.has(shingle)).length;
      const [first, second] = [signatureOf(a)!, signatureOf(b.toUpperCase().replaceAll(" ", ", "))!];
      const same = first.filter((value, k) => value === second[k]).length / first.length;
      // Four standard errors of 64 functions at most.
      expect(Math.abs(same - both / (x.size + y.size - both))).toBeLessThan(0.25);
      const signatures = new Signatures();
      signatures.add([first]);
      expect(signatures.likest([second], 0)?.similarity ?? same).toBe(same);
    }
  });

  test("of a text without three words there is none", () => {
    expect([signatureOf("two words"), signatureOf("")]).toEqual([undefined, undefined]);
  });

  test("of sets together is that of their union", () => {
    const [a, b] = [words(30), words(30)];
    expect(union([signatureOf(a)!, signatureOf(b)!])).not.toEqual(signatureOf(a));
    expect(union([signatureOf(a)!, signatureOf(a)!])).toEqual(signatureOf(a));
    expect(union([signatureOf(a)!, signatureOf(b)!])).toEqual(union([signatureOf(b)!, signatureOf(a)!]));
  });

  test("compares texts by the least alike of their sets", () => {
    const [a, b, c] = [words(30), words(30), words(30)].map((text) => signatureOf(text)!) as [
      Int32Array,
      Int32Array,
      Int32Array,
    ];
    const signatures = new Signatures(2);
    signatures.add([a, b]);
    signatures.add([a, c]);
    expect(signatures.likest([a, c], 0.8)).toEqual({ place: 1, similarity: 1 });
    expect(signatures.likest([c, b], 0.1)).toBeUndefined();
  });

  test("thousands of equal texts take no quadratic time", () => {
    const signatures = new Signatures();
    const text = words(10);
    const signature = signatureOf(text)!;
    for (let i = 0; i < 20_000; i++) {
      expect(signatures.likest([signature], 0.8)).toEqual(i === 0 ? undefined : { place: 0, similarity: 1 });
      signatures.add([signature]);
    }
  });
});
