/**
 * What preftune asks of an engine: compile a program, run it on arrays, dispose of it. `node.ts` does it with
 * onnxruntime-node, `web.ts` with onnxruntime-web, `interpreter.ts` in plain TypeScript with float64; nothing above this
 * room knows which.
 */

import type { Program } from "../tensor/index.ts";

/** An array with its shape. Float values are float32, int64 values are BigInt64Array. */
export interface Value {
  readonly dims: readonly number[];
  readonly data: Float32Array | Float64Array | BigInt64Array;
}

interface CompileOptions {
  /** Threads for one operation; the runtime's own choice where it is not given. In a browser all programs share what it has. */
  readonly threads?: number;
  /** Writes a trace of every operation to a file whose name starts so, when the program is disposed of. On Node alone. */
  readonly profile?: string;
}

export interface Runtime {
  compile(program: Program, options?: CompileOptions): Promise<Executable>;
}

/** A compiled program. Dispose of it: the engine's memory is not the garbage collector's. */
export interface Executable extends AsyncDisposable {
  /** The names of the inputs that the program needs. */
  readonly inputNames: readonly string[];
  /**
   * Runs the program. Inputs are read where they are, without a copy, so a weight may serve many programs. An array in
   * `into` receives the output of that name; outputs without one arrive in new arrays. Throws ShapeError for an input or
   * a receiving array that is missing, of another shape or of another type than the program declares.
   */
  run(inputs: Readonly<Record<string, Value>>, into?: Readonly<Record<string, Value>>): Promise<Record<string, Value>>;
}
