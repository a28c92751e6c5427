/** The engine on Node: onnxruntime-node, float32 on the CPU. */

import { InferenceSession, Tensor } from "onnxruntime-node";
import { onnxFused } from "../tensor/index.ts";
import { compileOnnx } from "./onnx.ts";
import type { Runtime } from "./runtime.ts";

const build = { InferenceSession, Tensor, fillsArrays: true, fused: onnxFused, plainProducts: false };

export const nodeRuntime: Runtime = {
  compile: (program, { threads, profile } = {}) =>
    compileOnnx(build, program, {
      executionProviders: ["cpu"],
      ...(threads !== undefined && { intraOpNumThreads: threads }),
      ...(profile !== undefined && { enableProfiling: true, profileFilePrefix: profile }),
    }),
};
