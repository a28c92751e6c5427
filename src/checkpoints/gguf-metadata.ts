/** GGUF metadata by key with the type that the reader expects; a value of another type is refused by key. */
import { CheckpointError } from "../errors.ts";
import type { MetadataValue } from "./gguf-header.ts";

export class GgufMetadata {
  /** The file, for messages. */
  readonly source: string;
  readonly #values: ReadonlyMap<string, MetadataValue>;

  constructor(source: string, values: ReadonlyMap<string, MetadataValue>) {
    this.source = source;
    this.#values = values;
  }

  has(key: string): boolean {
    return this.#values.has(key);
  }

  text(key: string): string | undefined {
    return this.#get(key, "text", (value) => typeof value === "string");
  }

  flag(key: string): boolean | undefined {
    return this.#get(key, "true or false", (value) => typeof value === "boolean");
  }

  real(key: string): number | undefined {
    return this.#get(key, "a number", (value) => typeof value === "number" && Number.isFinite(value));
  }

  /** A whole number >= 0. */
  natural(key: string): number | undefined {
    return this.#get(key, "a whole number >= 0", (value) => Number.isSafeInteger(value) && Number(value) >= 0);
  }

  texts(key: string): string[] | undefined {
    return this.#get(
      key,
      "a list of texts",
      (value) => Array.isArray(value) && value.every((item) => typeof item === "string"),
    );
  }

  reals(key: string): number[] | undefined {
    return this.#get(
      key,
      "a list of numbers",
      (value) => Array.isArray(value) && value.every((item) => typeof item === "number"),
    );
  }

  /** `value`, which came from `key`, or CheckpointError saying that the key is missing. */
  require<T>(key: string, value: T | undefined): T {
    if (value === undefined)
      throw new CheckpointError(`${this.source}: the GGUF metadata lacks ${JSON.stringify(key)}.`);
    return value;
  }

  #get<T extends MetadataValue>(key: string, expected: string, fits: (value: MetadataValue) => boolean): T | undefined {
    const value = this.#values.get(key);
    if (value === undefined) return undefined;
    if (fits(value)) return value as T;
    const shown = Array.isArray(value) ? `a list of ${value.length}` : String(value).slice(0, 60);
    throw new CheckpointError(
      `${this.source}: the GGUF metadata ${JSON.stringify(key)} must be ${expected}, not ${shown}.`,
    );
  }
}

/** The shortest decimal that rounds to the same float32, so that a stored 1e-5 reads 1e-5 again and not 9.99999974e-6. */
export function shortestFloat32(value: number): number {
  for (let digits = 1; digits < 9; digits++) {
    const candidate = Number(value.toPrecision(digits));
    if (Math.fround(candidate) === value) return candidate;
  }
  return value;
}
