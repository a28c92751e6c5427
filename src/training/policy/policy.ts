/**
 * The policy that is trained and the reference that it is compared with, over one set of weights.
 *
 * - LoRA: the policy is the frozen weights with an adapter; the reference is the same weights without it, or with the
 *   adapter as it was at the start where training continues one. Nothing of the model is held twice.
 * - A reward model's head starts at random, so beside an adapter it is trained whole.
 * - Full: the policy's weights are one flat trainable array; the reference is the checkpoint's own arrays, kept once.
 */

import type { LoraAdapter } from "../../checkpoints/peft.ts";
import { ConfigError } from "../../errors.ts";
import {
  checkpointParameters,
  type LanguageModel,
  type LoraParameters,
  type LoraShape,
  type Weights,
  withLora,
} from "../../models/index.ts";
import { refuseForeignAdapter } from "../../models/merge.ts";
import { linearSizes, type Parameters } from "../../models/parameters.ts";
import type { Objective } from "../../objectives/index.ts";
import { Random } from "../../random.ts";
import type { Program } from "../../tensor/index.ts";
import { scoreProgram, stepProgram } from "../step/step.ts";
import { FlatArray, type ViewSpec } from "./flat.ts";
import type { MovingReference } from "./moving-reference.ts";

/** A policy before there is a weight: its programs, and the sizes of what it trains. */
export interface PolicyShape {
  readonly model: LanguageModel;
  /** How the policy's programs get their parameters: with the adapter, where there is one. */
  readonly parameters: Parameters;
  /** How the reference's programs get theirs. The same object as `parameters` where only the bound weights differ. */
  readonly referenceParameters: Parameters;
  readonly trained: readonly ViewSpec[];
  /** The modules with an adapter; absent under full tuning. */
  readonly adapted?: readonly string[];
  /** Whether the reference has values of its own for what is trained: those of the adapter that training continues. */
  readonly continues?: boolean;
  step(objective: Objective): Program;
}

export interface Policy extends PolicyShape {
  readonly trainable: FlatArray;
  /** What to bind for the policy and for the reference. */
  readonly weights: Weights;
  readonly referenceWeights: Weights;
  /** What moves the reference; absent where it stays. */
  readonly moving?: MovingReference;
  /** The adapter as PEFT stores it; absent under full tuning. */
  adapter?(): LoraAdapter;
}

export interface LoraOptions {
  readonly rank: number;
  readonly alpha: number;
  readonly rankStabilized: boolean;
  /** `all-linear`, or the last names of modules: "q_proj". */
  readonly targets: "all-linear" | readonly string[];
  readonly seed: number;
}

/** A policy with a new adapter: A Kaiming-uniform as PEFT's, B zero, so that the policy starts as the reference. */
export function loraPolicy(model: LanguageModel, weights: Weights, options: LoraOptions): Policy {
  const policy = adaptedPolicy(model, weights, newAdapter(model, options), undefined);
  // PEFT: kaiming_uniform_(a = sqrt(5)), which is uniform within 1 / sqrt(in) on either side.
  let stream = 0;
  for (const [name, { dims, data }] of policy.trainable.views) {
    if (!name.endsWith(".lora_A")) continue;
    const random = Random.fork(options.seed, stream++);
    const bound = 1 / Math.sqrt(dims[1]!);
    for (let i = 0; i < data.length; i++) data[i] = (2 * random.next() - 1) * bound;
  }
  return policy;
}

/** A policy that continues an adapter; its reference is the model with that adapter as it is now. */
export function continuedPolicy(model: LanguageModel, weights: Weights, adapter: LoraAdapter): Policy {
  return adaptedPolicy(model, weights, givenAdapter(model, adapter), adapter);
}

/** The shape of `loraPolicy`; or of what continues such an adapter, once there is one. */
export function loraShape(model: LanguageModel, options: LoraOptions, continues = false): PolicyShape {
  return adaptedShape(model, newAdapter(model, options), continues);
}

/** The shape of `continuedPolicy`. */
export function continuedShape(model: LanguageModel, adapter: LoraAdapter): PolicyShape {
  return adaptedShape(model, givenAdapter(model, adapter), true);
}

function newAdapter(model: LanguageModel, options: LoraOptions): LoraShape {
  return { ...options, modules: targetModules(model, options.targets) };
}

function givenAdapter(model: LanguageModel, adapter: LoraAdapter): LoraShape {
  refuseForeignAdapter(model, adapter);
  const modules = model.linearModules.filter((module) => adapter.modules.has(module));
  return { ...adapter, rankStabilized: adapter.rsLora, modules };
}

interface AdaptedShape extends PolicyShape {
  readonly parameters: LoraParameters;
}

