/**
 * Rotary position embedding's tables: the angle of position p in dimension pair i is p * frequency_i, with
 * frequency_i = base^(-2i / dimensions) (Su et al. 2021), changed for long contexts as the checkpoint's `rope_scaling` says.
 * Angles are rounded to float32 as transformers rounds them.
 */

/** Frequencies of short waves keep, those of long ones are divided by `factor`, with a blend between (Grattafiori et al. 2024). */
interface Llama3Scaling {
  readonly type: "llama3";
  readonly factor: number;
  readonly lowFrequencyFactor: number;
  readonly highFrequencyFactor: number;
  readonly originalMaxPositions: number;
}

/** All positions divided by a factor. */
interface LinearScaling {
  readonly type: "linear";
  readonly factor: number;
}

/**
 * LongRoPE (Ding et al. 2024): each frequency is divided by a factor of its own, by others where a sequence is longer than those of
 * the model's first training, and what is turned is made longer by `attentionFactor`.
 */
interface LongRopeScaling {
  readonly type: "longrope";
  readonly shortFactors: readonly number[];
  readonly longFactors: readonly number[];
  readonly attentionFactor: number;
  readonly originalMaxPositions: number;
}

/**
 * YaRN (Peng et al. 2023): frequencies that turn often over the original context keep, those that turn seldom are divided by
 * `factor`, with a ramp over the dimensions `low` to `high` between, and what is turned is made longer by `attentionFactor`.
 */
interface YarnScaling {
  readonly type: "yarn";
  readonly factor: number;
  readonly attentionFactor: number;
  readonly low: number;
  readonly high: number;
}

export type RotaryScaling = Llama3Scaling | LinearScaling | LongRopeScaling | YarnScaling;

export interface RotaryOptions {
  readonly base: number;
  /** How many dimensions of a head are turned. */
  readonly dimensions: number;
  readonly scaling?: RotaryScaling | undefined;
}

/** Columns of one rotary embedding's tables. */
export const rotaryWidth = ({ dimensions }: RotaryOptions): number => dimensions / 2;

/** The angular frequency of each dimension pair [dimensions / 2], in radians a position, for sequences of at most `count` tokens. */
function rotaryFrequencies({ base, dimensions, scaling }: RotaryOptions, count: number): Float32Array {
  return Float32Array.from({ length: dimensions / 2 }, (_, i) => {
    const wavelength = Math.fround(base ** Math.fround((2 * i) / dimensions));
    if (scaling?.type === "longrope") {
      const { shortFactors, longFactors, originalMaxPositions } = scaling;
      const factors = count > originalMaxPositions ? longFactors : shortFactors;
      return 1 / Math.fround(Math.fround(factors[i]!) * wavelength);
    }
    const frequency = Math.fround(1 / wavelength);
    if (scaling?.type === "yarn") {
      const { low, high, factor } = scaling;
      const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
      return (frequency / factor) * ramp + frequency * (1 - ramp);
    }
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

/**
 * Cosine and sine of every angle for positions 0 to `count` - 1, each [count, width]: the columns of each rotary embedding
 * after those of the one before.
 */
export function rotaryTables(embeddings: readonly RotaryOptions[], count: number) {
  const columns = embeddings.flatMap((options) => {
    const { scaling } = options;
    const length = scaling && "attentionFactor" in scaling ? scaling.attentionFactor : 1;
    return Array.from(rotaryFrequencies(options, count), (frequency) => ({ frequency, length }));
  });
  const width = columns.length;
  const cos = new Float32Array(count * width);
  const sin = new Float32Array(count * width);
  for (let p = 0; p < count; p++) {
    columns.forEach(({ frequency, length }, i) => {
      const angle = Math.fround(p * frequency);
      cos[p * width + i] = length * Math.cos(angle);
      sin[p * width + i] = length * Math.sin(angle);
    });
  }
  return { cos, sin, width };
}
