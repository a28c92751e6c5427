/**
 * A language model as the decoder that transformers.js and Optimum know: B sequences at a time, padded on the left where they are not
 * of one length, their new tokens attending to those cached and to each other.
 *
 *   input_ids, position_ids [B, T]   attention_mask [B, S + T]   past_key_values.N.key, .value [B, heads, S, headDim]
 *   -> logits [B, T, V]              present.N.key, .value [B, heads, S + T, headDim]
 *
 * S cached tokens, 0 at the start. A key is seen by the queries at its own place of the sequence and after it, where the mask is 1. A
 * token of the padding sees itself, for a softmax over nothing would be no number, and nobody sees it.
 */

import type { KeyValue, LanguageModel } from "../models/model.ts";
import { checkpointParameters } from "../models/parameters.ts";
import { rowLogits } from "../models/scoring.ts";
import {
  concat,
  greaterOrEqual,
  input,
  type Program,
  product,
  reshape,
  rowIndices,
  slice,
  type Tensor,
  toFloat,
  transpose,
  where,
} from "../tensor/index.ts";

const BATCH = "batch_size";
const NEW = "sequence_length";
const PAST = "past_sequence_length";
const ALL = `${PAST}+${NEW}`;

interface CacheShape {
  readonly heads: number;
  readonly headDim: number;
}

/** The decoder. Inputs besides those above: the weights by their names, and rotary tables of so many rows. */
export function cachedDecoder(model: LanguageModel, shape: CacheShape, tableRows: number): Program {
  const parameters = checkpointParameters(model.weights);
  const rows = product([BATCH, NEW]);
  const ids = input("input_ids", [BATCH, NEW], "int64");
  const seen = input("attention_mask", [BATCH, ALL], "int64");
  const { width } = model.rotaryTables(1);
  const past = Array.from({ length: model.layers }, (_, layer) => pastOf(layer, shape));
  const places = {
    queryPlaces: rowIndices(byPlace(ids), placesOf(past[0]!.key)),
    keyPlaces: rowIndices(byPlace(seen)),
  };
  const tokens = reshape(ids, [rows]);
  const { hidden, cache } = model.forward(parameters, {
    tokens,
    positions: reshape(input("position_ids", [BATCH, NEW], "int64"), [rows]),
    mask: visibility(places, seen),
    rows: rowIndices(tokens),
    rotary: { cos: input("rotary.cos", [tableRows, width]), sin: input("rotary.sin", [tableRows, width]) },
    past,
    batch: { sequences: BATCH, tokens: NEW, ...places },
  });
  const logits = rowLogits(model, hidden, parameters.tensor(model.headWeight));
  const present = cache.flatMap((own, layer) =>
    (["key", "value"] as const).map((part) => {
      const joined = concat([past[layer]![part], asHeads(own[part], shape)], 2);
      return [`present.${layer}.${part}`, joined] as const;
    }),
  );
  return { outputs: { logits: reshape(logits, [BATCH, NEW, model.vocabularySize]), ...Object.fromEntries(present) } };
}

/** The cache of a layer [B, heads, S, headDim]. */
function pastOf(layer: number, { heads, headDim }: CacheShape): KeyValue {
  const part = (name: string) => input(`past_key_values.${layer}.${name}`, [BATCH, heads, PAST, headDim]);
  return { key: part("key"), value: part("value") };
}

/** The model's rows [B * T, heads * headDim] to [B, heads, T, headDim]. */
function asHeads(x: Tensor, { heads, headDim }: CacheShape): Tensor {
  return transpose(reshape(x, [BATCH, NEW, heads, headDim]), [0, 2, 1, 3]);
}

/** [B, n] to [n, B], one row a place. */
function byPlace(x: Tensor): Tensor {
  return transpose(x, [1, 0]);
}

/** Something with one row a cached place [S, ...]. */
function placesOf(past: Tensor): Tensor {
  return transpose(slice(slice(past, 1, 0, 1), 3, 0, 1), [2, 0, 1, 3]);
}

/** 0 where a query sees a key [B, T, S + T], -infinity where it does not. */
function visibility(places: { readonly queryPlaces: Tensor; readonly keyPlaces: Tensor }, seen: Tensor): Tensor {
  const queries = reshape(toFloat(places.queryPlaces), [NEW, 1]);
  const keys = reshape(toFloat(places.keyPlaces), [1, ALL]);
  const hidden = Number.NEGATIVE_INFINITY;
  const unpadded = where(greaterOrEqual(reshape(toFloat(seen), [BATCH, 1, ALL]), 1), 0, hidden);
  return where(greaterOrEqual(queries, keys), where(greaterOrEqual(keys, queries), 0, unpadded), hidden);
}
