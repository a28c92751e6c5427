/** Tiny Llama models with what transformers computed on them (tests/reference/models_llama.py), and scoring packed examples. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import type { Checkpoint, JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import { longestSequence, packExamples } from "../../src/data/microbatch.ts";
import { type LanguageModel, modelFor, rotaryInputValues, type Weights } from "../../src/models/index.ts";
import type { Parameters } from "../../src/models/parameters.ts";
import { packedInputs, scoreCompletions } from "../../src/models/scoring.ts";
import type { Runtime, Value } from "../../src/runtime/runtime.ts";
import { gradients, input, mul, reduceSum, type Tensor } from "../../src/tensor/index.ts";
import { batchInputs } from "../../src/training/step/engine.ts";
import { arrayOf, numbers } from "../support/programs.ts";

export interface Example {
  readonly prompt: number[];
  readonly completions: number[][];
}

interface Golden {
  readonly examples: Example[];
  /** The factor of each completion's log-probability in the loss. */
  readonly coefficients: number[];
  readonly variants: Record<string, { config: JsonObject; logps: number[][] }>;
  readonly adapters: Record<string, { rank: number; alpha: number; rankStabilized: boolean; logps: number[][] }>;
}

const folder = new URL("../golden/models/", import.meta.url);
export const golden = JSON.parse(readFileSync(new URL("llama.json", folder), "utf8")) as Golden;

/** The tensors of a golden file: weights, and the loss's gradients by the weights' names. */
export function goldenTensors(name: string): { weights: Weights; gradients: ReadonlyMap<string, Float32Array> } {
  using file = new SafetensorsFile(fileURLToPath(new URL(`${name}.safetensors`, folder)));
  const weights: Record<string, Value> = {};
  const gradients = new Map<string, Float32Array>();
  for (const [key, { shape }] of file.tensors) {
    const data = file.read(key);
    if (key.startsWith("gradient:")) gradients.set(key.slice("gradient:".length), data);
    else weights[key] = { dims: shape, data };
  }
  return { weights, gradients };
}

export function goldenModel(variant: string): LanguageModel {
  return modelFor({ config: golden.variants[variant]!.config, source: variant });
}

const tokenized = ({ prompt, completions }: Example) => ({
  prompt: Int32Array.from(prompt),
  completions: completions.map((completion) => Int32Array.from(completion)),
});

/** A checkpoint that holds these weights and nothing else. */
export function weightsOnly(weights: Weights): Checkpoint {
  const tensors = Object.entries(weights).map(
    ([name, { dims }]) => [name, { name, shape: dims, storage: "F32" as const }] as const,
  );
  return {
    source: "weights",
    config: {},
    tokenizer: { tokenizer: {}, config: {} },
    tensors: new Map(tensors),
    read: (name) => Float32Array.from(weights[name]!.data as Float32Array),
    [Symbol.dispose]: () => {},
  };
}

interface Scored {
  /** Log-probabilities of every completion's tokens, completion by completion. */
  readonly tokens: number[];
  /** Of every completion. */
  readonly completions: number[];
  readonly gradients: ReadonlyMap<string, number[]>;
}

interface ScorerOptions {
  readonly model: LanguageModel;
  readonly parameters: Parameters;
  readonly runtime: Runtime;
  /** The inputs to differentiate, once the graph is built. */
  readonly trained?: () => readonly { readonly name: string; readonly tensor: Tensor }[];
}

/** Scores examples in one micro-batch with these weights, and differentiates the sum of coefficient * log-probability. */
type Scorer = (examples: readonly Example[], weights: Weights, coefficients?: readonly number[]) => Promise<Scored>;

/** Compiles a scorer, which lives as long as the test file. */
export async function compileScorer(options: ScorerOptions): Promise<Scorer> {
  const { model, parameters, runtime, trained = () => [] } = options;
  const scored = scoreCompletions(model, parameters, packedInputs(model));
  const loss = reduceSum(mul(scored.completions, input("coefficients", ["C"])));
  const inputs = trained();
  const slopes = gradients(
    loss,
    inputs.map(({ tensor }) => tensor),
  );
  const program = await runtime.compile({
    outputs: {
      tokenLogps: scored.tokens,
      logps: scored.completions,
      ...Object.fromEntries(slopes.map((slope, i) => [`gradient:${inputs[i]!.name}`, slope])),
    },
  });
  disposables.push(program);

  return async (examples, weights, coefficients = []) => {
    const given = examples.map(tokenized);
    const results = await program.run({
      ...weights,
      ...rotaryInputValues(model, longestSequence(given)),
      ...batchInputs(packExamples(given)),
      coefficients: arrayOf([coefficients.length], coefficients),
    });
    return {
      tokens: numbers(results.tokenLogps!),
      completions: numbers(results.logps!),
      gradients: new Map(inputs.map(({ name }) => [name, numbers(results[`gradient:${name}`]!)])),
    };
  };
}

const disposables: AsyncDisposable[] = [];
afterAll(async () => {
  for (const program of disposables) await program[Symbol.asyncDispose]();
});
