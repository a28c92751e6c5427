/** The page's side of `chromium-runtime.ts`: compiles and runs the programs that it is sent by onnxruntime-web. */

import type { Executable, Value } from "../../src/runtime/runtime.ts";
import { type WebEngine, type WebRuntime, type WebRuntimeOptions, webRuntime } from "../../src/runtime/web.ts";
import { type ProgramData, programOf } from "./program-data.ts";

type Values = Readonly<Record<string, Value>>;
type Outcome<T> = { readonly value: T } | { readonly error: { readonly name: string; readonly message: string } };

let runtime: WebRuntime;
const programs: (Executable | undefined)[] = [];

/** An error as data: what a page throws reaches a test as text alone. */
async function outcome<T>(action: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await action() };
  } catch (error) {
    const { name, message } = error as Error;
    return { error: { name, message } };
  }
}

export const testPage = {
  start: (options: WebRuntimeOptions): Promise<Outcome<WebEngine>> =>
    outcome(async () => {
      runtime = await webRuntime(options);
      return runtime.engine;
    }),
  /** The number of the program, and the names of its inputs. */
  compile: (data: ProgramData): Promise<Outcome<{ id: number; inputNames: readonly string[] }>> =>
    outcome(async () => {
      const program = await runtime.compile(programOf(data));
      return { id: programs.push(program) - 1, inputNames: program.inputNames };
    }),
  run: (id: number, inputs: Values, into: Values): Promise<Outcome<Values>> =>
    outcome(async () => {
      const results = await programs[id]!.run(inputs, into);
      const strays = Object.keys(into).filter((name) => results[name] !== into[name]);
      if (strays.length > 0) throw new Error(`not the arrays that were given: ${strays.join(", ")}`);
      return results;
    }),
  dispose: (id: number): Promise<Outcome<void>> => outcome(async () => programs[id]![Symbol.asyncDispose]()),
};

Object.assign(globalThis, { testPage });
