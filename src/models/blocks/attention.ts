/**
 * Causal attention with grouped queries (Ainslie et al. 2023): softmax(scale q k + mask) v for every head, where `heads`
 * query heads share `kvHeads` heads of keys and values. Token rows are flat, without a batch axis: who may look at whom is the mask's
 * business. For a padded batch of sequences, such as other programs compute, the products are of each sequence alone.
 */

import {
  add,
  attend,
  type Dim,
  matmul,
  mul,
  product,
  reshape,
  type Shape,
  type Tensor,
  tanh,
  transpose,
} from "../../tensor/index.ts";
import type { KeyValue } from "../model.ts";
import type { LayerInputs } from "./layer.ts";
import { rotate } from "./rotate.ts";

export interface HeadSizes {
  readonly heads: number;
  readonly kvHeads: number;
  readonly headDim: number;
}

export interface AttentionOptions extends HeadSizes {
  /** The factor on the products of queries and keys. */
  readonly scale: number;
  /** Scores s become cap tanh(s / cap) (Gemma 2, section 2). */
  readonly cap?: number | undefined;
  /** Rotary tables of queries and keys; none where the layer has no rotary embedding. */
  readonly rotary?: LayerInputs["rotary"] | undefined;
  /** How many positions a token sees, itself included; all where it is not given. */
  readonly window?: number | undefined;
}

/** Projections of a layer's rows: query [R, heads * headDim] of the picked rows, key and value [T, kvHeads * headDim] of all. */
export interface Projections extends KeyValue {
  readonly query: Tensor;
}

/** What the picked rows see [R, heads * headDim], and the rows' own keys and values for the cache. */
export function attention(
  projected: Projections,
  layer: LayerInputs,
  options: AttentionOptions,
): { context: Tensor; cache: KeyValue } {
  const { heads, kvHeads, headDim, scale, cap, rotary, window } = options;
  const turn = (x: Tensor, positions: Tensor, count: number) =>
    rotary ? rotate(x, positions, rotary, { heads: count, headDim }) : x;
  const query = turn(projected.query, layer.pick(layer.positions), heads);
  const own = { key: turn(projected.key, layer.positions, kvHeads), value: projected.value };
  const { key, value } = layer.withPast(own);

  const [t, s] = layer.batch ? [layer.batch.tokens, key.shape[2]!] : [query.shape[0]!, key.shape[0]!];
  const layout = layer.batch ? sequences(options, layer.batch.sequences, t, s) : flatRows(options, t, s);
  const [stacked, keys, values] = [layout.stack(query), layout.byHead(key), layout.byHead(value)];
  const products = (alpha: number) => matmul(stacked, keys, { transB: true, alpha });
  const scores = cap === undefined ? products(scale) : mul(cap, tanh(products(scale / cap)));
  const masked = reshape(add(reshape(scores, layout.scores), layout.mask(layer.mask(window))), scores.shape);
  return { context: layout.rows(attend(masked, values)), cache: own };
}

/** How rows become matrices, one a head, and what is seen becomes rows again. Query heads of one group read the same keys. */
interface Layout {
  /** Queries, a group's heads stacked as rows of one product. */
  stack(query: Tensor): Tensor;
  /** Keys or values. */
  byHead(x: Tensor): Tensor;
  /** The shape in which scores meet the mask. */
  readonly scores: Shape;
  mask(mask: Tensor): Tensor;
  rows(context: Tensor): Tensor;
}

/** t rows that see s, those that the mask [t, s] lets them. */
function flatRows({ heads, kvHeads, headDim }: HeadSizes, t: Dim, s: Dim): Layout {
  const group = heads / kvHeads;
  return {
    stack: (query) =>
      reshape(transpose(reshape(query, [t, kvHeads, group, headDim]), [1, 2, 0, 3]), [
        kvHeads,
        product([group, t]),
        headDim,
      ]),
    byHead: (x) => transpose(reshape(x, [s, kvHeads, headDim]), [1, 0, 2]),
    scores: [kvHeads, group, t, s],
    mask: (mask) => mask,
    rows: (context) =>
      reshape(transpose(reshape(context, [kvHeads, group, t, headDim]), [2, 0, 1, 3]), [t, heads * headDim]),
  };
}

/** t rows of each of b sequences that see s of their own, those that the mask [b, t, s] lets them. */
function sequences({ heads, kvHeads, headDim }: HeadSizes, b: Dim, t: Dim, s: Dim): Layout {
  const group = heads / kvHeads;
  const matrices = product([b, kvHeads]);
  return {
    stack: (query) =>
      reshape(transpose(reshape(query, [b, t, kvHeads, group, headDim]), [0, 2, 3, 1, 4]), [
        matrices,
        product([group, t]),
        headDim,
      ]),
    byHead: (x) => reshape(x, [matrices, s, headDim]),
    scores: [b, heads, t, s],
    mask: (mask) => reshape(mask, [b, 1, t, s]),
    rows: (context) =>
      reshape(transpose(reshape(context, [b, kvHeads, group, t, headDim]), [0, 3, 1, 2, 4]), [
        product([b, t]),
        heads * headDim,
      ]),
  };
}
