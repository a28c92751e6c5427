/** Tiny models of every family with what transformers computed on them (tests/reference/models_families.py). */

import { readFileSync } from "node:fs";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { type LanguageModel, modelFor, type Weights } from "../../src/models/index.ts";
import type { WeightShapes } from "../../src/models/parameters.ts";
import type { Example } from "./golden.ts";

/** Of a gradient: its norm, its product with the formula's values for "probe:NAME", and three of its values. */
type Summary = readonly [norm: number, probe: number, first: number, middle: number, last: number];

interface Variant {
  readonly config: JsonObject;
  readonly shapes: Record<string, number[]>;
  readonly logps: number[][];
  readonly gradients: Record<string, Summary>;
}

interface Adapter extends Pick<Variant, "logps" | "gradients"> {
  readonly r: number;
  readonly lora_alpha: number;
  readonly fanInFanOut: boolean;
}

export const families = JSON.parse(
  readFileSync(new URL("../golden/models/families.json", import.meta.url), "utf8"),
) as {
  readonly examples: Example[];
  readonly coefficients: number[];
  readonly variants: Record<string, Variant>;
  readonly adapters: Record<string, Adapter>;
  readonly rewards: Record<string, { config: JsonObject; rewards: number[] }>;
};

/** The golden model of a variant. */
export function familyModel(variant: string): LanguageModel {
  return modelFor({ config: families.variants[variant]!.config, source: variant });
}

/** A bijection of 32-bit numbers that leaves no pattern (Wellons' lowbias32). */
function mix(x: number): number {
  let y = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  y = Math.imul(y ^ (y >>> 15), 0x846ca68b);
  return (y ^ (y >>> 16)) >>> 0;
}

/** `count` numbers in [-0.5, 0.5) that depend on the name alone, exact in float32. */
export function formulaValues(name: string, count: number): Float32Array<ArrayBuffer> {
  let seed = 2166136261;
  for (const byte of new TextEncoder().encode(name)) seed = Math.imul(seed ^ byte, 16777619);
  return Float32Array.from({ length: count }, (_, i) => (mix((seed + i) | 0) >>> 8) / 2 ** 24 - 0.5);
}

/** The reference script's weights, made from their names: gains around 1, everything else around 0. */
export function familyWeights(shapes: WeightShapes): Weights {
  return Object.fromEntries(
    [...shapes].map(([name, dims]) => {
      const isGain = dims.length === 1 && name.endsWith(".weight");
      const data = formulaValues(
        name,
        dims.reduce((a, b) => a * b, 1),
      );
      return [name, { dims, data: isGain ? data.map((x) => 1 + x) : data }];
    }),
  );
}

/** The same summary of a gradient as the golden file has. */
export function summarize(name: string, gradient: ArrayLike<number>): Summary {
  const probe = formulaValues(`probe:${name}`, gradient.length);
  const sum = (f: (x: number, i: number) => number) => Array.from(gradient, f).reduce((a, b) => a + b, 0);
  const [middle, last] = [Math.floor(gradient.length / 3), gradient.length - 1];
  return [Math.sqrt(sum((x) => x * x)), sum((x, i) => x * probe[i]!), gradient[0]!, gradient[middle]!, gradient[last]!];
}
