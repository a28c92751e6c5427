/**
 * Where a model's weights come from while its graph is built. A model asks for tensors and linear layers by their
 * Hugging Face names; whether a layer also has a LoRA adapter is not the model's business.
 */

import { add, input, matmul, type Tensor } from "../tensor/index.ts";

/** The shape of every weight by name, as the checkpoint has it: [out, in] for linear layers, but [in, out] for Conv1D's. */
export type WeightShapes = ReadonlyMap<string, readonly number[]>;

export interface LinearOptions {
  /** The weights are [in, out], as GPT-2's Conv1D has them. */
  readonly fanInFanOut?: boolean | undefined;
}

export interface Parameters {
  /** A weight that is not a linear layer's: an embedding table, a norm's gain. */
  tensor(name: string): Tensor;
  /**
   * Linear layers that read the same rows: x [T, in] through each `module` gives [T, out]. The weight is
   * `module.weight`; `module.bias` is added where the model has one.
   */
  linears(modules: readonly string[], x: Tensor, options?: LinearOptions): Tensor[];
}

/** The two sizes of a linear layer of a model. */
export function linearSizes(
  { weights, fanInFanOut }: { readonly weights: WeightShapes; readonly fanInFanOut?: boolean | undefined },
  module: string,
): { inFeatures: number; outFeatures: number } {
  const [first, second] = weights.get(`${module}.weight`) as [number, number];
  return fanInFanOut ? { inFeatures: first, outFeatures: second } : { inFeatures: second, outFeatures: first };
}

/** The parameters of a model as they are in its checkpoint, each an input of the program under its own name. */
export function checkpointParameters(shapes: WeightShapes): Parameters {
  const inputs = new Map<string, Tensor>();
  const tensor = (name: string): Tensor => {
    const shape = shapes.get(name);
    if (!shape) throw new Error(`the model has no weight "${name}"`);
    if (!inputs.has(name)) inputs.set(name, input(name, shape));
    return inputs.get(name)!;
  };
  const linear = (module: string, x: Tensor, { fanInFanOut = false }: LinearOptions): Tensor => {
    const y = matmul(x, tensor(`${module}.weight`), { transB: !fanInFanOut });
    return shapes.has(`${module}.bias`) ? add(y, tensor(`${module}.bias`)) : y;
  };
  return { tensor, linears: (modules, x, options = {}) => modules.map((module) => linear(module, x, options)) };
}
