/**
 * A language model as the decoder that transformers.js and Optimum know: one sequence at a time, its new tokens attending to those
 * cached and to each other.
 *
 *   input_ids [1, T]      attention_mask [1, S + T]   past_key_values.N.key, .value [1, heads, S, headDim]
 *   -> logits [1, T, V]   present.N.key, .value [1, heads, S + T, headDim]
 *
 * S cached tokens, 0 at the start. A token's position is its place in the cache; it is no input, because transformers.js counts Gemma 3's
 * from 1. A key is seen by queries of its own position and later ones, where the mask is 1.
 */

import type { KeyValue, LanguageModel } from "../models/model.ts";
import { checkpointParameters } from "../models/parameters.ts";
import { rowLogits } from "../models/scoring.ts";
import {
  concat,
  greaterOrEqual,
  input,
  type Program,
  reshape,
  rowIndices,
  type Tensor,
  toFloat,
  transpose,
  where,
} from "../tensor/index.ts";

const NEW = "sequence_length";
const PAST = "past_sequence_length";
const ALL = `${PAST}+${NEW}`;

interface CacheShape {
  readonly heads: number;
  readonly headDim: number;
}

/** The decoder. Inputs besides those above: the weights by their names, and rotary tables of `maxPositions` rows. */
export function cachedDecoder(model: LanguageModel, shape: CacheShape, maxPositions: number): Program {
  const parameters = checkpointParameters(model.weights);
  const flat = (name: string, size: string) => reshape(input(name, [1, size], "int64"), [size]);
  const [tokens, seen] = [flat("input_ids", NEW), flat("attention_mask", ALL)];
  const { width } = model.rotaryTables(1);
  const past = Array.from({ length: model.layers }, (_, layer) => pastOf(layer, shape));
  const rows = past.map(({ key, value }) => ({ key: asRows(key, shape), value: asRows(value, shape) }));
  const positions = rowIndices(tokens, rows[0]!.key);
  const { hidden, cache } = model.forward(parameters, {
    tokens,
    positions,
    mask: visibility(positions, seen),
    rows: rowIndices(tokens),
    rotary: { cos: input("rotary.cos", [maxPositions, width]), sin: input("rotary.sin", [maxPositions, width]) },
    past: rows,
    pastPositions: rowIndices(rows[0]!.key),
  });
  const logits = rowLogits(model, hidden, parameters.tensor(model.headWeight));
  const present = cache.flatMap((own, layer) =>
    (["key", "value"] as const).map((part) => {
      const joined = concat([past[layer]![part], asHeads(own[part], shape)], 1);
      return [`present.${layer}.${part}`, reshape(joined, [1, shape.heads, ALL, shape.headDim])] as const;
    }),
  );
  return { outputs: { logits: reshape(logits, [1, NEW, model.vocabularySize]), ...Object.fromEntries(present) } };
}

/** The cache of a layer [heads, S, headDim]. */
function pastOf(layer: number, { heads, headDim }: CacheShape): KeyValue {
  const part = (name: string) =>
    reshape(input(`past_key_values.${layer}.${name}`, [1, heads, PAST, headDim]), [heads, PAST, headDim]);
  return { key: part("key"), value: part("value") };
}

/** [heads, S, headDim] to the model's rows [S, heads * headDim]. */
function asRows(x: Tensor, { heads, headDim }: CacheShape): Tensor {
  return reshape(transpose(x, [1, 0, 2]), [PAST, heads * headDim]);
}

/** The model's rows [T, heads * headDim] to [heads, T, headDim]. */
function asHeads(x: Tensor, { heads, headDim }: CacheShape): Tensor {
  return transpose(reshape(x, [NEW, heads, headDim]), [1, 0, 2]);
}

/** 0 where a query at one of the positions [T] sees a key [S + T], -infinity where it does not. */
function visibility(positions: Tensor, seen: Tensor): Tensor {
  const queries = reshape(toFloat(positions), [NEW, 1]);
  const keys = reshape(toFloat(rowIndices(seen)), [1, ALL]);
  const unmasked = where(greaterOrEqual(reshape(toFloat(seen), [1, ALL]), 1), 0, Number.NEGATIVE_INFINITY);
  return where(greaterOrEqual(queries, keys), unmasked, Number.NEGATIVE_INFINITY);
}
