/**
 * Text generation with a model: greedy, or sampled with temperature and nucleus. The weights are those that training
 * programs use, read where they are.
 */

import { ConfigError } from "../errors.ts";
import type { LanguageModel, Weights } from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";
import type { Executable, Runtime } from "../runtime/runtime.ts";
import type { ChoiceOptions } from "./choose.ts";
import { decodeProgram } from "./decode.ts";
import { type Generation, Session, type Settings } from "./session.ts";

interface GeneratorOptions {
  readonly model: LanguageModel;
  readonly runtime: Runtime;
  /** The checkpoint's parameters, or those with an adapter. */
  readonly parameters: Parameters;
  /** The inputs that the parameters need, by name. They are read where they are at every run: change them and the next token follows. */
  readonly weights: Weights;
  /** Threads for one operation; the runtime's own choice where it is not given. */
  readonly threads?: number;
}

/** Greedy (temperature 0) over all tokens (topP 1) where nothing else is said. */
export interface GenerateOptions extends Partial<ChoiceOptions> {
  /** Tokens to generate at most for each prompt. */
  readonly maxNewTokens: number;
  /** Tokens that end a sequence. */
  readonly stopTokens?: Iterable<number>;
  /** Seed of every random choice; default 0. */
  readonly seed?: number;
  /** Sequences under way at the same time; default 16. */
  readonly batchSize?: number;
  /** Called with each token as it is chosen, and the index of its prompt. */
  readonly onToken?: (token: number, index: number) => void;
}

export class Generator implements AsyncDisposable {
  private readonly model: LanguageModel;
  private readonly program: Executable;
  private readonly weights: Weights;

  private constructor(model: LanguageModel, program: Executable, weights: Weights) {
    this.model = model;
    this.program = program;
    this.weights = weights;
  }

  /** Compiles the decode program. Dispose of the generator when done with it. */
  static async create({ model, runtime, parameters, weights, threads }: GeneratorOptions): Promise<Generator> {
    const program = await runtime.compile(decodeProgram(model, parameters), threads === undefined ? {} : { threads });
    return new Generator(model, program, weights);
  }

  /**
   * Continues each prompt, given as token ids; the results are in the prompts' order. Give a prompt several times for several
   * samples. Throws ConfigError for an option out of range, DataError for a prompt without tokens, longer than the model allows, or of
   * tokens that it does not know.
   */
  async generate(prompts: readonly ArrayLike<number>[], options: GenerateOptions): Promise<Generation[]> {
    const session = new Session(this.model, this.program, this.weights, prompts, settle(options));
    return session.run();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.program[Symbol.asyncDispose]();
  }
}

/** Fills defaults in. Throws ConfigError for what is out of range. */
function settle(options: GenerateOptions): Settings {
  const { temperature = 0, topP = 1, seed = 0, batchSize = 16, maxNewTokens, stopTokens = [], onToken } = options;
  const check = (holds: boolean, name: string, value: number, rule: string) => {
    if (!holds) throw new ConfigError(`${name} must be ${rule}, not ${value}.`);
  };
  check(temperature >= 0 && temperature < Infinity, "temperature", temperature, "0 (greedy) or a positive number");
  check(topP > 0 && topP <= 1, "topP", topP, "above 0 and at most 1");
  check(Number.isInteger(maxNewTokens) && maxNewTokens > 0, "maxNewTokens", maxNewTokens, "a whole number above 0");
  check(Number.isInteger(batchSize) && batchSize > 0, "batchSize", batchSize, "a whole number above 0");
  return { temperature, topP, seed, batchSize, maxNewTokens, stopTokens: new Set(stopTokens), onToken };
}
