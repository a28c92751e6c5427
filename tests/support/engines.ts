/** The engines that one suite runs on: onnxruntime-node, and onnxruntime-web in Chromium where there is one. */

import { InferenceSession, Tensor } from "onnxruntime-node";
import { afterAll, describe } from "vitest";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { compileOnnx } from "../../src/runtime/onnx.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import { webBuilds } from "../../src/runtime/web.ts";
import { browserMissing, whyNoBrowser } from "./browser.ts";
import { type ChromiumOptions, type ChromiumRuntime, chromiumRuntime } from "./chromium-runtime.ts";

interface TestEngine {
  readonly name: string;
  readonly runtime: Runtime;
  /** Whether it is missing here, which its name then says. */
  readonly missing: boolean;
}

export const nodeEngine: TestEngine = { name: "onnxruntime", runtime: nodeRuntime, missing: false };

/** Programs as they are written for WebGPU, run on the processor: where there is no WebGPU they are tested so. */
export const webGpuPrograms: TestEngine = {
  name: "onnxruntime with programs for WebGPU",
  runtime: {
    compile: (program) =>
      compileOnnx({ InferenceSession, Tensor, ...webBuilds.webgpu }, program, { executionProviders: ["cpu"] }),
  },
  missing: false,
};

export const interpreterEngine: TestEngine = { name: "the interpreter", runtime: interpreter, missing: false };

/** A `describe` for each engine, skipped for one that is missing; `$name` in the title is the engine's. */
export function describeEngines(
  engines: readonly TestEngine[],
  title: string,
  suite: (runtime: Runtime) => void,
): void {
  for (const { name, runtime, missing } of engines) {
    describe.skipIf(missing)(title.replace("$name", name), () => suite(runtime));
  }
}

/** onnxruntime-web's WebAssembly on two threads. The first test that compiles a program starts it; it ends with the test file. */
export function webEngine(): TestEngine {
  const runtime = startedWhenAsked({ isolated: true, threads: 2 });
  return { name: `onnxruntime-web${whyNoBrowser}`, runtime, missing: browserMissing };
}

function startedWhenAsked(options: ChromiumOptions): Runtime {
  let started: Promise<ChromiumRuntime> | undefined;
  afterAll(async () => {
    await (await started)?.[Symbol.asyncDispose]();
  });
  return {
    compile: async (program, compileOptions) => {
      started ??= chromiumRuntime(options);
      return (await started).compile(program, compileOptions);
    },
  };
}
