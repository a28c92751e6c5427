import { afterAll, describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { browserMissing, whyNoBrowser } from "../support/browser.ts";
import { type ChromiumRuntime, chromiumRuntime } from "../support/chromium-runtime.ts";
import { drawCase, operationCases, outputsOf } from "../support/operation-cases.ts";
import { expectClose, numbers } from "../support/programs.ts";

describe.skipIf(browserMissing)(`onnxruntime-web says what it runs on${whyNoBrowser}`, () => {
  it("is one thread of WebAssembly on a page that is not cross-origin isolated, however many were asked for", async () => {
    await using runtime = await chromiumRuntime({ threads: 2 });
    expect(runtime.engine).toEqual({ device: "wasm", threads: 1, version: expect.stringMatching(/^1\.30/) });
  });

  it("is as many threads as were asked for on one that is", async () => {
    await using runtime = await chromiumRuntime({ threads: 3, isolated: true });
    expect(runtime.engine).toMatchObject({ device: "wasm", threads: 3 });
  });

  it("is not WebGPU in a browser that has none", async () => {
    await expect(chromiumRuntime({ device: "webgpu", graphics: "none" })).rejects.toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: This browser has no WebGPU adapter: take the device wasm, which every browser has.]`,
    );
  });

  it("is nothing where its files are not", async () => {
    const refusal = await chromiumRuntime({ files: "elsewhere" }).catch((error: Error) => error.message);
    expect(String(refusal).replaceAll(/:\d+/g, ":PORT")).toMatchInlineSnapshot(
      `"The engine can't be loaded from http://127.0.0.1:PORT/elsewhere/ort.wasm.min.mjs. Copy these files of onnxruntime-web/dist to http://127.0.0.1:PORT/elsewhere/: ort.wasm.min.mjs, ort-wasm-simd-threaded.mjs, ort-wasm-simd-threaded.wasm."`,
    );
  });
});

/** WebGPU in Chromium, or why there is none. */
async function startWebGpu(): Promise<ChromiumRuntime | string> {
  if (browserMissing) return whyNoBrowser;
  try {
    return await chromiumRuntime({ device: "webgpu" });
  } catch (error) {
    if (error instanceof ConfigError) return ` (skipped: ${error.message})`;
    throw error;
  }
}

const webGpu = await startWebGpu();
const skipped = typeof webGpu === "string" ? webGpu : "";

/** Simulated graphics processors are slow: one case of every operation, or all of them with PREFTUNE_WEBGPU_TABLE=all. */
const whole = process.env.PREFTUNE_WEBGPU_TABLE === "all";

describe.skipIf(skipped !== "")(`onnxruntime-web by WebGPU computes what the interpreter does:${skipped}`, () => {
  const runtime = webGpu as ChromiumRuntime;
  afterAll(() => runtime[Symbol.asyncDispose]());

  for (const [op, cases] of Object.entries(operationCases)) {
    it.each(whole ? cases : cases.slice(-1))(`${op} $title`, async (test) => {
      const outputs = outputsOf(op, test);
      await using fast = await runtime.compile({ outputs });
      await using exact = await interpreter.compile({ outputs });
      const { values } = drawCase(test, 1);
      const given = Object.fromEntries(fast.inputNames.map((name) => [name, values[name]!]));
      const [actual, expected] = [await fast.run(given), await exact.run(given)];
      for (const name of Object.keys(outputs)) {
        expectClose(numbers(actual[name]!), numbers(expected[name]!), 2e-6, { what: name });
      }
    });
  }
});
