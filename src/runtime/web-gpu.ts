/** Whether a browser has WebGPU: asked before the engine is loaded. */

/** The part of WebGPU that is asked here. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info: { readonly vendor: string; readonly architecture: string } } | null>;
}

/** What the browser calls its WebGPU adapter, "apple metal-3" say; undefined where it has none. */
export async function webGpuAdapter(): Promise<string | undefined> {
  const { gpu } = navigator as { gpu?: Gpu };
  const adapter = await gpu?.requestAdapter();
  return adapter ? `${adapter.info.vendor} ${adapter.info.architecture}`.trim() : undefined;
}
