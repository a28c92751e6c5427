/** A model opened for use, with or without an adapter: text in, text out. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { readAdapter } from "../checkpoints/peft.ts";
import { findModel, type HubOptions, resolveAdapter } from "../hub/index.ts";
import {
  checkpointParameters,
  type LanguageModel,
  loadWeights,
  modelFor,
  refuseLanguageModel,
  refuseRewardModel,
  type ScoreKind,
  type Weights,
} from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { type GenerateOptions, type Generation, Generator, stopTokens } from "../sampling/index.ts";
import { type PromptOptions, promptIds } from "../text/boundary.ts";
import type { Content } from "../text/chat.ts";
import { type Tokenizer, tokenizerFromFiles } from "../text/tokenizer.ts";
import { availableMemory } from "../training/memory/available-memory.ts";
import { refuseLargeModel } from "../training/memory/memory-limit.ts";
import { continuedPolicy } from "../training/policy/policy.ts";

export interface LoadModelOptions {
  /** A PEFT LoRA adapter to put on the model: its folder, or its name on the hub. */
  readonly adapter?: string | undefined;
  /** Threads of the engine; all cores if not given. */
  readonly threads?: number | undefined;
  /** Open it even where its weights take more memory than there is. */
  readonly force?: boolean | undefined;
  /** Bytes of memory that the weights may take; what the machine has available if not given. */
  readonly memoryLimit?: number | undefined;
  /** How what is named on the hub is fetched. */
  readonly hub?: HubOptions | undefined;
}

export interface AnswerOptions extends PromptOptions, Omit<GenerateOptions, "stopTokens" | "onToken"> {
  /** Called with each piece of text as it is written, and the index of its prompt. */
  readonly onText?: (text: string, index: number) => void;
}

export interface Answer extends Generation {
  /** The new tokens as text, without special tokens. */
  readonly text: string;
}

/** A model of either kind that is open, before its weights are read. Dispose of it. */
export interface OpenedModel extends Disposable {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly threads: number | undefined;
  /** Reads the weights, which are fetched where they are on the hub. Throws CheckpointError, HubError, ConfigError for an adapter that does not fit. */
  load(): Promise<BoundModel>;
}

/** How a model's programs get their parameters, and what to bind for them: with the adapter, where there is one. */
interface BoundModel {
  readonly parameters: Parameters;
  readonly weights: Weights;
}

/**
 * Opens a model that scores completions by log-probabilities, or one that scores them by rewards. Throws CheckpointError, HubError,
 * ConfigError for a model of the other kind, and one that is too large.
 */
export async function openModel(
  path: string,
  scores: ScoreKind,
  { adapter, threads, force = false, memoryLimit, hub }: LoadModelOptions,
): Promise<OpenedModel> {
  const { checkpoint, fetchWeights } = await findModel(path, hub);
  try {
    const model = modelFor(checkpoint);
    if (scores === "reward") refuseLanguageModel(model, path);
    else refuseRewardModel(model, path);
    if (!force) refuseLargeModel(model, path, memoryLimit ?? availableMemory());
    const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
    const lora = adapter === undefined ? undefined : readAdapter((await resolveAdapter(adapter, hub)).path);
    const load = async () => {
      await fetchWeights();
      const weights = await loadWeights(checkpoint, model);
      return lora
        ? continuedPolicy(model, weights, lora)
        : { parameters: checkpointParameters(model.weights), weights };
    };
    return { checkpoint, model, tokenizer, threads, load, [Symbol.dispose]: () => checkpoint[Symbol.dispose]() };
  } catch (error) {
    checkpoint[Symbol.dispose]();
    throw error;
  }
}

/** Opens a Hugging Face folder, a GGUF file or a model of the hub. Dispose of what it returns. Throws as openModel and what it returns. */
export async function loadModel(path: string, options: LoadModelOptions = {}): Promise<LoadedModel> {
  using opened = await openModel(path, "log-probability", options);
  return new LoadedModel(opened, await opened.load());
}

export class LoadedModel implements AsyncDisposable {
  readonly model: LanguageModel;
  readonly tokenizer: Tokenizer;
  readonly parameters: Parameters;
  readonly weights: Weights;
  readonly threads: number | undefined;
  private readonly stops: Set<number>;
  private generator: Promise<Generator> | undefined;

  /** Use loadModel. */
  constructor({ checkpoint, model, tokenizer, threads }: OpenedModel, { parameters, weights }: BoundModel) {
    this.model = model;
    this.tokenizer = tokenizer;
    this.parameters = parameters;
    this.weights = weights;
    this.threads = threads;
    this.stops = stopTokens(checkpoint, tokenizer);
  }

  /** Answers each prompt, a text or a conversation. Throws ConfigError for an option out of range, DataError for a prompt that is empty or too long. */
  async generate(prompts: readonly Content[], options: AnswerOptions): Promise<Answer[]> {
    const ids = prompts.map((prompt) => promptIds(this.tokenizer, prompt, options));
    return this.generateFromIds(ids, options);
  }

  /** Answers prompts that are token ids already. */
  async generateFromIds(prompts: readonly Int32Array[], { onText, ...options }: AnswerOptions): Promise<Answer[]> {
    const { model, parameters, weights, threads } = this;
    this.generator ??= Generator.create({ model, parameters, weights, threads, runtime: nodeRuntime });
    const generator = await this.generator;
    const textOf = (index: number, tokens: readonly number[]) =>
      this.tokenizer.decodeAfter(prompts[index]!, tokens, { skipSpecialTokens: true });
    const pieces = onText && streamed(textOf, onText);
    const generations = await generator.generate(prompts, {
      ...options,
      stopTokens: this.stops,
      ...(pieces && { onToken: pieces.add }),
    });
    const answers = generations.map((generation, index) => ({ ...generation, text: textOf(index, generation.tokens) }));
    answers.forEach(({ text }, index) => {
      pieces?.finish(text, index);
    });
    return answers;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.generator)?.[Symbol.asyncDispose]();
  }
}

/** Turns tokens into pieces of text. A character whose bytes are not all there yet waits for the rest of them. */
function streamed(
  textOf: (index: number, tokens: readonly number[]) => string,
  onText: (text: string, index: number) => void,
) {
  const tokens: number[][] = [];
  const written: number[] = [];
  const write = (text: string, index: number) => {
    const start = written[index] ?? 0;
    if (text.length <= start) return;
    written[index] = text.length;
    onText(text.slice(start), index);
  };
  return {
    add(token: number, index: number): void {
      tokens[index] ??= [];
      tokens[index].push(token);
      write(textOf(index, tokens[index]).replace(/\ufffd+$/, ""), index);
    },
    finish: write,
  };
}
