/** onnxruntime-web in Chromium as a runtime of the tests: programs and arrays go to a page and results come back. */

import type { JSHandle, Page } from "playwright-core";
import * as errors from "../../src/errors.ts";
import type { Executable, Runtime, Value } from "../../src/runtime/runtime.ts";
import type { WebEngine, WebRuntimeOptions } from "../../src/runtime/web.ts";
import { openBundled, type PageOptions } from "./bundled-page.ts";
import { programData } from "./program-data.ts";
import type { testPage } from "./runtime-page.ts";

type Values = Readonly<Record<string, Value>>;
type TestPage = typeof testPage;
type Answer<Name extends keyof TestPage> = Extract<Awaited<ReturnType<TestPage[Name]>>, { value: unknown }>["value"];

export interface ChromiumRuntime extends Runtime, AsyncDisposable {
  readonly engine: WebEngine;
}

export type ChromiumOptions = Partial<WebRuntimeOptions> & Pick<PageOptions, "isolated" | "graphics">;

/** Starts Chromium with a page that has the engine. Dispose of it. Throws what `webRuntime` throws. */
export async function chromiumRuntime(options: ChromiumOptions = {}): Promise<ChromiumRuntime> {
  const { isolated, graphics = options.device === "webgpu" ? "webgpu" : "none", ...asked } = options;
  const bundled = await openBundled("tests/support/runtime-page.ts", { isolated, graphics });
  const { page } = bundled;
  try {
    const handle = await page.evaluateHandle(() => (globalThis as unknown as { testPage: TestPage }).testPage);
    return {
      engine: await ask(page, handle, "start", { files: "engine", ...asked }),
      compile: async (program) => {
        const { id, inputNames } = await ask(page, handle, "compile", programData(program));
        return new RemoteExecutable(page, handle, id, inputNames);
      },
      [Symbol.asyncDispose]: () => bundled[Symbol.asyncDispose](),
    };
  } catch (error) {
    await bundled[Symbol.asyncDispose]();
    throw error;
  }
}

/** Calls a function of the page. Throws what it throws. */
async function ask<Name extends keyof TestPage>(
  page: Page,
  handle: JSHandle<TestPage>,
  name: Name,
  ...given: Parameters<TestPage[Name]>
): Promise<Answer<Name>> {
  const call = ({ handle, name, given }: { handle: TestPage; name: Name; given: unknown[] }) =>
    (handle[name] as (...given: unknown[]) => ReturnType<TestPage[Name]>)(...given);
  const outcome = await page.evaluate(call as never, { handle, name, given } as never);
  const { value, error } = outcome as { value?: Answer<Name>; error?: { name: keyof typeof errors; message: string } };
  if (!error) return value!;
  const Known = (errors as Record<string, unknown>)[error.name] ?? Error;
  throw new (Known as ErrorConstructor)(error.message);
}

class RemoteExecutable implements Executable {
  constructor(
    private readonly page: Page,
    private readonly handle: JSHandle<TestPage>,
    private readonly id: number,
    readonly inputNames: readonly string[],
  ) {}

  async run(inputs: Values, into: Values = {}): Promise<Record<string, Value>> {
    const results = await ask(this.page, this.handle, "run", this.id, inputs, into);
    return Object.fromEntries(
      Object.entries(results).map(([name, value]) => {
        const target = into[name];
        (target?.data as Float32Array | undefined)?.set(value.data as Float32Array);
        return [name, target ?? value];
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await ask(this.page, this.handle, "dispose", this.id);
  }
}
