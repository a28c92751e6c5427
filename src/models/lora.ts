/**
 * Low-rank adaptation (Hu et al. 2021): a frozen linear layer W gets a trainable update, y = W x + (alpha / rank) B A x
 * with A [rank, in] and B [out, rank]; rank-stabilized LoRA (Kalajdzievski 2023) scales by alpha / sqrt(rank).
 *
 * Layers that read the same rows share one product with their A matrices stacked: the matrices lie next to each other
 * in the flat parameter buffer, so the stack is a view and not a copy.
 */

import { add, input, matmul, slice, type Tensor } from "../tensor/index.ts";
import { type LinearOptions, linearSizes, type Parameters, type WeightShapes } from "./parameters.ts";

export interface LoraShape {
  readonly rank: number;
  readonly alpha: number;
  /** Rank-stabilized: scale by alpha / sqrt(rank). */
  readonly rankStabilized: boolean;
  /** The modules that have an adapter, by full path: "model.layers.0.self_attn.q_proj". */
  readonly modules: readonly string[];
}

export function loraScale({ rank, alpha, rankStabilized }: LoraShape): number {
  return alpha / (rankStabilized ? Math.sqrt(rank) : rank);
}

/** A trainable input of a LoRA program: one B matrix, or the stacked A matrices of layers that share their input. */
export interface LoraInput {
  readonly tensor: Tensor;
  readonly name: string;
  readonly shape: readonly [number, number];
  /** The modules whose matrices it holds, in order. */
  readonly modules: readonly string[];
  readonly matrix: "A" | "B";
}

export interface LoraParameters extends Parameters {
  /** The adapter's inputs in the order in which the model met them. Complete once the graph is built. */
  readonly inputs: readonly LoraInput[];
}

/** Adds adapters to the linear layers that `lora.modules` names. */
export function withLora(base: Parameters, shapes: WeightShapes, lora: LoraShape): LoraParameters {
  const adapted = new Set(lora.modules);
  const inputs: LoraInput[] = [];
  const make = (matrix: "A" | "B", modules: readonly string[], shape: readonly [number, number]): Tensor => {
    const name = `${modules.join("+")}.lora_${matrix}`;
    const known = inputs.find((x) => x.name === name);
    if (known) return known.tensor;
    const tensor = input(name, shape);
    inputs.push({ tensor, name, shape, modules, matrix });
    return tensor;
  };
  const linears = (modules: readonly string[], x: Tensor, options: LinearOptions = {}): Tensor[] => {
    const sizesOf = (module: string) => linearSizes({ weights: shapes, ...options }, module);
    const outputs = base.linears(modules, x, options);
    const targets = modules.filter((module) => adapted.has(module));
    if (targets.length === 0) return outputs;
    const stackedA = make("A", targets, [lora.rank * targets.length, sizesOf(targets[0]!).inFeatures]);
    const projected = matmul(x, stackedA, { transB: true }); // [T, rank * targets]
    return modules.map((module, i) => {
      const at = targets.indexOf(module);
      if (at < 0) return outputs[i]!;
      const b = make("B", [module], [sizesOf(module).outFeatures, lora.rank]);
      const own = slice(projected, 1, at * lora.rank, (at + 1) * lora.rank);
      return add(outputs[i]!, matmul(own, b, { transB: true, alpha: loraScale(lora) }));
    });
  };
  return { tensor: base.tensor, linears, inputs };
}
