/** Rotary position embedding of whole heads, or of the first dimensions of each. */

import { concat, reshape, rope, slice, type Tensor } from "../../tensor/index.ts";
import type { TokenInputs } from "../model.ts";

/**
 * Turns x [T, heads * headDim] by its positions [T]. Where the tables [P, n] have fewer angles than headDim / 2, the first 2 n
 * dimensions of each head turn and the others pass.
 */
export function rotate(
  x: Tensor,
  positions: Tensor,
  tables: TokenInputs["rotary"],
  { heads, headDim }: { heads: number; headDim: number },
): Tensor {
  const turned = 2 * (tables.cos.shape[1] as number);
  if (turned === headDim) return rope(x, positions, tables, { heads });
  const tokens = x.shape[0]!;
  const byHead = reshape(x, [tokens, heads, headDim]);
  const first = rope(reshape(slice(byHead, 2, 0, turned), [tokens, heads * turned]), positions, tables, { heads });
  const rest = slice(byHead, 2, turned, headDim);
  return reshape(concat([reshape(first, [tokens, heads, turned]), rest], 2), x.shape);
}

/** The columns of one table where several lie next to each other. */
export function tableColumns(tables: TokenInputs["rotary"], start: number, width: number): TokenInputs["rotary"] {
  return { cos: slice(tables.cos, 1, start, start + width), sin: slice(tables.sin, 1, start, start + width) };
}
