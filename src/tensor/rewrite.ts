/** Algebraic rewrites: the same value by cheaper operations. Each is one function from a node to its replacement. */

import { concat, matmul, mul, pad } from "./operations.ts";
import { sameShape } from "./shape.ts";
import type { Node, Tensor } from "./tensor.ts";

/** The replacement of a node by a cheaper one, where a rule applies. */
export function rewrite(node: Node): Tensor | undefined {
  if (node.op === "matmul") return moveRowScale(node);
  return node.op === "add" ? joinNeighbours(node) : undefined;
}

/**
 * diag(s) A B = diag(s) (A B) and (diag(s) A)^T B = A^T (diag(s) B): a scale of A's rows moves to whichever matrix is
 * narrower. In the gradient of a log-probability A is [rows, vocabulary] and B has only the hidden size.
 */
function moveRowScale({ inputs: [scaledA, b], attributes }: Node): Tensor | undefined {
  const { transA, transB, alpha } = attributes as { transA: boolean; transB: boolean; alpha: number };
  const { node } = scaledA!;
  if (node.op !== "mul" || scaledA!.shape.length !== 2 || b!.shape.length !== 2) return undefined;
  const [a, s] = node.inputs as [Tensor, Tensor];
  const [width, inner] = [a.shape[1], b!.shape[transB ? 0 : 1]];
  const scalesRows = a.shape.length === 2 && s.shape.length === 2 && s.shape[1] === 1 && s.shape[0] === a.shape[0];
  if (!scalesRows || typeof width !== "number" || typeof inner !== "number" || width <= inner) return undefined;
  if (!transA) return mul(matmul(a, b!, { transB, alpha }), s);
  return transB ? undefined : matmul(a, mul(b!, s), { transA, alpha });
}

/**
 * Two values that lie next to each other among zeros, added, are the two joined among fewer zeros: (0 0 b) + (0 a 0) = (0 a b).
 * It is what the gradient of a tensor becomes that was used in slices.
 */
function joinNeighbours({ inputs: [left, right] }: Node): Tensor | undefined {
  const [a, b] = [left!.node, right!.node];
  if (a.op !== "pad" || b.op !== "pad" || !sameShape(left!.shape, right!.shape)) return undefined;
  const [first, second] = Number(a.attributes.before) < Number(b.attributes.before) ? [a, b] : [b, a];
  const [x, y] = [first.inputs[0]!, second.inputs[0]!];
  const { axis, before } = first.attributes as { axis: number; before: number };
  const size = x.shape[axis];
  if (second.attributes.axis !== axis || typeof size !== "number" || before + size !== second.attributes.before) {
    return undefined;
  }
  return pad(concat([...parts(x, axis), ...parts(y, axis)], axis), axis, before, Number(second.attributes.after));
}

/** What a tensor was joined from along an axis. */
function parts(x: Tensor, axis: number): readonly Tensor[] {
  return x.node.op === "concat" && x.node.attributes.axis === axis ? x.node.inputs : [x];
}
