/** Reading the settings of rotary embeddings in a model's `config.json`, by the names that versions of transformers gave them. */

import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { describeJson, isJsonObject } from "../checkpoints/json.ts";
import { CheckpointError } from "../errors.ts";
import type { RotaryOptions, RotaryScaling } from "./rotary.ts";

interface RotarySettings {
  readonly rope_theta?: number | null | undefined;
  readonly rope_scaling?: unknown;
  readonly rope_parameters?: unknown;
  readonly partial_rotary_factor?: number | null | undefined;
  readonly max_position_embeddings: number;
  readonly original_max_position_embeddings?: number | null | undefined;
}

interface RotaryDefaults {
  readonly source: string;
  readonly headDim: number;
  /** The base where the configuration has none; 10,000 if not given. */
  readonly base?: number;
  /** The share of a head that is turned where the configuration has none; families without it turn whole heads. */
  readonly partial?: number;
}

/**
 * The rotary embedding of a configuration: transformers 5 writes one `rope_parameters`, earlier versions `rope_theta` beside
 * `rope_scaling`, which where it says anything stands for all of the other. Throws CheckpointError for what is not supported.
 */
export function readRotary(c: RotarySettings, defaults: RotaryDefaults): RotaryOptions {
  const { source, headDim } = defaults;
  const scaling = ropeSettings(c.rope_scaling, "rope_scaling", source);
  const raw = Object.keys(scaling).length > 0 ? scaling : ropeSettings(c.rope_parameters, "rope_parameters", source);
  const nested = Object.keys(raw).find((key) => isJsonObject(raw[key]));
  if (nested !== undefined) {
    throw new CheckpointError(
      `${source}: config.json: rope_parameters.${nested}: rotary embeddings of each kind of layer apart are not supported in this family`,
    );
  }
  const settings = new Settings(raw, source);
  const base = settings.optional("rope_theta") ?? c.rope_theta ?? defaults.base ?? 10_000;
  const given = settings.optional("partial_rotary_factor") ?? c.partial_rotary_factor;
  if (defaults.partial === undefined && (given ?? 1) !== 1) {
    throw new CheckpointError(`${source}: config.json: partial_rotary_factor: only 1 is supported`);
  }
  const partial = given ?? defaults.partial ?? 1;
  const dimensions = Math.trunc(headDim * partial);
  if (dimensions < 2 || dimensions > headDim || dimensions % 2 !== 0) {
    throw new CheckpointError(
      `${source}: config.json: partial_rotary_factor ${partial} turns ${dimensions} of ${headDim} dimensions; it must be an even number of them`,
    );
  }
  return { base, dimensions, scaling: readScaling(settings, { ...c, source, base, dimensions }) };
}

/** An object of rotary settings, empty where it is missing or null. Throws CheckpointError for anything else. */
export function ropeSettings(value: unknown, key: string, source: string): JsonObject {
  const settings = (value ?? {}) as Json;
  if (isJsonObject(settings)) return settings;
  throw new CheckpointError(`${source}: config.json: ${key} must be an object, not ${describeJson(settings)}`);
}

interface ScalingContext extends RotarySettings {
  readonly source: string;
  readonly base: number;
  readonly dimensions: number;
}

const SCALINGS: Readonly<Record<string, (settings: Settings, context: ScalingContext) => RotaryScaling | undefined>> = {
  default: () => undefined,
  linear: (s) => ({ type: "linear", factor: s.number("factor") }),
  llama3: (s, c) => ({
    type: "llama3",
    factor: s.number("factor"),
    lowFrequencyFactor: s.number("low_freq_factor"),
    highFrequencyFactor: s.number("high_freq_factor"),
    originalMaxPositions: originalPositions(s, c),
  }),
  longrope: readLongRope,
  yarn: readYarn,
};

