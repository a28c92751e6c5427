/** What one layer of a decoder reads of a micro-batch, and how layers follow each other. */

import { concat, gather, reshape, scope, type Tensor, transpose } from "../../tensor/index.ts";
import type { KeyValue, ModelOutputs, SequenceBatch, TokenInputs } from "../model.ts";
import { windowMask } from "./window.ts";

/** The last layer computes nothing past its keys and values but the rows that are wanted. */
export class LayerInputs {
  readonly positions: Tensor;
  readonly rotary: TokenInputs["rotary"];
  private readonly inputs: TokenInputs;
  private readonly past: KeyValue | undefined;
  private readonly last: boolean;

  constructor(inputs: TokenInputs, index: number, last: boolean) {
    this.inputs = inputs;
    this.positions = inputs.positions;
    this.rotary = inputs.rotary;
    this.past = inputs.past?.[index];
    this.last = last && inputs.batch === undefined;
  }

  get batch(): SequenceBatch | undefined {
    return this.inputs.batch;
  }

  /** Whether `pick` leaves rows out. */
  get picks(): boolean {
    return this.last;
  }

  /** The rows of [T, ...] that the layer computes past its keys and values. */
  pick(x: Tensor): Tensor {
    return this.last ? gather(x, this.inputs.rows) : x;
  }

  /** The past's keys and values, then the tokens' own [S + T, width]; of a batch [B, kvHeads, S + T, headDim]. */
  withPast({ key, value }: KeyValue): KeyValue {
    const { past, batch } = this;
    if (past === undefined) return { key, value };
    const after = (before: Tensor, own: Tensor) =>
      batch ? concat([before, byHead(own, before, batch)], 2) : concat([before, own], 0);
    return { key: after(past.key, key), value: after(past.value, value) };
  }

  /** Added to the attention scores of the picked rows: what they may not see, and what lies outside the window. */
  mask(window: number | undefined): Tensor {
    const { mask, positions, pastPositions, batch } = this.inputs;
    if (window === undefined) return this.pick(mask);
    if (batch) return windowMask(mask, batch.queryPlaces, batch.keyPlaces, window);
    const keys = pastPositions ? concat([pastPositions, positions], 0) : positions;
    return this.pick(windowMask(mask, positions, keys, window));
  }
}

/** Rows [B * T, kvHeads * headDim] as the past of a batch is [B, kvHeads, T, headDim]. */
function byHead(rows: Tensor, { shape }: Tensor, { sequences, tokens }: SequenceBatch): Tensor {
  return transpose(reshape(rows, [sequences, tokens, shape[1]!, shape[3]!]), [0, 2, 1, 3]);
}

export interface LayerOutputs {
  /** [T, hidden], or the wanted rows [R, hidden] of the last layer. */
  readonly output: Tensor;
  readonly cache: KeyValue;
}

/** Layers one after another from the embedded tokens x [T, hidden], and the norm at the end. */
export function runLayers(
  inputs: TokenInputs,
  x: Tensor,
  stack: {
    readonly count: number;
    readonly layer: (x: Tensor, inputs: LayerInputs, index: number) => LayerOutputs;
    readonly norm: (x: Tensor) => Tensor;
  },
): ModelOutputs {
  const cache: KeyValue[] = [];
  let hidden = x;
  for (let index = 0; index < stack.count; index++) {
    const inputsOfLayer = new LayerInputs(inputs, index, index === stack.count - 1);
    const done = scope(`layers.${index}`, () => stack.layer(hidden, inputsOfLayer, index));
    cache.push(done.cache);
    hidden = done.output;
  }
  return { hidden: scope("norm", () => stack.norm(hidden)), cache };
}
