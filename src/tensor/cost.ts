/**
 * What a run of a program takes, told from its graph: operations of matrix products, and memory for values in between.
 * Sizes that the program leaves open (T, R, C, E) are given when it is asked, so one count serves every micro-batch.
 */

import { type OptimizeOptions, optimize, type Program, topologicalOrder } from "./program.ts";
import { type Dim, evaluateDim, type Shape } from "./shape.ts";
import type { DType, Node, Tensor } from "./tensor.ts";

export type Sizes = ReadonlyMap<string, number>;

export interface ProgramCost {
  /** Floating-point operations of the matrix products, 2 m n k each; all else is little beside them. */
  flops(sizes: Sizes): number;
  /** The matrix products, equal ones counted together. */
  products(sizes: Sizes): Product[];
  /** Numbers that all other operations make. */
  otherNumbers(sizes: Sizes): number;
  /** The most bytes that values in between take at one time. */
  peakBytes(sizes: Sizes): number;
  /** Operations: what a compiled program's own size grows with. */
  readonly nodes: number;
}

/** A matrix product a b of which there are `count`; the last two dimensions of an operand are exchanged where it says so. */
export interface Product {
  readonly a: readonly number[];
  readonly b: readonly number[];
  readonly transA: boolean;
  readonly transB: boolean;
  readonly count: number;
  /** Of one of them. */
  readonly flops: number;
}

/** The cost of a program as a runtime with these fused operations computes it. */
export function programCost(program: Program, options: OptimizeOptions): ProgramCost {
  const order = executionOrder(optimize(program, options));
  const matmuls = order.filter(({ op }) => op === "matmul");
  const others = order.filter(({ op }) => op !== "matmul" && !VIEWS.has(op));
  const steps = lifetimes(order);
  return {
    flops: (sizes) => matmuls.reduce((total, node) => total + evaluate(productDims(node), sizes), 0),
    products: (sizes) => countedProducts(matmuls, sizes),
    otherNumbers: (sizes) => others.reduce((total, { outputs }) => total + evaluate(outputs[0]!.shape, sizes), 0),
    peakBytes: (sizes) => peak(steps, sizes),
    nodes: order.length,
  };
}

function productDims({ inputs, outputs, attributes }: Node): Shape {
  const inner = inputs[0]!.shape.at(attributes.transA ? -2 : -1)!;
  return [2, inner, ...outputs[0]!.shape];
}

function countedProducts(matmuls: readonly Node[], sizes: Sizes): Product[] {
  const counted = new Map<string, Product>();
  for (const node of matmuls) {
    const [a, b] = node.inputs.map(({ shape }) => shape.map((dim) => evaluateDim(dim, sizes))) as [number[], number[]];
    const { transA, transB } = node.attributes as { transA: boolean; transB: boolean };
    const key = JSON.stringify([a, b, transA, transB]);
    const count = (counted.get(key)?.count ?? 0) + 1;
    counted.set(key, { a, b, transA, transB, count, flops: evaluate(productDims(node), sizes) });
  }
  return [...counted.values()];
}

const evaluate = (dims: readonly Dim[], sizes: Sizes) =>
  dims.reduce<number>((n, dim) => n * evaluateDim(dim, sizes), 1);

/**
 * The order in which onnxruntime runs the operations: depth first from the last of those that nothing depends on, the latest
 * input first.
 */
function executionOrder({ outputs }: Program): Node[] {
  const nodes = topologicalOrder(Object.values(outputs)).filter(isComputed);
  const index = new Map(nodes.map((node, i) => [node, i]));
  const inner = new Set(nodes.flatMap(({ inputs }) => inputs.map(({ node }) => node)));
  const latestLast = (list: readonly Node[]) => list.toSorted((a, b) => index.get(a)! - index.get(b)!);
  const stack = nodes.filter((node) => !inner.has(node)).map((node) => ({ node, entered: false }));
  const order: Node[] = [];
  const seen = new Set<Node>();
  for (let top = stack.pop(); top; top = stack.pop()) {
    const { node, entered } = top;
    if (entered) order.push(node);
    if (entered || seen.has(node)) continue;
    seen.add(node);
    stack.push({ node, entered: true });
    const inputs = new Set(node.inputs.map((t) => t.node).filter(isComputed));
    for (const before of latestLast([...inputs])) stack.push({ node: before, entered: false });
  }
  return order;
}

function isComputed({ op }: Node): boolean {
  return op !== "input" && op !== "constant";
}

/** What an operation takes, and what is free once it has run. */
interface Step {
  readonly made: readonly Extent[];
  readonly freed: readonly Extent[];
}

interface Extent {
  readonly shape: Shape;
  readonly dtype: DType;
}

/** Operations whose result is their input's values where they lie. */
const VIEWS: ReadonlySet<string> = new Set(["reshape", "stopGradient"]);

/** Outputs stay to the end: the runtime hands them out. */
function lifetimes(order: readonly Node[]): Step[] {
  const place = (t: Tensor): string => {
    let at = t;
    while (VIEWS.has(at.node.op)) at = at.node.inputs[0]!;
    return `${ids.get(at.node)}:${at.index}`;
  };
  const ids = new Map<Node, number>();
  for (const node of order) for (const t of [{ node }, ...node.inputs]) if (!ids.has(t.node)) ids.set(t.node, ids.size);
  const lastUse = new Map<string, number>();
  order.forEach((node, i) => {
    for (const t of node.inputs) if (isComputed(t.node)) lastUse.set(place(t), i);
  });
  const extents = new Map<string, Extent>();
  return order.map((node, i) => {
    const made = VIEWS.has(node.op) ? [] : node.outputs;
    made.forEach((extent, k) => {
      extents.set(`${ids.get(node)}:${k}`, extent);
    });
    const inputs = new Set(node.inputs.filter((t) => isComputed(t.node)).map(place));
    const freed = [...inputs].filter((key) => lastUse.get(key) === i).flatMap((key) => extents.get(key) ?? []);
    return { made, freed };
  });
}

const BYTES: Readonly<Record<DType, number>> = { float32: 4, int64: 8, bool: 1 };

function peak(steps: readonly Step[], sizes: Sizes): number {
  const bytes = ({ shape, dtype }: Extent) => BYTES[dtype] * evaluate(shape, sizes);
  const sum = (extents: readonly Extent[]) => extents.reduce((total, extent) => total + bytes(extent), 0);
  let [held, most] = [0, 0];
  for (const { made, freed } of steps) {
    held += sum(made);
    most = Math.max(most, held);
    held -= sum(freed);
  }
  return most;
}
