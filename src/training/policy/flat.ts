/**
 * Trainable parameters, gradients and optimizer moments as flat arrays with one table of named views: one buffer to
 * update, to clip, to checkpoint, to sum over machines.
 */

import type { Value } from "../../runtime/runtime.ts";

export interface ViewSpec {
  readonly name: string;
  readonly shape: readonly number[];
}

export class FlatArray {
  readonly data: Float32Array<ArrayBuffer>;
  /** Each named part of `data`, sharing its memory. */
  readonly views: ReadonlyMap<string, Value & { readonly data: Float32Array<ArrayBuffer> }>;

  constructor(specs: readonly ViewSpec[]) {
    const sizes = specs.map(({ shape }) => shape.reduce((a, b) => a * b, 1));
    this.data = new Float32Array(sizes.reduce((a, b) => a + b, 0));
    let offset = 0;
    this.views = new Map(
      specs.map(({ name, shape }, i) => {
        const start = offset;
        offset += sizes[i]!;
        return [name, { dims: shape, data: this.data.subarray(start, offset) }];
      }),
    );
  }
}

/** The L2 norm of all values, summed in double precision. */
export function globalNorm(values: Float32Array): number {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i]! * values[i]!;
  return Math.sqrt(total);
}

/** What to scale gradients of this L2 norm by so that it is at most `most`: as torch.nn.utils.clip_grad_norm_. */
export function clippingScale(norm: number, most: number): number {
  return Math.min(1, most / (norm + 1e-6));
}
