/** Algebraic rewrites: the same value by cheaper operations. Each is one function from a node to its replacement. */

import { matmul, mul } from "./operations.ts";
import type { Node, Tensor } from "./tensor.ts";

/** The replacement of a node by a cheaper one, where a rule applies. */
export function rewrite(node: Node): Tensor | undefined {
  return node.op === "matmul" ? moveRowScale(node) : undefined;
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