function adaptedShape(model: LanguageModel, lora: LoraShape, continues: boolean): AdaptedShape {
  const base = checkpointParameters(model.weights);
  const parameters = withLora(base, model.weights, lora);
  scoreProgram(model, parameters); // Building any program makes the adapter's inputs known.
  const head =
    model.scores === "reward" ? [{ name: model.headWeight, shape: model.weights.get(model.headWeight)! }] : [];
  return {
    model,
    parameters,
    referenceParameters: continues ? parameters : base,
    trained: [...parameters.inputs, ...head],
    adapted: lora.modules,
    continues,
    step: (objective) =>
      stepProgram(model, parameters, objective, () => [
        ...parameters.inputs,
        ...head.map(({ name }) => ({ name, tensor: parameters.tensor(name) })),
      ]),
  };
}

function adaptedPolicy(
  model: LanguageModel,
  weights: Weights,
  lora: LoraShape,
  start: LoraAdapter | undefined,
): Policy {
  const shape = adaptedShape(model, lora, start !== undefined);
  const { parameters, trained } = shape;
  const trainable = new FlatArray(trained);
  const head = model.scores === "reward" ? model.headWeight : undefined;
  if (head !== undefined) trainable.views.get(head)!.data.set(weights[head]!.data as Float32Array);
  if (start) fillAdapter(parameters, trainable, start);
  const snapshot = start && new FlatArray(trained);
  snapshot?.data.set(trainable.data);
  return {
    ...shape,
    trainable,
    weights: { ...weights, ...Object.fromEntries(trainable.views) },
    referenceWeights: snapshot ? { ...weights, ...Object.fromEntries(snapshot.views) } : weights,
    adapter: () => readTrainable(parameters, trainable, lora, model),
  };
}

/** The full names of the modules that the targets mean. Throws ConfigError for a target that the model does not have. */
function targetModules(model: LanguageModel, targets: "all-linear" | readonly string[]): readonly string[] {
  if (targets === "all-linear") return model.linearModules;
  const lastName = (module: string) => module.slice(module.lastIndexOf(".") + 1);
  const known = new Set(model.linearModules.map(lastName));
  const unknown = targets.find((target) => !known.has(target));
  if (unknown !== undefined) {
    throw new ConfigError(
      `--lora-targets: the model has no linear layer "${unknown}" (it has ${[...known].join(", ")})`,
    );
  }
  return model.linearModules.filter((module) => targets.includes(lastName(module)));
}

function fillAdapter(parameters: LoraParameters, flat: FlatArray, adapter: LoraAdapter): void {
  for (const { name, modules, matrix } of parameters.inputs) {
    const { data } = flat.views.get(name)!;
    let offset = 0;
    for (const module of modules) {
      const { a, b } = adapter.modules.get(module)!;
      const source = matrix === "A" ? a : b;
      data.set(source, offset);
      offset += source.length;
    }
  }
}

function readTrainable(
  parameters: LoraParameters,
  flat: FlatArray,
  shape: LoraShape,
  model: LanguageModel,
): LoraAdapter {
  const matrixOf = new Map<string, Float32Array>();
  for (const { name, modules, matrix } of parameters.inputs) {
    const { data } = flat.views.get(name)!;
    const size = data.length / modules.length;
    modules.forEach((module, i) => {
      matrixOf.set(`${module}.${matrix}`, data.subarray(i * size, (i + 1) * size));
    });
  }
  const modules = shape.modules.map((module) => {
    const { outFeatures, inFeatures } = linearSizes(model, module);
    const [a, b] = [matrixOf.get(`${module}.A`)!, matrixOf.get(`${module}.B`)!];
    return [module, { a, b, inFeatures, outFeatures }] as const;
  });
  return {
    rank: shape.rank,
    alpha: shape.alpha,
    rsLora: shape.rankStabilized,
    ...(model.fanInFanOut && { fanInFanOut: true }),
    targets: [...new Set(shape.modules.map((module) => module.slice(module.lastIndexOf(".") + 1)))],
    modules: new Map(modules),
  };
}

/** The shape of `fullPolicy`. */
export function fullShape(model: LanguageModel): PolicyShape {
  const parameters = checkpointParameters(model.weights);
  const trained = [...model.weights].map(([name, shape]) => ({ name, shape }));
  return {
    model,
    parameters,
    referenceParameters: parameters,
    trained,
    step: (objective) =>
      stepProgram(model, parameters, objective, () =>
        trained.map(({ name }) => ({ name, tensor: parameters.tensor(name) })),
      ),
  };
}

/** A policy all of whose weights are trained, from the checkpoint's, which stay as the reference. */
export function fullPolicy(model: LanguageModel, weights: Weights): Policy {
  const shape = fullShape(model);
  const trainable = new FlatArray(shape.trained);
  for (const [name, view] of trainable.views) view.data.set(weights[name]!.data as Float32Array);
  return { ...shape, trainable, weights: Object.fromEntries(trainable.views), referenceWeights: weights };
}
