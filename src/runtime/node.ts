/** The engine on Node: onnxruntime-node, float32 on the CPU. */

import * as ort from "onnxruntime-node";
import {
  emitOnnx,
  onnxFused,
  optimize,
  type Program,
  programInputs,
  type Tensor,
  type TensorType,
} from "../tensor/index.ts";
import { bindInputs, checkTargets } from "./arguments.ts";
import { evaluateNode } from "./interpreter.ts";
import type { CompileOptions, Executable, Runtime, Value } from "./runtime.ts";

const FLOATS = [Float32Array];

export const nodeRuntime: Runtime = { compile };

async function compile(program: Program, options: CompileOptions = {}): Promise<Executable> {
  const optimized = optimize(program, { fused: onnxFused, fold: evaluateNode });
  const session = await ort.InferenceSession.create(emitOnnx(optimized).model, {
    executionProviders: ["cpu"],
    // Fatal only: what the engine would log as an error it also throws.
    logSeverityLevel: 4,
    // The graph is already what it should be: further rewriting costs start-up time and gained nothing when measured.
    graphOptimizationLevel: "disabled",
    // Planned for one shape at a time: with micro-batches of many lengths it only held memory (1.7 GB against 1.2 GB).
    enableMemPattern: false,
    ...(options.threads !== undefined && { intraOpNumThreads: options.threads }),
    ...(options.profile !== undefined && { enableProfiling: true, profileFilePrefix: options.profile }),
  });
  return new NodeExecutable(session, optimized, options.profile !== undefined);
}

/** The types alone: a tensor would keep its whole graph alive. */
function typesOf(tensors: Iterable<[string, Tensor]>): Map<string, TensorType> {
  return new Map(Array.from(tensors, ([name, { shape, dtype }]) => [name, { shape, dtype }]));
}

class NodeExecutable implements Executable {
  readonly inputNames: readonly string[];
  private readonly session: ort.InferenceSession;
  /** One engine tensor an array, so that 700 weights are not wrapped anew on every run. */
  private readonly wrapped = new WeakMap<Value, ort.Tensor>();

  private readonly inputs: ReadonlyMap<string, TensorType>;
  private readonly outputs: ReadonlyMap<string, TensorType>;
  private readonly profiling: boolean;
  private disposed = false;

  constructor(session: ort.InferenceSession, program: Program, profiling: boolean) {
    this.session = session;
    this.inputs = typesOf(programInputs(program));
    this.outputs = typesOf(Object.entries(program.outputs));
    this.profiling = profiling;
    this.inputNames = [...this.inputs.keys()];
  }

  async run(
    inputs: Readonly<Record<string, Value>>,
    into: Readonly<Record<string, Value>> = {},
  ): Promise<Record<string, Value>> {
    const sizes = bindInputs(this.inputs, inputs, FLOATS);
    checkTargets(this.outputs, into, sizes, FLOATS);
    const feeds = Object.fromEntries(this.inputNames.map((name) => [name, this.wrap(inputs[name]!)]));
    const fetches = Object.fromEntries(
      this.session.outputNames.map((name) => [name, into[name] ? this.wrap(into[name]) : null]),
    );
    const results = await this.session.run(feeds, fetches);
    const outputs: Record<string, Value> = {};
    for (const [name, tensor] of Object.entries(results)) {
      // The engine has written into the given array; what it returns for that output is one more copy.
      outputs[name] = into[name] ?? { dims: tensor.dims, data: tensor.data as Float32Array };
    }
    return outputs;
  }

  private wrap(value: Value): ort.Tensor {
    const known = this.wrapped.get(value);
    if (known) return known;
    const tensor =
      value.data instanceof BigInt64Array
        ? new ort.Tensor("int64", value.data, value.dims)
        : new ort.Tensor("float32", value.data as Float32Array, value.dims);
    this.wrapped.set(value, tensor);
    return tensor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.disposed) return;
    this.disposed = true;
    if (this.profiling) this.session.endProfiling();
    await this.session.release();
  }
}
