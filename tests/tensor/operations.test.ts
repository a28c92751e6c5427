import { describe, expect, it } from "vitest";
import * as t from "../../src/tensor/index.ts";

const x = t.input("x", ["T", 4]);
const y = t.input("y", ["S", 3]);
const cube = t.input("cube", ["B", 2, 3]);
const ids = t.input("ids", ["N"], "int64");
const scalar = t.input("scalar", []);

/** What an operation says when it refuses its operands, inside a part of a model. */
function refusal(build: () => unknown): string {
  try {
    t.scope("layers.3", () => t.scope("mlp", build));
  } catch (error) {
    if (error instanceof Error) return `${error.name}: ${error.message}`;
  }
  throw new Error("nothing was refused");
}

describe("an operation on shapes that do not fit names itself, the shapes, the place in the model and the reason", () => {
  it("elementwise", () => {
    expect(refusal(() => t.add(x, y))).toMatchInlineSnapshot(
      `"ShapeError: add([T, 4] and [S, 3]) in layers.3/mlp: the shapes do not broadcast"`,
    );
    expect(refusal(() => t.mul(x, t.constant([1, 2, 3], [3])))).toMatchInlineSnapshot(
      `"ShapeError: mul([T, 4] and [3]) in layers.3/mlp: the shapes do not broadcast"`,
    );
    expect(refusal(() => t.maximum(t.input("a", ["T"]), t.input("b", ["S"])))).toMatchInlineSnapshot(
      `"ShapeError: maximum([T] and [S]) in layers.3/mlp: the shapes do not broadcast"`,
    );
    expect(refusal(() => t.where(x, x, 0))).toMatchInlineSnapshot(
      `"ShapeError: where([T, 4] and [T, 4] and []) in layers.3/mlp: needs a bool and values that broadcast"`,
    );
    expect(refusal(() => t.where(t.greaterOrEqual(x, 0), y, 0))).toMatchInlineSnapshot(
      `"ShapeError: where([T, 4] and [S, 3] and []) in layers.3/mlp: needs a bool and values that broadcast"`,
    );
  });

  it("reductions", () => {
    expect(refusal(() => t.reduceSum(x, [2]))).toMatchInlineSnapshot(
      `"ShapeError: reduceSum([T, 4]) in layers.3/mlp: there is no axis 2"`,
    );
    expect(refusal(() => t.reduceSum(x, [1, -1]))).toMatchInlineSnapshot(
      `"ShapeError: reduceSum([T, 4]) in layers.3/mlp: axes 1,-1 name one axis twice"`,
    );
    expect(refusal(() => t.softmax(scalar))).toMatchInlineSnapshot(
      `"ShapeError: softmax([]) in layers.3/mlp: there is no axis -1"`,
    );
    expect(refusal(() => t.logSumExp(scalar))).toMatchInlineSnapshot(
      `"ShapeError: reduceMax([]) in layers.3/mlp: there is no axis -1"`,
    );
  });

  it("products", () => {
    expect(refusal(() => t.matmul(x, y))).toMatchInlineSnapshot(
      `"ShapeError: matmul([T, 4] and [S, 3]) in layers.3/mlp: the inner dimensions 4 and S differ"`,
    );
    expect(refusal(() => t.matmul(x, y, { transA: true }))).toMatchInlineSnapshot(
      `"ShapeError: matmul([T, 4] and [S, 3]) in layers.3/mlp: the inner dimensions T and S differ"`,
    );
    expect(refusal(() => t.matmul(x, t.input("v", [4])))).toMatchInlineSnapshot(
      `"ShapeError: matmul([T, 4] and [4]) in layers.3/mlp: both sides need two axes or more"`,
    );
    expect(refusal(() => t.matmul(cube, t.input("other", ["C", 3, 2])))).toMatchInlineSnapshot(
      `"ShapeError: matmul([B, 2, 3] and [C, 3, 2]) in layers.3/mlp: the batch dimensions differ"`,
    );
    expect(refusal(() => t.matmul(x, t.input("batched", ["B", 4, 2])))).toMatchInlineSnapshot(
      `"ShapeError: matmul([T, 4] and [B, 4, 2]) in layers.3/mlp: the batch dimensions differ"`,
    );
    expect(refusal(() => t.attend(x, y))).toMatchInlineSnapshot(
      `"ShapeError: matmul([T, 4] and [S, 3]) in layers.3/mlp: the inner dimensions 4 and S differ"`,
    );
  });

  it("rows by index", () => {
    expect(refusal(() => t.gather(x, scalar))).toMatchInlineSnapshot(
      `"ShapeError: gather([T, 4] and []) in layers.3/mlp: ids must be an int64 vector, the table must have rows"`,
    );
    expect(refusal(() => t.gather(scalar, ids))).toMatchInlineSnapshot(
      `"ShapeError: gather([] and [N]) in layers.3/mlp: ids must be an int64 vector, the table must have rows"`,
    );
    expect(refusal(() => t.scatterAdd(x, ids, y))).toMatchInlineSnapshot(
      `"ShapeError: scatterAdd([T, 4] and [N] and [S, 3]) in layers.3/mlp: ids must be an int64 vector, and values one row an id"`,
    );
  });

  it("layout", () => {
    expect(refusal(() => t.reshape(cube, ["B", 5]))).toMatchInlineSnapshot(
      `"ShapeError: reshape([B, 2, 3]) in layers.3/mlp: can't become [B, 5]"`,
    );
    expect(refusal(() => t.reshape(x, ["S", 4]))).toMatchInlineSnapshot(
      `"ShapeError: reshape([T, 4]) in layers.3/mlp: can't become [S, 4]"`,
    );
    expect(refusal(() => t.transpose(cube, [0, 1, 1]))).toMatchInlineSnapshot(
      `"ShapeError: transpose([B, 2, 3]) in layers.3/mlp: [0, 1, 1] is not a permutation of its axes"`,
    );
    expect(refusal(() => t.transpose(cube, [1, 0]))).toMatchInlineSnapshot(
      `"ShapeError: transpose([B, 2, 3]) in layers.3/mlp: [1, 0] is not a permutation of its axes"`,
    );
    expect(refusal(() => t.slice(x, 1, 2, 5))).toMatchInlineSnapshot(
      `"ShapeError: slice([T, 4]) in layers.3/mlp: no elements 2 to 5 on axis 1"`,
    );
    expect(refusal(() => t.slice(x, 1, 2, 2))).toMatchInlineSnapshot(
      `"ShapeError: slice([T, 4]) in layers.3/mlp: no elements 2 to 2 on axis 1"`,
    );
    expect(refusal(() => t.slice(x, 0, 0, 1))).toMatchInlineSnapshot(
      `"ShapeError: slice([T, 4]) in layers.3/mlp: no elements 0 to 1 on axis 0"`,
    );
    expect(refusal(() => t.pad(x, 1, -1, 0))).toMatchInlineSnapshot(
      `"ShapeError: pad([T, 4]) in layers.3/mlp: can't add -1 and 0 elements"`,
    );
    expect(refusal(() => t.concat([x, y], 0))).toMatchInlineSnapshot(
      `"ShapeError: concat([T, 4] and [S, 3]) in layers.3/mlp: only axis 0 may differ"`,
    );
    expect(refusal(() => t.concat([], 0))).toMatchInlineSnapshot(
      `"ShapeError: concat() in layers.3/mlp: there is nothing to join"`,
    );
    expect(refusal(() => t.broadcastTo(x, scalar))).toMatchInlineSnapshot(
      `"ShapeError: broadcastTo([T, 4] and []) in layers.3/mlp: the shape does not broadcast"`,
    );
  });

  it("fused operations", () => {
    expect(refusal(() => t.rmsNorm(x, t.input("w", [3]), 1e-5))).toMatchInlineSnapshot(
      `"ShapeError: rmsNorm([T, 4] and [3]) in layers.3/mlp: the weight must be a vector over the last axis, whose size must be known"`,
    );
    const tables = { cos: t.input("cos", [9, 2]), sin: t.input("sin", [9, 2]) };
    const positions = t.input("positions", ["T"], "int64");
    expect(refusal(() => t.rope(x, positions, tables, { heads: 2 }))).toMatchInlineSnapshot(
      `"ShapeError: rope([T, 4] and [T] and [9, 2] and [9, 2]) in layers.3/mlp: needs x [T, 2 heads * D], positions [T] of int64, and both tables [P, D / 2]"`,
    );
    expect(refusal(() => t.rope(x, ids, tables, { heads: 1 }))).toMatchInlineSnapshot(
      `"ShapeError: rope([T, 4] and [N] and [9, 2] and [9, 2]) in layers.3/mlp: needs x [T, 1 heads * D], positions [T] of int64, and both tables [P, D / 2]"`,
    );
  });

  it("constants", () => {
    expect(refusal(() => t.constant([1, 2, 3], [2, 2]))).toMatchInlineSnapshot(
      `"ShapeError: constant() in layers.3/mlp: 3 values for shape [2, 2]"`,
    );
  });

  it("integers where floats are needed", () => {
    expect(refusal(() => t.add(ids, 1))).toMatchInlineSnapshot(
      `"ShapeError: add([N] and []) in layers.3/mlp: works on float32, not on int64"`,
    );
    expect(refusal(() => t.exp(ids))).toMatchInlineSnapshot(
      `"ShapeError: exp([N]) in layers.3/mlp: works on float32, not on int64"`,
    );
    expect(refusal(() => t.reduceSum(ids))).toMatchInlineSnapshot(
      `"ShapeError: reduceSum([N]) in layers.3/mlp: works on float32, not on int64"`,
    );
  });
});

