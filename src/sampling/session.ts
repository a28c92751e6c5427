/**
 * The course of one generation. Each run of the decode program takes the newest token of every sequence under way and,
 * beside them, tokens of prompts that wait; a sequence that ends makes room for the next. Equal prompts are computed once.
 *
 * A sequence has a random stream of its own, made from the seed and its index, so what else is under way does not change
 * what is drawn (but for float32 rounding, which depends on how many rows a product has).
 */

import { CheckpointError, DataError } from "../errors.ts";
import { type LanguageModel, refuseUnknown, rotaryInputValues, type Weights } from "../models/index.ts";
import { Random } from "../random.ts";
import type { Executable, Value } from "../runtime/runtime.ts";
import { type CacheRow, KeyValueCache } from "./cache.ts";
import { type ChoiceOptions, chooseToken } from "./choose.ts";

export interface Generation {
  /** The new tokens, the stop token included. */
  readonly tokens: number[];
  /** Why it ended: at a stop token, or at `maxNewTokens` or the model's last position. */
  readonly reason: "stop" | "length";
  /** Log-probability of each new token in nats, under the model itself: neither temperature nor nucleus applied. */
  readonly logps: number[];
}

export interface Settings extends ChoiceOptions {
  readonly maxNewTokens: number;
  readonly stopTokens: ReadonlySet<number>;
  readonly seed: number;
  readonly batchSize: number;
  readonly onToken: ((token: number, index: number) => void) | undefined;
}

/** Prompt tokens that one run takes at most: enough for full speed, few enough for the attention scores' memory. */
const PROMPT_TOKENS_PER_RUN = 512;

/** What the model says of the token after a row. */
interface Prediction {
  readonly logits: Float32Array | Float64Array;
  readonly logNormalizer: number;
}

interface Prompt {
  readonly owner: number;
  readonly tokens: ArrayLike<number>;
  /** Sequences that continue it and have not ended. */
  unfinished: number;
  /** Of its last row, once that is computed. */
  prediction: Prediction | undefined;
}

interface Sequence extends Omit<Generation, "reason"> {
  readonly owner: number;
  readonly prompt: Prompt;
  /** Which of the given prompts it answers. */
  readonly index: number;
  readonly limit: number;
  readonly random: Random;
}

/** A token to compute, and what to do with the prediction where one is wanted. */
interface Row extends CacheRow {
  readonly token: number;
  readonly position: number;
  readonly use?: (prediction: Prediction) => void;
}

export class Session {
  private readonly model: LanguageModel;
  private readonly program: Executable;
  private readonly inputs: Weights;
  private readonly settings: Settings;
  private readonly cache: KeyValueCache;
  private readonly results: Generation[];
  /** Sequences that have not been admitted, those of one prompt next to each other. */
  private readonly queue: Sequence[];
  private readonly active = new Set<Sequence>();
  /** Rows of admitted prompts that are still to be computed. */
  private readonly promptRows: Row[] = [];
  /** Owners whose cached rows are needed. */
  private readonly live = new Set<number>();

  /** Throws DataError for a prompt without tokens, longer than the model allows, or of tokens that it does not know. */
  constructor(
    model: LanguageModel,
    program: Executable,
    weights: Weights,
    prompts: readonly ArrayLike<number>[],
    settings: Settings,
  ) {
    this.model = model;
    this.program = program;
    this.settings = settings;
    this.cache = new KeyValueCache(model.layers, model.cacheWidth);
    this.results = new Array<Generation>(prompts.length);
    this.queue = this.plan(prompts);
    this.inputs = { ...weights, ...rotaryInputValues(model, this.rotaryRows()) };
  }

  async run(): Promise<Generation[]> {
    while (this.queue.length > 0 || this.active.size > 0) {
      this.admit();
      this.begin();
      const rows = [...this.newestRows(), ...this.promptRows.splice(0, PROMPT_TOKENS_PER_RUN)];
      if (rows.length > 0) await this.compute(rows);
      this.cache.collect((owner) => this.live.has(owner));
    }
    return this.results;
  }

  private plan(prompts: readonly ArrayLike<number>[]): Sequence[] {
    const { maxPositions } = this.model;
    const { maxNewTokens, seed } = this.settings;
    const groups = new Map<string, { prompt: Prompt; sequences: Sequence[] }>();
    let owners = 0;
    prompts.forEach((tokens, index) => {
      if (tokens.length === 0) throw new DataError(`Prompt ${index + 1} has no tokens: there is nothing to continue.`);
      if (tokens.length > maxPositions) {
        throw new DataError(
          `Prompt ${index + 1} has ${tokens.length} tokens, but the model allows ${maxPositions}. Shorten it.`,
        );
      }
      refuseUnknown(this.model, tokens, `Prompt ${index + 1}`);
      const limit = Math.min(maxNewTokens, maxPositions - tokens.length);
      if (limit === 0) {
        this.results[index] = { tokens: [], reason: "length", logps: [] };
        return;
      }
      const key = Array.from(tokens).join();
      if (!groups.has(key)) {
        groups.set(key, {
          prompt: { owner: owners++, tokens, unfinished: 0, prediction: undefined },
          sequences: [],
        });
      }
      const { prompt, sequences } = groups.get(key)!;
      prompt.unfinished++;
      const random = Random.fork(seed, index);
      sequences.push({ owner: owners++, prompt, index, limit, random, tokens: [], logps: [] });
    });
    return [...groups.values()].flatMap(({ sequences }) => sequences);
  }

