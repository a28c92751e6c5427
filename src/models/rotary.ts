/**
 * Rotary position embedding's tables: the angle of position p in dimension pair i is p * frequency_i, with
 * frequency_i = base^(-2i / headDim) (Su et al. 2021), changed for long contexts as the checkpoint's `rope_scaling` says.
 * Angles are rounded to float32 as transformers rounds them.
 */

import { CheckpointError } from "../errors.ts";

/** Frequencies below the lowest wavelength keep, above the longest are divided by `factor`, blended between. */
export interface Llama3Scaling {
  readonly type: "llama3";
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

/** All positions divided by a factor. */
export interface LinearScaling {
  readonly type: "linear";
  readonly factor: number;
}

export interface RotaryOptions {
  readonly base: number;
  readonly headDim: number;
  readonly scaling?: Llama3Scaling | LinearScaling;
}

/** The angular frequency of each dimension pair [headDim / 2], in radians a position. */
export function rotaryFrequencies({ base, headDim, scaling }: RotaryOptions): Float32Array {
  return Float32Array.from({ length: headDim / 2 }, (_, i) => {
    const frequency = Math.fround(1 / Math.fround(base ** Math.fround((2 * i) / headDim)));
    return scaling ? scaleFrequency(frequency, scaling) : frequency;
  });
}

function scaleFrequency(frequency: number, scaling: Llama3Scaling | LinearScaling): number {
  if (scaling.type === "linear") return frequency / scaling.factor;
  const { factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaxPositions } = scaling;
  const turns = originalMaxPositions / ((2 * Math.PI) / frequency);
  if (turns < low) return frequency / factor;
  if (turns > high) return frequency;
  const smooth = (turns - low) / (high - low);
  return ((1 - smooth) * frequency) / factor + smooth * frequency;
}

/** Cosine and sine of every angle for positions 0 to `count` - 1, each [count, headDim / 2]. */
export function rotaryTables(options: RotaryOptions, count: number) {
  const frequencies = rotaryFrequencies(options);
  const width = frequencies.length;
  const cos = new Float32Array(count * width);
  const sin = new Float32Array(count * width);
  for (let p = 0; p < count; p++) {
    for (let i = 0; i < width; i++) {
      const angle = Math.fround(p * frequencies[i]!);
      cos[p * width + i] = Math.cos(angle);
      sin[p * width + i] = Math.sin(angle);
    }
  }
  return { cos, sin, width };
}

/** Reads `rope_theta`, `rope_scaling` (or `rope_parameters`) of a config.json. Throws CheckpointError for what is not supported. */
export function readRotaryScaling(source: string, raw: unknown): Llama3Scaling | LinearScaling | undefined {
  if (raw === null || raw === undefined || typeof raw !== "object") return undefined;
  const settings = raw as Record<string, unknown>;
  const type = settings.rope_type ?? settings.type ?? "default";
  const number = (key: string): number => {
    const value = settings[key];
    if (typeof value !== "number") throw new CheckpointError(`${source}: rope_scaling.${key} must be a number`);
    return value;
  };
  if (type === "default") return undefined;
  if (type === "linear") return { type, factor: number("factor") };
  if (type === "llama3") {
    return {
      type,
      factor: number("factor"),
      lowFrequencyFactor: number("low_freq_factor"),
      highFrequencyFactor: number("high_freq_factor"),
      originalMaxPositions: number("original_max_position_embeddings"),
    };
  }
  throw new CheckpointError(
    `${source}: rope_scaling of type "${type}" is not supported (supported: default, linear, llama3)`,
  );
}
