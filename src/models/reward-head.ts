/**
 * A language model's checkpoint presented as that of a reward model with a new head, as transformers makes one: the row
 * `score.weight` drawn from a normal distribution of deviation `initializer_range`, the embedding kept, no `lm_head`.
 *
 * transformers finds the token to read as the last that is not padding. Where a tokenizer pads with its end token, as many
 * do, that is the token before the end, which says nothing of whether the text ends there. So the new model pads with
 * another token.
 */

import type { Checkpoint, Json, JsonObject, TensorInfo, TokenizerFiles } from "../checkpoints/checkpoint.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { Random } from "../random.ts";
import type { LanguageModel } from "./model.ts";
import { REWARD_HEAD, rewardConfig } from "./reward.ts";

/** The stream of random numbers that makes the head. */
const HEAD_STREAM = 1_000_033;
/** What transformers' configurations have where they say nothing. */
const INITIALIZER_RANGE = 0.02;

/** The checkpoint of a model as a reward model's: itself where it is one, else with a new head from the seed. */
export function withRewardHead(
  checkpoint: Checkpoint,
  { scores, hiddenSize }: Pick<LanguageModel, "scores" | "hiddenSize">,
  seed: number,
): Checkpoint {
  return scores === "reward" ? checkpoint : new RewardCheckpoint(checkpoint, hiddenSize, seed);
}

class RewardCheckpoint implements Checkpoint {
  readonly source: string;
  readonly config: JsonObject;
  readonly tokenizer: TokenizerFiles;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #base: Checkpoint;
  readonly #seed: number;

  constructor(base: Checkpoint, hiddenSize: number, seed: number) {
    this.#base = base;
    this.#seed = seed;
    this.source = base.source;
    const padding = paddingToken(base);
    this.config = rewardConfig(base.config, padding?.id);
    const { tokenizer } = base;
    this.tokenizer = padding
      ? { ...tokenizer, config: { ...tokenizer.config, pad_token: padding.content } }
      : tokenizer;
    const head: TensorInfo = { name: REWARD_HEAD, shape: [1, hiddenSize], storage: "F32" };
    this.tensors = new Map([...base.tensors, [REWARD_HEAD, head]]);
  }

  read(name: string): Float32Array<ArrayBuffer> {
    if (name !== REWARD_HEAD) return this.#base.read(name);
    const { initializer_range: range } = this.config;
    const deviation = typeof range === "number" ? range : INITIALIZER_RANGE;
    const random = Random.fork(this.#seed, HEAD_STREAM);
    return Float32Array.from({ length: this.tensors.get(name)!.shape[1]! }, () => deviation * random.normal());
  }

  [Symbol.dispose](): void {
    this.#base[Symbol.dispose]();
  }
}

interface Token {
  readonly id: number;
  readonly content: string;
}

/**
 * The token to pad with: the tokenizer's own, else its unknown or begin token, else another special one; never one that
 * ends a text or a turn. Undefined where there is none: transformers then scores one text at a time.
 */
function paddingToken({ tokenizer, config, generationConfig }: Checkpoint): Token | undefined {
  const added = (Array.isArray(tokenizer.tokenizer.added_tokens) ? tokenizer.tokenizer.added_tokens : []).filter(
    isJsonObject,
  );
  const vocabulary = isJsonObject(tokenizer.tokenizer.model) ? tokenizer.tokenizer.model.vocab : undefined;
  const idOf = (content: string): Json | undefined =>
    added.find((token) => token.content === content)?.id ??
    (isJsonObject(vocabulary) ? vocabulary[content] : undefined);
  const named = (name: string): string | undefined => {
    const value = tokenizer.config[`${name}_token`];
    const content = isJsonObject(value) ? value.content : value;
    return typeof content === "string" ? content : undefined;
  };
  const ends = new Set([config.eos_token_id, generationConfig?.eos_token_id].flat());
  const special = added.filter((token) => token.special === true).map(({ content }) => String(content));
  for (const content of [named("pad"), named("unk"), named("bos"), ...special]) {
    if (content === undefined || content === named("eos") || tokenizer.chatTemplate?.includes(content)) continue;
    const id = idOf(content);
    if (typeof id === "number" && !ends.has(id)) return { id, content };
  }
  return undefined;
}
