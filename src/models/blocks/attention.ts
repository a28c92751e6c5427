/**
 * Causal attention with grouped queries (Ainslie et al. 2023): softmax(scale q k + mask) v for every head, where `heads`
 * query heads share `kvHeads` heads of keys and values. Flat token rows, no batch axis: who may look at whom is the mask's
 * business.
 */

import { add, attend, matmul, mul, product, reshape, type Tensor, tanh, transpose } from "../../tensor/index.ts";
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

  // Query heads of one group read the same keys, so a group's heads are stacked as rows of one product.
  const [t, s, group] = [query.shape[0]!, key.shape[0]!, heads / kvHeads];
  const stacked = reshape(transpose(reshape(query, [t, kvHeads, group, headDim]), [1, 2, 0, 3]), [
    kvHeads,
    product([group, t]),
    headDim,
  ]);
  const byHead = (tensor: Tensor) => transpose(reshape(tensor, [s, kvHeads, headDim]), [1, 0, 2]);
  const products = (alpha: number) => matmul(stacked, byHead(key), { transB: true, alpha });
  const scores = cap === undefined ? products(scale) : mul(cap, tanh(products(scale / cap)));
  const masked = reshape(add(reshape(scores, [kvHeads, group, t, s]), layer.mask(window)), scores.shape);
  const context = reshape(attend(masked, byHead(value)), [kvHeads, group, t, headDim]);
  return { context: reshape(transpose(context, [2, 0, 1, 3]), [t, heads * headDim]), cache: own };
}