  /** Rows that the rotary tables need: one a position. */
  private rotaryRows(): number {
    return this.queue.reduce((most, { prompt, limit }) => Math.max(most, prompt.tokens.length + limit), 1);
  }

  /** Takes sequences from the queue while there is room. */
  private admit(): void {
    for (const sequence of this.queue.splice(0, this.settings.batchSize - this.active.size)) {
      this.active.add(sequence);
      this.live.add(sequence.owner);
      const { prompt } = sequence;
      if (this.live.has(prompt.owner)) continue;
      this.live.add(prompt.owner);
      this.promptRows.push(...promptRows(prompt));
    }
  }

  /** Gives sequences whose prompt has been computed their first token. */
  private begin(): void {
    for (const sequence of this.active) {
      const { prediction } = sequence.prompt;
      if (sequence.tokens.length === 0 && prediction) this.extend(sequence, prediction);
    }
  }

  /** The newest token of every sequence that has begun. */
  private newestRows(): Row[] {
    return [...this.active]
      .filter(({ tokens }) => tokens.length > 0)
      .map((sequence) => ({
        owner: sequence.owner,
        prompt: sequence.prompt.owner,
        token: sequence.tokens.at(-1)!,
        position: sequence.prompt.tokens.length + sequence.tokens.length - 1,
        use: (prediction) => this.extend(sequence, prediction),
      }));
  }

  /** Runs the program on rows, caches them, and hands out the predictions. */
  private async compute(rows: readonly Row[]): Promise<void> {
    const wanted = rows.flatMap(({ use }, row) => (use ? [{ use, row }] : []));
    // The engine can't reshape arrays without elements, so one prediction is always asked for.
    const asked = wanted.length > 0 ? wanted.map(({ row }) => row) : [0];
    const outputs = await this.program.run({
      ...this.inputs,
      ...this.cache.past(),
      tokens: ints(rows.map(({ token }) => token)),
      positions: ints(rows.map(({ position }) => position)),
      mask: this.cache.mask(rows),
      rows: ints(asked),
    });
    this.cache.append(rows, outputs);
    const size = this.model.vocabularySize;
    const logits = outputs.logits!.data as Prediction["logits"];
    wanted.forEach(({ use }, i) => {
      const logNormalizer = Number(outputs.logNormalizers!.data[i]);
      if (!Number.isFinite(logNormalizer)) {
        throw new CheckpointError(
          "The model's logits are not finite numbers, so no token can be chosen. Its weights hold NaN, infinity or values far out of range: the file is damaged, or training diverged.",
        );
      }
      use({ logits: logits.subarray(i * size, (i + 1) * size), logNormalizer });
    });
  }

  private extend(sequence: Sequence, { logits, logNormalizer }: Prediction): void {
    const { stopTokens, onToken } = this.settings;
    const token = chooseToken(logits, this.settings, sequence.random);
    sequence.tokens.push(token);
    sequence.logps.push(logits[token]! - logNormalizer);
    onToken?.(token, sequence.index);
    if (stopTokens.has(token)) this.end(sequence, "stop");
    else if (sequence.tokens.length === sequence.limit) this.end(sequence, "length");
  }

  private end(sequence: Sequence, reason: Generation["reason"]): void {
    const { index, tokens, logps, prompt, owner } = sequence;
    this.results[index] = { tokens, reason, logps };
    this.active.delete(sequence);
    this.live.delete(owner);
    if (--prompt.unfinished === 0) this.live.delete(prompt.owner);
  }
}

function promptRows(prompt: Prompt): Row[] {
  const { owner, tokens } = prompt;
  // Copied, because the array of a run's predictions is no longer than the run.
  const keep = ({ logits, logNormalizer }: Prediction) => {
    prompt.prediction = { logits: logits.slice(), logNormalizer };
  };
  return Array.from(tokens, (token, position) => ({
    owner,
    prompt: owner,
    token,
    position,
    ...(position === tokens.length - 1 && { use: keep }),
  }));
}

function ints(values: readonly number[]): Value {
  return { dims: [values.length], data: BigInt64Array.from(values, BigInt) };
}