describe("an operation that changes nothing", () => {
  it("makes no node", () => {
    expect(t.reshape(x, ["T", 4])).toBe(x);
    expect(t.slice(x, 1, 0, 4)).toBe(x);
    expect(t.pad(x, 0, 0, 0)).toBe(x);
    expect(t.concat([x], 0)).toBe(x);
    expect(t.broadcastTo(x, t.input("like", ["T", 4]))).toBe(x);
    expect(t.reduceSum(x, [])).toBe(x);
  });
});

describe("the shapes of results", () => {
  it("follow named dimensions", () => {
    expect(t.matmul(cube, t.input("w", [3, "D"])).shape).toEqual(["B", 2, "D"]);
    expect(t.matmul(cube, cube, { transA: true }).shape).toEqual(["B", 3, 3]);
    expect(t.concat([x, t.input("past", ["P", 4])], 0).shape).toEqual(["P+T", 4]);
    expect(t.pad(x, 0, 1, 2).shape).toEqual(["T+3", 4]);
    expect(t.reshape(x, [t.product([2, "T"]), 2]).shape).toEqual(["2*T", 2]);
    expect(t.reduceSum(cube, [0, -1]).shape).toEqual([2]);
    expect(t.reduceSum(cube, [0, -1], { keepDims: true }).shape).toEqual([1, 2, 1]);
    expect(t.gather(cube, ids).shape).toEqual(["N", 2, 3]);
    expect(t.transpose(cube, [2, 0, 1]).shape).toEqual([3, "B", 2]);
    expect(t.add(t.input("column", ["T", 1]), t.constant([1, 2], [2])).shape).toEqual(["T", 2]);
  });
});
