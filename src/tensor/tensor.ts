/**
 * Symbolic tensors: values of a program that has not run yet. A tensor is an output of a node; a node is an operation on
 * other tensors. Nodes are immutable, so a graph is just the tensors that one holds on to.
 */

import { ShapeError } from "../errors.ts";
import { formatShape, type Shape } from "./shape.ts";

export type DType = "float32" | "int64" | "bool";

/** Attributes of an operation: plain data, so that equal nodes can be found by comparing text. */
type Attributes = Readonly<Record<string, number | string | boolean | readonly (number | string)[]>>;

/** What is known of a value before the program runs. */
export interface TensorType {
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface Node {
  readonly op: string;
  readonly inputs: readonly Tensor[];
  readonly attributes: Attributes;
  /** The type of each output; all but the first are by-products that only gradient rules use. */
  readonly outputs: readonly TensorType[];
  /** The values of a constant, row-major; absent for every other operation. */
  readonly literal?: ArrayLike<number>;
  /** Computed anew for the backward pass, so never one with the forward pass's equal node. */
  readonly recomputed?: true;
  /** Where in the model the node was made: "layers.3/attention". */
  readonly scope: string;
}

export class Tensor implements TensorType {
  readonly node: Node;
  /** Which output of the node this is. */
  readonly index: number;

  constructor(node: Node, index = 0) {
    this.node = node;
    this.index = index;
  }

  get shape(): Shape {
    return this.node.outputs[this.index]!.shape;
  }

  get dtype(): DType {
    return this.node.outputs[this.index]!.dtype;
  }
}

let currentScope = "";

/** Names the part of the model that `build` makes; nested calls are joined by "/". Error messages show it. */
export function scope<T>(name: string, build: () => T): T {
  const outer = currentScope;
  currentScope = outer === "" ? name : `${outer}/${name}`;
  try {
    return build();
  } finally {
    currentScope = outer;
  }
}

interface NodeOptions {
  readonly attributes?: Attributes;
  readonly dtype?: DType;
  readonly literal?: ArrayLike<number>;
  readonly byProducts?: readonly TensorType[];
}

let recomputing = false;

/** Marks every node that `build` makes as recomputed. */
export function recomputed<T>(build: () => T): T {
  const outer = recomputing;
  recomputing = true;
  try {
    return build();
  } finally {
    recomputing = outer;
  }
}

/** Makes a node in the current scope and returns its first output. */
export function makeNode(op: string, inputs: readonly Tensor[], shape: Shape, options: NodeOptions = {}): Tensor {
  const { attributes = {}, dtype = "float32", literal, byProducts = [] } = options;
  const outputs = [{ shape, dtype }, ...byProducts];
  return new Tensor({
    op,
    inputs,
    attributes,
    outputs,
    scope: currentScope,
    ...(literal && { literal }),
    ...(recomputing && { recomputed: true }),
  });
}

/** A value that is given when the program runs, by name. */
export function input(name: string, shape: Shape, dtype: DType = "float32"): Tensor {
  return makeNode("input", [], shape, { attributes: { name }, dtype });
}

/** A literal: a number, or an array of values with its shape. */
export function constant(
  data: number | ArrayLike<number>,
  shape: readonly number[] = [],
  dtype: DType = "float32",
): Tensor {
  const values = typeof data === "number" ? [data] : data;
  const count = shape.reduce((a, b) => a * b, 1);
  if (values.length !== count)
    throw shapeError("constant", [], `${values.length} values for shape ${formatShape(shape)}`);
  return makeNode("constant", [], shape, { dtype, literal: values });
}

/** An error that names the operation, the shapes that went in, the place in the model, and the reason. */
export function shapeError(op: string, inputs: readonly Tensor[], reason: string): ShapeError {
  const shapes = inputs.map((t) => formatShape(t.shape)).join(" and ");
  const where = currentScope === "" ? "" : ` in ${currentScope}`;
  return new ShapeError(`${op}(${shapes})${where}: ${reason}`);
}