function readScaling(settings: Settings, context: ScalingContext): RotaryScaling | undefined {
  const { type } = settings;
  const read = Object.hasOwn(SCALINGS, type) ? SCALINGS[type] : undefined;
  if (!read) {
    throw new CheckpointError(
      `${context.source}: rope_scaling of type "${type}" is not supported (supported: ${Object.keys(SCALINGS).join(", ")})`,
    );
  }
  return read(settings, context);
}

/** The positions of the first training; beside the settings of the scaling they come before those in it. */
function originalPositions(s: Settings, c: ScalingContext): number {
  return (
    c.original_max_position_embeddings ?? s.optional("original_max_position_embeddings") ?? c.max_position_embeddings
  );
}

/** What `rope_scaling` or `rope_parameters` say: all numbers are above 0; what is missing or something else is refused by name. */
class Settings {
  private readonly raw: JsonObject;
  private readonly source: string;

  constructor(raw: JsonObject, source: string) {
    this.raw = raw;
    this.source = source;
  }

  /** The kind of scaling. */
  get type(): string {
    return String(this.raw.rope_type ?? this.raw.type ?? "default");
  }

  flag(key: string): boolean | undefined {
    const value = this.raw[key];
    if (value === undefined || typeof value === "boolean") return value;
    return this.refuse(key, "true or false");
  }

  optional(key: string): number | undefined {
    const value = this.raw[key];
    if (value === undefined || value === null) return undefined;
    return isPositive(value) ? value : this.refuse(key, "a number above 0");
  }

  number(key: string): number {
    return this.optional(key) ?? this.refuse(key, "a number above 0");
  }

  numbers(key: string, count: number): number[] {
    const value = this.raw[key];
    if (Array.isArray(value) && value.length === count && value.every(isPositive)) return value;
    return this.refuse(key, `a list of ${count} numbers above 0`);
  }

  private refuse(key: string, expected: string): never {
    throw new CheckpointError(`${this.source}: rope_scaling.${key} must be ${expected}`);
  }
}

function isPositive(value: Json): value is number {
  return typeof value === "number" && value > 0;
}

function readLongRope(s: Settings, c: ScalingContext): RotaryScaling {
  const original = originalPositions(s, c);
  const factor = s.optional("factor") ?? c.max_position_embeddings / original;
  return {
    type: "longrope",
    shortFactors: s.numbers("short_factor", c.dimensions / 2),
    longFactors: s.numbers("long_factor", c.dimensions / 2),
    attentionFactor:
      s.optional("attention_factor") ?? (factor <= 1 ? 1 : Math.sqrt(1 + Math.log(factor) / Math.log(original))),
    originalMaxPositions: original,
  };
}

function readYarn(s: Settings, c: ScalingContext): RotaryScaling {
  const { dimensions, base } = c;
  const original = originalPositions(s, c);
  const factor = s.optional("factor") ?? c.max_position_embeddings / original;
  const lengthened = (scale: number, by: number) => (scale <= 1 ? 1 : 0.1 * by * Math.log(scale) + 1);
  const [mscale, mscaleAll] = [s.optional("mscale"), s.optional("mscale_all_dim")];
  /** The dimension that turns so often over the original context. */
  const dimensionOf = (turns: number) =>
    (dimensions * Math.log(original / (turns * 2 * Math.PI))) / (2 * Math.log(base));
  const [fast, slow] = [dimensionOf(s.optional("beta_fast") ?? 32), dimensionOf(s.optional("beta_slow") ?? 1)];
  const whole = s.flag("truncate") ?? true;
  const low = Math.max(whole ? Math.floor(fast) : fast, 0);
  const high = Math.min(whole ? Math.ceil(slow) : slow, dimensions - 1);
  return {
    type: "yarn",
    factor,
    attentionFactor:
      s.optional("attention_factor") ??
      (mscale && mscaleAll ? lengthened(factor, mscale) / lengthened(factor, mscaleAll) : lengthened(factor, 1)),
    low,
    high: low === high ? high + 0.001 : high,
  };
}
