/**
 * Llama 3's RoPE scaling, recovered from the divisors that a GGUF file stores instead of its parameters.
 *
 * With wavelength w_i = 2 pi theta^(2i/d), transformers divides frequency i by
 *   1                                    where w_i < o / high
 *   f                                    where w_i > o / low
 *   1 / ((1 - s_i) / f + s_i)            between, s_i = (o / w_i - low) / (high - low)
 * (f = factor, o = original_max_position_embeddings, low and high = low_freq_factor and high_freq_factor). Only o / low and
 * o / high matter, so low is taken as 1, as in every published Llama 3. Between, s_i is linear in 1 / w_i:
 *   s_i = o / (high - 1) / w_i - 1 / (high - 1), whose slope and intercept give o and high by least squares.
 */
import type { JsonObject } from "./checkpoint.ts";

/** Float32 divisors recomputed from the right parameters differ by rounding only. */
const TOLERANCE = 1e-4;

interface Llama3Scaling extends JsonObject {
  rope_type: "llama3";
  factor: number;
  low_freq_factor: number;
  high_freq_factor: number;
  original_max_position_embeddings: number;
}

/** `config.json`'s rope_scaling for divisors [headDim / 2], null where all are 1, undefined where no Llama 3 scaling gives them. */
export function fitLlama3Scaling(
  divisors: Float32Array,
  theta: number,
  headDim: number,
): JsonObject | null | undefined {
  if (divisors.length !== headDim / 2) return undefined;
  if (divisors.every((divisor) => divisor === 1)) return null;
  const candidate = estimate(divisors, theta);
  if (candidate === undefined) return undefined;
  const fits = llama3Divisors(candidate, theta, headDim).every(
    (divisor, i) => Math.abs(divisor - divisors[i]!) <= TOLERANCE * divisor,
  );
  return fits ? candidate : undefined;
}

/** The divisor of every frequency, [headDim / 2]. */
export function llama3Divisors(scaling: Llama3Scaling, theta: number, headDim: number): number[] {
  const { factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: original } = scaling;
  return Array.from({ length: headDim / 2 }, (_, i) => {
    const wavelength = wavelengthOf(i, theta, headDim);
    if (wavelength < original / high) return 1;
    if (wavelength > original / low) return factor;
    const smooth = (original / wavelength - low) / (high - low);
    return 1 / ((1 - smooth) / factor + smooth);
  });
}

function estimate(divisors: Float32Array, theta: number): Llama3Scaling | undefined {
  const factor = divisors.reduce((largest, divisor) => Math.max(largest, divisor), 1);
  const points = [...divisors.entries()]
    .filter(([, divisor]) => divisor > 1 && divisor < factor)
    .map(([i, divisor]) => ({
      x: 1 / wavelengthOf(i, theta, 2 * divisors.length),
      s: (1 / divisor - 1 / factor) / (1 - 1 / factor),
    }));
  if (points.length < 2) return undefined;
  const meanX = points.reduce((sum, { x }) => sum + x, 0) / points.length;
  const meanS = points.reduce((sum, { s }) => sum + s, 0) / points.length;
  const covariance = points.reduce((sum, { x, s }) => sum + (x - meanX) * (s - meanS), 0);
  const variance = points.reduce((sum, { x }) => sum + (x - meanX) ** 2, 0);
  const slope = covariance / variance;
  const intercept = meanS - slope * meanX;
  return {
    rope_type: "llama3",
    factor: Number(factor.toPrecision(6)),
    low_freq_factor: 1,
    high_freq_factor: Number((1 - 1 / intercept).toPrecision(4)),
    original_max_position_embeddings: Math.round(-slope / intercept),
  };
}

function wavelengthOf(i: number, theta: number, headDim: number): number {
  return 2 * Math.PI * theta ** ((2 * i) / headDim);
}
