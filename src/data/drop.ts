/**
 * Rows that can be used, and that a load leaves out where it is asked to:
 * - `duplicates`: rows that are an earlier one to the letter. The first stays.
 * - `near-duplicates`: these, and rows that are nearly an earlier one (near-duplicates.ts). The first stays.
 * - `opposites`: pairs that are preferred both ways round, answers that are labelled desirable and not. None of them stays, for
 *   nothing says which is right.
 * - `garbled`: rows in whose texts characters were lost or read in the wrong encoding (garbled.ts).
 * - `leaks`: held-out rows that are among those to train on, but for letter case, spaces and the order of completions.
 */

import { ConfigError } from "../errors.ts";
import { describeOrigin, type Example, type RowOrigin } from "./example.ts";
import { excerptAround, LOST, MOJIBAKE } from "./garbled.ts";
import { hashOfHashes } from "./hash.ts";
import { describeLikeness, NearDuplicates } from "./near-duplicates.ts";
import { RowProblem } from "./problem.ts";
import { exactKey, hashesOf, looseKey, opposingKeys, wordsOf } from "./repeats.ts";

export const droppable = ["duplicates", "near-duplicates", "opposites", "garbled", "leaks"] as const;
type Droppable = (typeof droppable)[number];

/** Rows to train on by their `looseKey`, each with its first place. */
export type KnownRows = ReadonlyMap<number, RowOrigin>;

export interface DropOptions {
  /** Which rows are left out; none by default. */
  readonly drop?: readonly Droppable[] | undefined;
  /** Rows to train on, where those that are loaded are held out. */
  readonly trainedOn?: KnownRows | undefined;
}

/** Throws ConfigError where leaks into nothing are to be left out. */
export function refuseDropWithoutUse(drop: readonly Droppable[] | undefined, evalData: unknown): void {
  if (evalData !== undefined || !drop?.includes("leaks")) return;
  throw new ConfigError(
    "--drop leaks leaves rows out of --eval-data, and there is none. Give held-out rows, or leave it out.",
  );
}

/** Leaves rows out as they come by. */
export class DropFilter {
  /** The rows that were kept, for held-out rows to be held against; none unless leaks are dropped. */
  readonly known: KnownRows;
  private readonly drop: ReadonlySet<Droppable>;
  private readonly trainedOn: KnownRows | undefined;
  private readonly contradicted: ReadonlySet<number>;
  private readonly exact = new Map<number, RowOrigin>();
  private readonly near = new NearDuplicates();
  private readonly loose = new Map<number, RowOrigin>();

  /** `contradicted` are the `opposingKeys` of rows whose opposite is there too. */
  constructor({ drop, trainedOn }: DropOptions, contradicted: ReadonlySet<number>) {
    this.drop = new Set(drop);
    this.trainedOn = trainedOn;
    this.contradicted = contradicted;
    this.known = this.loose;
  }

  /**
   * Throws RowProblem for a row of which these are the examples and which is to be left out. Else what is returned keeps the row in
   * mind, which is for rows that turn out to be of use: of one that is not, a later one is no repetition.
   */
  check(examples: readonly Example[], origin: RowOrigin): () => void {
    if (this.drop.has("garbled")) refuseGarbled(examples);
    if (examples.some((example) => this.contradicted.has(opposingKeys(example)?.own ?? Number.NaN))) {
      throw new RowProblem("opposite preference", "another row says the opposite");
    }
    const keeps = [
      ...(this.drop.has("leaks") ? [this.checkLeak(examples, origin)] : []),
      ...(this.drop.has("duplicates") || this.drop.has("near-duplicates") ? [this.checkCopy(examples, origin)] : []),
      ...(this.drop.has("near-duplicates") ? [this.checkNear(examples, origin)] : []),
    ];
    return () => {
      for (const keep of keeps) keep();
    };
  }

  private checkLeak(examples: readonly Example[], origin: RowOrigin): () => void {
    const key = hashOfHashes(examples.map(looseKey));
    const trained = this.trainedOn?.get(key);
    if (trained) throw new RowProblem("trained on", `is ${describeOrigin(trained)}, which is trained on`);
    return () => {
      if (!this.loose.has(key)) this.loose.set(key, origin);
    };
  }

  private checkCopy(examples: readonly Example[], origin: RowOrigin): () => void {
    const key = hashOfHashes(examples.map((example) => exactKey(example, hashesOf(example))));
    const earlier = this.exact.get(key);
    if (earlier) throw new RowProblem("duplicate", `the same as ${describeOrigin(earlier)}`);
    return () => this.exact.set(key, origin);
  }

  private checkNear(examples: readonly Example[], origin: RowOrigin): () => void {
    const found = this.near.find(examples, origin);
    if ("keep" in found) return found.keep;
    throw new RowProblem("near duplicate", describeLikeness(found));
  }
}

function refuseGarbled(examples: readonly Example[]): void {
  const texts = examples.flatMap(({ prompt, completions }) => [prompt, ...completions].map(wordsOf));
  const lost = excerptAround(LOST, texts);
  if (lost !== undefined) throw new RowProblem("garbled text", `characters were lost in ${lost}`);
  const misread = excerptAround(MOJIBAKE, texts);
  if (misread !== undefined) throw new RowProblem("garbled text", `${misread} is text in the wrong encoding`);
}
