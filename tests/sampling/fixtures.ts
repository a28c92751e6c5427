/** What the sampling tests share: a tiny random model, and generation without a cache to hold generation with one against. */

import { readFileSync } from "node:fs";
import { checkpointParameters, type LanguageModel, rotaryInputValues, type Weights } from "../../src/models/index.ts";
import { llama } from "../../src/models/llama.ts";
import type { Parameters } from "../../src/models/parameters.ts";
import { rotaryInputs } from "../../src/models/scoring.ts";
import { Random } from "../../src/random.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Executable, Runtime } from "../../src/runtime/runtime.ts";
import { type GenerateOptions, type Generation, Generator } from "../../src/sampling/index.ts";
import { input, matmul } from "../../src/tensor/index.ts";

export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../golden/sampling/${name}`, import.meta.url), "utf8")) as T;
}

/** A Llama of two layers over 48 tokens: grouped-query attention, an output head of its own. */
export const tiny: LanguageModel = llama(
  {
    vocab_size: 48,
    hidden_size: 16,
    intermediate_size: 24,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 1024,
  },
  "tiny",
);

/** Seeded weights large enough that the model has opinions: its next token is seldom a close call. */
export const tinyWeights: Weights = randomWeights(tiny.weights, 7);

export function randomWeights(shapes: Iterable<readonly [string, readonly number[]]>, seed: number): Weights {
  const random = new Random(seed);
  const values = (dims: readonly number[]) =>
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => 2 * random.next() - 1);
  return Object.fromEntries([...shapes].map(([name, dims]) => [name, { dims, data: values(dims) }]));
}

export function randomPrompt(length: number, seed: number): number[] {
  const random = new Random(seed);
  return Array.from({ length }, () => random.below(tiny.vocabularySize));
}

interface Subject {
  readonly model: LanguageModel;
  readonly weights: Weights;
  readonly parameters?: Parameters;
  readonly runtime?: Runtime;
}

const tinySubject: Subject = { model: tiny, weights: tinyWeights };

/** One `generate` call of a generator that is made for it. */
export async function generate(
  prompts: readonly ArrayLike<number>[],
  options: GenerateOptions,
  { model, weights, parameters, runtime = nodeRuntime }: Subject = tinySubject,
): Promise<Generation[]> {
  await using generator = await Generator.create({
    model,
    weights,
    runtime,
    parameters: parameters ?? checkpointParameters(model.weights),
    threads: 1,
  });
  return await generator.generate(prompts, options);
}

/** Greedy generation that computes the whole sequence anew for every token. */
export async function recompute(
  prompt: readonly number[],
  count: number,
  { model, weights, parameters, runtime = nodeRuntime }: Subject = tinySubject,
): Promise<number[]> {
  const own = parameters ?? checkpointParameters(model.weights);
  const { hidden } = model.forward(own, {
    tokens: input("tokens", ["T"], "int64"),
    positions: input("positions", ["T"], "int64"),
    mask: input("mask", ["T", "T"]),
    rows: input("rows", ["R"], "int64"),
    rotary: rotaryInputs(model.rotaryTables(1).width),
  });
  const logits = matmul(hidden, own.tensor(model.headWeight), { transB: true });
  await using program = await runtime.compile({ outputs: { logits } });
  const tokens = [...prompt];
  for (let i = 0; i < count; i++) tokens.push(await lastArgmax(program, model, weights, tokens));
  return tokens.slice(prompt.length);
}

async function lastArgmax(program: Executable, model: LanguageModel, weights: Weights, tokens: readonly number[]) {
  const length = tokens.length;
  const ids = (values: readonly number[]) => ({ dims: [values.length], data: BigInt64Array.from(values, BigInt) });
  const mask = Float32Array.from({ length: length * length }, (_, i) =>
    i % length <= Math.floor(i / length) ? 0 : Number.NEGATIVE_INFINITY,
  );
  const { logits } = await program.run({
    ...weights,
    ...rotaryInputValues(model, length),
    tokens: ids(tokens),
    positions: ids(tokens.map((_, i) => i)),
    mask: { dims: [length, length], data: mask },
    rows: ids([length - 1]),
  });
  const values = Array.from(logits!.data, Number);
  return values.indexOf(Math.max(...values));
}

/** A runtime that notes how many tokens each run of its programs takes. */
export function countingRuntime(runtime: Runtime): Runtime & { readonly tokens: number[] } {
  const tokens: number[] = [];
  return {
    tokens,
    async compile(program, options) {
      const executable = await runtime.compile(program, options);
      return {
        inputNames: executable.inputNames,
        run(inputs, into) {
          tokens.push(inputs.tokens!.data.length);
          return executable.run(inputs, into);
        },
        [Symbol.asyncDispose]: () => executable[Symbol.asyncDispose](),
      };
    },
  };
}
