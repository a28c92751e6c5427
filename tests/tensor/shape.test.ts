import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  broadcast,
  type Dim,
  evaluateDim,
  learnSize,
  product,
  quotient,
  sum,
  termsOf,
} from "../../src/tensor/shape.ts";

const NAMES = ["P", "S", "T"];

/** Any dimension that products and sums of numbers and names can make. */
const dimensions: fc.Arbitrary<Dim> = fc.letrec<{ dim: Dim }>((tie) => ({
  dim: fc.oneof(
    { maxDepth: 3 },
    fc.integer({ min: 0, max: 5 }),
    fc.constantFrom(...NAMES),
    fc.array(tie("dim"), { maxLength: 3 }).map(product),
    fc.array(tie("dim"), { maxLength: 3 }).map(sum),
  ),
})).dim;

const sizesOf = fc
  .tuple(...NAMES.map(() => fc.integer({ min: 0, max: 7 })))
  .map((sizes) => new Map(NAMES.map((name, i) => [name, sizes[i]!])));

describe("a dimension", () => {
  it("is written in one way, whatever the order in which it came about", () => {
    expect(product(["T", 3, "S", 2])).toBe("6*S*T");
    expect(product([sum(["T", "S", 2]), 3])).toBe("3*S+3*T+6");
    expect(product([sum([product([3, "T"]), "S"]), 2])).toBe("2*S+6*T");
    expect(product([sum(["P", "T"]), "T"])).toBe("P*T+T*T");
    expect(sum([1, "T", "T", product([2, "T"]), 4])).toBe("4*T+5");
    expect(product([0, "T"])).toBe(0);
    expect(sum([])).toBe(0);
    expect(product([])).toBe(1);
  });

  it("of equal sizes has the same text: products and sums commute, associate and distribute", () => {
    fc.assert(
      fc.property(dimensions, dimensions, dimensions, (a, b, c) => {
        expect(product([a, b])).toBe(product([b, a]));
        expect(sum([a, b])).toBe(sum([b, a]));
        expect(product([product([a, b]), c])).toBe(product([a, product([b, c])]));
        expect(sum([sum([a, b]), c])).toBe(sum([a, sum([b, c])]));
        expect(product([a, sum([b, c])])).toBe(sum([product([a, b]), product([a, c])]));
        expect(product([a])).toBe(a);
        expect(sum([a])).toBe(a);
      }),
    );
  });

  it("has the value of its product or sum once the sizes are known", () => {
    fc.assert(
      fc.property(fc.array(dimensions, { maxLength: 3 }), sizesOf, (dims, sizes) => {
        const values = dims.map((dim) => evaluateDim(dim, sizes));
        expect(evaluateDim(product(dims), sizes)).toBe(values.reduce((a, b) => a * b, 1));
        expect(evaluateDim(sum(dims), sizes)).toBe(values.reduce((a, b) => a + b, 0));
      }),
    );
  });

  it("has no value while one of its sizes is unknown", () => {
    expect(() => evaluateDim("2*S*T", new Map([["S", 1]]))).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: the size of dimension "T" is not known]`,
    );
  });

  it("times a number can be divided by it again", () => {
    fc.assert(
      fc.property(dimensions, fc.integer({ min: 1, max: 5 }), (dim, n) => {
        expect(quotient(product([dim, n]), n)).toBe(dim);
      }),
    );
    expect(() => quotient("2*S+3*T", 2)).toThrowErrorMatchingInlineSnapshot(
      `[ShapeError: dimension 2*S+3*T can't be divided by 2]`,
    );
  });
});

describe("the sizes of a program's dimensions", () => {
  it("are learned from a value that one unknown name explains", () => {
    const sizes = new Map([["T", 3]]);
    expect(learnSize("2*E+T", 7, sizes)).toBe(true);
    expect(sizes.get("E")).toBe(2);
    expect(learnSize("P*T+P", 20, sizes)).toBe(true);
    expect(sizes.get("P")).toBe(5);
  });

  it("contradict a value that no whole number explains", () => {
    const sizes = new Map([["T", 3]]);
    expect(learnSize("2*E", 3, sizes)).toBe(false);
    expect(learnSize("E+T", 2, sizes)).toBe(false);
    expect(learnSize("T", 4, sizes)).toBe(false);
    expect(learnSize(5, 4, sizes)).toBe(false);
    expect(sizes.has("E")).toBe(false);
  });

  it("stay open while two are unknown, or one comes squared", () => {
    const sizes = new Map<string, number>();
    expect(learnSize("S*T", 6, sizes)).toBe(true);
    expect(learnSize("S*S", 9, sizes)).toBe(true);
    expect(sizes.size).toBe(0);
  });

  it("are those that the dimension was evaluated with", () => {
    fc.assert(
      fc.property(dimensions, sizesOf, (dim, sizes) => {
        const value = evaluateDim(dim, sizes);
        for (const unknown of NAMES) {
          const known = new Map([...sizes].filter(([name]) => name !== unknown));
          expect(learnSize(dim, value, known)).toBe(true);
          if (known.has(unknown)) expect(evaluateDim(dim, known)).toBe(value);
        }
      }),
    );
  });
});

describe("broadcasting", () => {
  it("repeats axes of size 1 and axes that are missing in front, as NumPy does", () => {
    expect(broadcast(["T", 1], [3])).toEqual(["T", 3]);
    expect(broadcast([], ["T", 4])).toEqual(["T", 4]);
    expect(broadcast([1, "S"], ["T", 1])).toEqual(["T", "S"]);
    expect(broadcast([0], [1])).toEqual([0]);
  });

  it("refuses sizes that differ, named ones too", () => {
    expect(broadcast([2], [3])).toBeUndefined();
    expect(broadcast(["T"], ["S"])).toBeUndefined();
    expect(broadcast(["T"], [3])).toBeUndefined();
  });

  it("gives the same shape from both sides, and leaves its own result alone", () => {
    const shape = fc.array(fc.constantFrom<Dim>(1, 2, "T"), { maxLength: 4 });
    fc.assert(
      fc.property(shape, shape, (a, b) => {
        const result = broadcast(a, b);
        expect(broadcast(b, a)).toEqual(result);
        if (result) expect(broadcast(result, a)).toEqual(result);
      }),
    );
  });
});

it("termsOf takes a dimension apart into coefficients and names", () => {
  expect(termsOf("2*P*T+T+3")).toEqual([
    { coefficient: 2, names: ["P", "T"] },
    { coefficient: 1, names: ["T"] },
    { coefficient: 3, names: [] },
  ]);
});
