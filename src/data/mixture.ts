/**
 * A mixture of sources by weight. Of its N rows a source with weight w has N w / (sum of all weights), and the sources alternate evenly:
 * so do the first rows of it, however many. N is such that
 * - `all`: every row is used, those of a source that is too small for its share more than once;
 * - `once`: no row is used twice, and a source that is too large for its share is not used up.
 * A source's rows come in a random order that the seed decides, a new one for every time it is gone through; without shuffling in
 * the order of its files.
 */

import { ConfigError } from "../errors.ts";
import { Random } from "../random.ts";

export const mixtures = ["all", "once"] as const;

export interface MixtureOptions {
  readonly mixture?: (typeof mixtures)[number] | undefined;
  readonly seed?: number | undefined;
  readonly shuffle?: boolean | undefined;
  /** The most rows. */
  readonly limit?: number | undefined;
}

/** A row of the mixture. */
export interface Drawn {
  readonly source: number;
  /** Its place among the source's rows. */
  readonly row: number;
}

/** The stream of random numbers of the mixture. */
const MIXTURE = 1_000_037;

/** A mixture that is larger than all its rows by more than this is a slip of a weight. */
const MAX_GROWTH = 1000;

/** The rows of a mixture in order, of sources with so many rows (at least 1) and weights. Throws ConfigError for absurd weights. */
export function mix(sizes: readonly number[], weights: readonly number[], options: MixtureOptions = {}): Drawn[] {
  const { seed = 0, shuffle = true } = options;
  const counts = countsOf(sizes, weights, options);
  const places = counts.flatMap((count, source) =>
    // The middles of equal parts of the way from 0 to 1.
    Array.from({ length: count }, (_, use) => ({ source, use, at: (use + 0.5) / count })),
  );
  places.sort((a, b) => a.at - b.at || a.source - b.source);
  const passes = new Map<string, Int32Array>();
  const orderOf = (source: number, pass: number) => {
    const key = `${source},${pass}`;
    const order = passes.get(key) ?? Random.fork(seed, MIXTURE, source, pass).permutation(sizes[source]!);
    passes.set(key, order);
    return order;
  };
  return places.map(({ source, use }) => {
    const size = sizes[source]!;
    return { source, row: shuffle ? orderOf(source, Math.floor(use / size))[use % size]! : use % size };
  });
}

/** How many rows of the mixture each source has. */
function countsOf(
  sizes: readonly number[],
  weights: readonly number[],
  { mixture = "all", limit = Number.POSITIVE_INFINITY }: MixtureOptions,
): number[] {
  const total = weights.reduce((a, b) => a + b, 0);
  const shares = weights.map((weight) => weight / total);
  const full = sizes.map((size, i) => size / shares[i]!);
  const wanted = mixture === "all" ? Math.max(...full) : Math.min(...full);
  const rows = Math.min(wanted, limit);
  if (rows > MAX_GROWTH * sizes.reduce((a, b) => a + b, 0)) {
    throw new ConfigError(
      `The weights ${weights.join(", ")} make ${Math.round(rows)} rows of sources of ${sizes.join(", ")}. Give the small ones less weight, or leave rows of the large ones out with --mixture once.`,
    );
  }
  return sizes.map((size, i) => {
    const count = Math.max(1, Math.round(rows * shares[i]!));
    return mixture === "once" ? Math.min(count, size) : count;
  });
}
