/**
 * A program: named outputs, and by reachability the inputs that they need. Passes over a program rebuild its graph from
 * the leaves up, so that what no output needs is gone, and equal nodes become one.
 */

import { ShapeError } from "../errors.ts";
import { decompositions } from "./fused.ts";
import { rewrite } from "./rewrite.ts";
import { formatShape, sameShape } from "./shape.ts";
import { constant, type Node, recomputed, Tensor } from "./tensor.ts";

export interface Program {
  readonly outputs: Readonly<Record<string, Tensor>>;
}

/** Every node that the tensors need, each after its inputs. The walk does not enter nodes that `stop` names. */
export function topologicalOrder(tensors: Iterable<Tensor>, stop: { has(node: Node): boolean } = new Set()): Node[] {
  const order: Node[] = [];
  const seen = new Set<Node>();
  // An explicit stack: a deep model's graph is deeper than the call stack allows.
  const stack: { node: Node; next: number }[] = [];
  const enter = (node: Node) => {
    if (seen.has(node) || stop.has(node)) return;
    seen.add(node);
    stack.push({ node, next: 0 });
  };
  for (const tensor of tensors) {
    enter(tensor.node);
    for (let top = stack.at(-1); top; top = stack.at(-1)) {
      const child = top.node.inputs[top.next++];
      if (child) enter(child.node);
      else order.push(stack.pop()!.node);
    }
  }
  return order;
}

/** The inputs of a program by name. Throws ShapeError for a name that two inputs of different types have. */
export function programInputs(program: Program): Map<string, Tensor> {
  const inputs = new Map<string, Tensor>();
  for (const node of topologicalOrder(Object.values(program.outputs))) {
    if (node.op !== "input") continue;
    const name = node.attributes.name as string;
    const t = new Tensor(node);
    const known = inputs.get(name);
    if (known && (known.dtype !== t.dtype || !sameShape(known.shape, t.shape))) {
      throw new ShapeError(`two inputs are named "${name}": ${describe(known)} and ${describe(t)}`);
    }
    inputs.set(name, known ?? t);
  }
  return inputs;
}

const describe = (t: Tensor): string => `${t.dtype} ${formatShape(t.shape)}`;

export interface OptimizeOptions {
  /** The fused operations that the runtime has as single kernels; all others become primitives. */
  readonly fused: ReadonlySet<string>;
  /** Evaluates a node whose inputs are all constants: the values of its first output, row-major. */
  readonly fold?: (node: Node) => ArrayLike<number>;
}

/** Constants up to this many values are worth folding; larger ones would only make the program file grow. */
const FOLD_LIMIT = 4096;

/** Lowers fused operations that the runtime lacks, folds constants, and computes common subexpressions once. */
export function optimize(program: Program, options: OptimizeOptions): Program {
  const rebuilt = new Map<Node, readonly Tensor[]>();
  const canonical = new Map<string, Node>();
  const identity = new Map<unknown, number>();
  const idOf = (thing: unknown): number => {
    if (!identity.has(thing)) identity.set(thing, identity.size);
    return identity.get(thing)!;
  };

  const intern = (node: Node): readonly Tensor[] => {
    const inputs = node.inputs.map((t) => `${idOf(t.node)}:${t.index}`);
    const literal = node.literal && (node.literal.length <= 64 ? textOf(node.literal) : idOf(node.literal));
    const key = JSON.stringify([node.op, node.attributes, node.outputs, inputs, literal, node.recomputed]);
    const known = canonical.get(key);
    if (known) return rebuilt.get(known)!;
    canonical.set(key, node);
    const outputs = node.outputs.map((_, i) => new Tensor(node, i));
    rebuilt.set(node, outputs);
    return outputs;
  };

  const rebuild = (root: Tensor): Tensor => {
    for (const node of topologicalOrder([root], rebuilt)) {
      const moved: Node = { ...node, inputs: node.inputs.map((t) => rebuilt.get(t.node)![t.index]!) };
      const decompose = options.fused.has(node.op) ? undefined : decompositions[node.op];
      const rewritten = rewrite(moved);
      const lower = () => decompose!(moved);
      if (decompose) rebuilt.set(node, (moved.recomputed ? recomputed(lower) : lower()).map(rebuild));
      else if (rewritten) rebuilt.set(node, [rebuild(rewritten)]);
      else if (options.fold && isFoldable(moved)) rebuilt.set(node, [rebuild(foldNode(moved, options.fold))]);
      else rebuilt.set(node, intern(moved));
    }
    return rebuilt.get(root.node)![root.index]!;
  };

  return { outputs: Object.fromEntries(Object.entries(program.outputs).map(([name, t]) => [name, rebuild(t)])) };
}

/** The values as text that tells all numbers apart: JSON writes infinities and NaN as null, and -0 as 0. */
const textOf = (values: ArrayLike<number>): string[] =>
  Array.from(values, (x) => (Object.is(x, -0) ? "-0" : String(x)));

function isFoldable(node: Node): boolean {
  if (node.op in decompositions) return false;
  const count = node.outputs[0]!.shape.reduce<number>((a, dim) => (typeof dim === "number" ? a * dim : Infinity), 1);
  return node.inputs.length > 0 && count <= FOLD_LIMIT && node.inputs.every((t) => t.node.op === "constant");
}

function foldNode(node: Node, fold: (node: Node) => ArrayLike<number>): Tensor {
  const { shape, dtype } = node.outputs[0]!;
  return constant(fold(node), shape as number[], dtype);
}
