/** A program as a session of ONNX Runtime, whose builds for Node and for the web differ in little: see `OnnxBuild`. */

import type { InferenceSession, Tensor as OnnxTensor, TensorConstructor } from "onnxruntime-node";
import { emitOnnx, optimize, type Program, programInputs, type Tensor, type TensorType } from "../tensor/index.ts";
import { bindInputs, checkTargets } from "./arguments.ts";
import { evaluateNode } from "./interpreter.ts";
import type { Executable, Value } from "./runtime.ts";

/** ONNX Runtime as one of its packages has it. */
export interface OnnxBuild {
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>;
  };
  readonly Tensor: TensorConstructor;
  /** Whether an output may go straight into an array of the caller's. */
  readonly fillsArrays: boolean;
  /** The fused operations that it has, and computes right. */
  readonly fused: ReadonlySet<string>;
  /** Products have to do without FusedMatMul. */
  readonly plainProducts: boolean;
}

interface OnnxSettings extends InferenceSession.SessionOptions {
  readonly executionProviders: readonly InferenceSession.ExecutionProviderConfig[];
}

const FLOATS = [Float32Array];

/** Compiles a program for the engine. */
export async function compileOnnx(build: OnnxBuild, program: Program, settings: OnnxSettings): Promise<Executable> {
  const optimized = optimize(program, { fused: build.fused, fold: evaluateNode });
  const session = await build.InferenceSession.create(emitOnnx(optimized, build).model, {
    // Fatal only: what the engine would log as an error it also throws.
    logSeverityLevel: 4,
    // The graph is already what it should be: further rewriting costs start-up time and gained nothing when measured.
    graphOptimizationLevel: "disabled",
    // Planned for one shape at a time: with micro-batches of many lengths it only held memory (1.7 GB against 1.2 GB).
    enableMemPattern: false,
    ...settings,
  });
  return new OnnxExecutable(build, session, optimized, settings.enableProfiling ?? false);
}

/** The types alone: a tensor would keep its whole graph alive. */
function typesOf(tensors: Iterable<[string, Tensor]>): Map<string, TensorType> {
  return new Map(Array.from(tensors, ([name, { shape, dtype }]) => [name, { shape, dtype }]));
}

class OnnxExecutable implements Executable {
  readonly inputNames: readonly string[];
  /** One engine tensor an array, so that 700 weights are not wrapped anew on every run. */
  private readonly wrapped = new WeakMap<Value, OnnxTensor>();
  private readonly inputs: ReadonlyMap<string, TensorType>;
  private readonly outputs: ReadonlyMap<string, TensorType>;
  private disposed = false;

  constructor(
    private readonly build: OnnxBuild,
    private readonly session: InferenceSession,
    program: Program,
    private readonly profiling: boolean,
  ) {
    this.inputs = typesOf(programInputs(program));
    this.outputs = typesOf(Object.entries(program.outputs));
    this.inputNames = [...this.inputs.keys()];
  }

  async run(
    inputs: Readonly<Record<string, Value>>,
    into: Readonly<Record<string, Value>> = {},
  ): Promise<Record<string, Value>> {
    if (this.disposed) throw new Error("the program was disposed of: it can't be run any more");
    const sizes = bindInputs(this.inputs, inputs, FLOATS);
    checkTargets(this.outputs, into, sizes, FLOATS);
    const feeds = Object.fromEntries(this.inputNames.map((name) => [name, this.wrap(inputs[name]!)]));
    const given = this.build.fillsArrays ? into : {};
    const fetches = Object.fromEntries(
      this.session.outputNames.map((name) => [name, given[name] ? this.wrap(given[name]) : null]),
    );
    const results = await this.session.run(feeds, fetches);
    const outputs: Record<string, Value> = {};
    for (const [name, tensor] of Object.entries(results)) {
      const target = into[name];
      // Where the engine has written into the given array, what it returns for that output is one more copy.
      if (target && !given[name]) (target.data as Float32Array).set(tensor.data as Float32Array);
      outputs[name] = target ?? { dims: tensor.dims, data: tensor.data as Float32Array };
    }
    return outputs;
  }

  private wrap(value: Value): OnnxTensor {
    const known = this.wrapped.get(value);
    if (known) return known;
    const tensor =
      value.data instanceof BigInt64Array
        ? new this.build.Tensor("int64", value.data, value.dims)
        : new this.build.Tensor("float32", value.data as Float32Array, value.dims);
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
