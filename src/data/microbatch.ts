/**
 * A micro-batch is one flat list of tokens without padding. The prompt of an example stands once, its completions after
 * it; every completion's positions go on from the prompt. Token i sees token j iff j <= i, both belong to the same
 * example, and j is in the prompt or in i's own completion (Wang and Hegde 2024, arXiv 2410.20305).
 *
 *   tokens     p0 p1 p2 | a0 a1 | b0 b1 b2      one example with prompt p and completions a, b
 *   positions   0  1  2 |  3  4 |  3  4  5
 *   rows, targets:  p2 predicts a0, a0 a1; p2 predicts b0, b0 b1, b1 b2
 *   ends:      a1, b2
 *
 * Tokens of a completion that are not scored (another's turn in a conversation) have no row: nothing has to predict them.
 */

import type { TokenizedExample } from "./example.ts";

export interface MicroBatch {
  /** Token ids [T]. */
  readonly tokens: BigInt64Array<ArrayBuffer>;
  /** Positions [T]. */
  readonly positions: BigInt64Array<ArrayBuffer>;
  /** 0 where a token may look, -infinity where not [T, T]. */
  readonly mask: Float32Array<ArrayBuffer>;
  /** The tokens that predict a completion token [R], and what they must predict [R]. */
  readonly rows: BigInt64Array<ArrayBuffer>;
  readonly targets: BigInt64Array<ArrayBuffer>;
  /** 1 where a row belongs to a completion [C, R]. */
  readonly membership: Float32Array<ArrayBuffer>;
  /** The token at which a reward model reads each completion [C]: its last, passing over padding tokens. */
  readonly ends: BigInt64Array<ArrayBuffer>;
  /** Scored tokens of each completion [C]. */
  readonly lengths: Float32Array<ArrayBuffer>;
}

type Sequence = Pick<TokenizedExample, "prompt" | "completions" | "scored">;

/** The number of tokens of each completion that are scored: what every objective calls its length. */
export function scoredLengths({ completions, scored }: Pick<TokenizedExample, "completions" | "scored">): number[] {
  return completions.map((ids, i) => (scored ? scored[i]!.reduce((count, flag) => count + flag, 0) : ids.length));
}

/** Tokens that an example takes in a micro-batch: its prompt once, and all its completions. */
export function packedLength({ prompt, completions }: Sequence): number {
  return completions.reduce((total, completion) => total + completion.length, prompt.length);
}

/** Positions that the longest prompt with one of its completions takes, at least 1. */
export function longestSequence(examples: readonly Sequence[]): number {
  return examples.reduce(
    (most, { prompt, completions }) =>
      completions.reduce((longest, ids) => Math.max(longest, prompt.length + ids.length), most),
    1,
  );
}

/**
 * Lays examples out one after another. Every prompt must have a token, which predicts the completions' first. `padToken` is
 * passed over where it stands at a completion's end, when `ends` are looked for.
 */
export function packExamples(examples: readonly Sequence[], padToken?: number): MicroBatch {
  const length = examples.reduce((total, example) => total + packedLength(example), 0);
  const lengths = examples.flatMap(scoredLengths);
  const rowCount = lengths.reduce((a, b) => a + b, 0);
  const batch: MicroBatch = {
    tokens: new BigInt64Array(length),
    positions: new BigInt64Array(length),
    mask: new Float32Array(length * length).fill(Number.NEGATIVE_INFINITY),
    rows: new BigInt64Array(rowCount),
    targets: new BigInt64Array(rowCount),
    membership: new Float32Array(lengths.length * rowCount),
    ends: new BigInt64Array(lengths.length),
    lengths: Float32Array.from(lengths),
  };
  let start = 0;
  let row = 0;
  let index = 0;
  for (const { prompt, completions, scored } of examples) {
    if (prompt.length === 0) throw new RangeError("a prompt without tokens can't predict a completion");
    const look = (from: number, begin: number) => batch.mask.fill(0, from * length + begin, from * length + from + 1);
    prompt.forEach((token, i) => {
      batch.tokens[start + i] = BigInt(token);
      batch.positions[start + i] = BigInt(i);
      look(start + i, start);
    });
    let at = start + prompt.length;
    completions.forEach((completion, c) => {
      const first = at;
      completion.forEach((token, i) => {
        batch.tokens[at] = BigInt(token);
        batch.positions[at] = BigInt(prompt.length + i);
        look(at, first);
        batch.mask.fill(0, at * length + start, at * length + start + prompt.length);
        if (!scored || scored[c]![i] === 1) {
          batch.rows[row] = BigInt(i === 0 ? start + prompt.length - 1 : at - 1);
          batch.targets[row] = BigInt(token);
          batch.membership[index * rowCount + row] = 1;
          row++;
        }
        at++;
      });
      // A completion of padding alone is read where its prompt ends.
      const last = completion.findLastIndex((token) => token !== padToken);
      batch.ends[index] = BigInt(last < 0 ? start + prompt.length - 1 : first + last);
      index++;
    });
    start = at;
  }
  return batch;
}

/**
 * Groups examples into micro-batches of at most `budget` tokens (one example may be longer), as few as first-fit by
 * falling length finds. Returns indices; the grouping depends on the lengths alone.
 */
export function planMicroBatches(lengths: readonly number[], budget: number): number[][] {
  const order = lengths.map((_, i) => i).sort((a, b) => lengths[b]! - lengths[a]! || a - b);
  const groups: { indices: number[]; total: number }[] = [];
  for (const i of order) {
    const group = groups.find(({ total }) => total + lengths[i]! <= budget);
    if (group) {
      group.indices.push(i);
      group.total += lengths[i]!;
    } else {
      groups.push({ indices: [i], total: lengths[i]! });
    }
  }
  return groups.map(({ indices }) => indices.sort((a, b) => a - b));
}

/**
 * The scores of each example's completions, computed in micro-batches of at most `budget` tokens. `score` gives those of a
 * group's completions, one after another.
 */
export async function scoreInMicroBatches<E extends Sequence, S>(
  examples: readonly E[],
  budget: number,
  score: (group: readonly E[]) => Promise<ArrayLike<S>>,
): Promise<S[][]> {
  const found = new Array<S[]>(examples.length);
  for (const indices of planMicroBatches(examples.map(packedLength), budget)) {
    const scores = await score(indices.map((i) => examples[i]!));
    let start = 0;
    for (const i of indices) {
      const first = start;
      const count = examples[i]!.completions.length;
      found[i] = Array.from({ length: count }, (_, c) => scores[first + c]!);
      start += count;
    }
  }
  return found;
}
