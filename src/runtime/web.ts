/**
 * The engine in a browser, on a page or in a worker: onnxruntime-web, float32. It computes in WebAssembly with SIMD, on
 * several threads where the page is cross-origin isolated, or by WebGPU where the browser has it.
 *
 * WebGPU is less strict: a row that a table does not have is read as zeros instead of refused, and -log sigmoid of margins
 * over 17 is 0. Training there differs by no more than that.
 *
 * Its files (`engineFiles`) are not bundled: they lie beside the page, copied from `onnxruntime-web/dist`, and are
 * loaded when a runtime is asked for.
 */

import type { Env } from "onnxruntime-web";
import { ConfigError } from "../errors.ts";
import { onnxFused } from "../tensor/index.ts";
import { compileOnnx, type OnnxBuild } from "./onnx.ts";
import type { Runtime } from "./runtime.ts";
import { webGpuAdapter } from "./web-gpu.ts";

export type WebDevice = "wasm" | "webgpu";

/** The files of `onnxruntime-web/dist` that each device needs: the first is what is loaded, and loads the others. */
export const engineFiles: Readonly<Record<WebDevice, readonly string[]>> = {
  wasm: ["ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"],
  webgpu: ["ort.webgpu.min.mjs", "ort-wasm-simd-threaded.asyncify.mjs", "ort-wasm-simd-threaded.asyncify.wasm"],
};

export interface WebRuntimeOptions {
  /** Where the engine's files are: the URL of a folder, relative to the page or worker. */
  readonly files: string;
  /** Default "wasm". */
  readonly device?: WebDevice;
  /**
   * Threads in WebAssembly, by default half as many as there are cores, up to 4: the page has to draw, and threads that wait for each
   * other's cores are slower than one. Without cross-origin isolation there is one. Set by the first runtime of a page.
   */
  readonly threads?: number;
}

/** What a runtime runs on. */
export interface WebEngine {
  readonly device: WebDevice;
  /** Threads that compute, 1 by WebGPU. */
  readonly threads: number;
  /** By WebGPU: whose, as the browser tells it. */
  readonly adapter?: string;
  /** The version of onnxruntime-web. */
  readonly version: string;
}

export interface WebRuntime extends Runtime {
  readonly engine: WebEngine;
}

/** What the engine's entry file exports. */
type Engine = Pick<OnnxBuild, "InferenceSession" | "Tensor"> & { readonly env: Env };

/** What differs from the engine on Node. By WebGPU a norm's by-product, the inverse deviation, comes out wrong (seen in 1.30). */
export const webBuilds: Readonly<Record<WebDevice, Omit<OnnxBuild, keyof Engine>>> = {
  wasm: { fillsArrays: false, fused: onnxFused, plainProducts: false },
  webgpu: {
    fillsArrays: false,
    fused: new Set([...onnxFused].filter((op) => op !== "rmsNorm")),
    plainProducts: true,
  },
};

const MOST_THREADS = 4;

/** Loads the engine. Throws ConfigError where its files are not at their place, or the browser lacks the device. */
export async function webRuntime({ files, device = "wasm", threads }: WebRuntimeOptions): Promise<WebRuntime> {
  const adapter = device === "webgpu" ? await webGpuAdapter() : undefined;
  if (device === "webgpu" && adapter === undefined) {
    throw new ConfigError("This browser has no WebGPU adapter: take the device wasm, which every browser has.");
  }
  const folder = new URL(files.endsWith("/") ? files : `${files}/`, globalThis.location.href);
  const engine = await load(folder, device);
  const { wasm } = engine.env;
  wasm.wasmPaths = folder.href;
  // Without isolation there is no memory that threads could share.
  const allowed = globalThis.crossOriginIsolated && device === "wasm" ? navigator.hardwareConcurrency : 1;
  wasm.numThreads ||= allowed === 1 ? 1 : (threads ?? Math.min(Math.ceil(allowed / 2), MOST_THREADS));
  const build = { ...engine, ...webBuilds[device] };
  return {
    engine: {
      device,
      threads: wasm.numThreads,
      ...(adapter !== undefined && { adapter }),
      version: engine.env.versions.web!,
    },
    compile: (program) => compileOnnx(build, program, { executionProviders: [device] }),
  };
}

async function load(folder: URL, device: WebDevice): Promise<Engine> {
  const [entry] = engineFiles[device];
  const url = new URL(entry!, folder).href;
  try {
    return (await import(/* @vite-ignore */ url)) as Engine;
  } catch (cause) {
    const wanted = engineFiles[device].join(", ");
    throw new ConfigError(
      `The engine can't be loaded from ${url}. Copy these files of onnxruntime-web/dist to ${folder.href}: ${wanted}.`,
      { cause },
    );
  }
}
