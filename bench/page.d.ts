/** Chromium: what PREFTUNE_CHROMIUM names, or one that is installed; undefined where there is none. */
export const executablePath: string | undefined;
/** Where it was sought, to say where there is none. */
export const whereSought: string;
/** Chromium's arguments: without a graphics processor, or with WebGPU on one that is simulated, which computes right but slowly. */
export const GRAPHICS: Readonly<Record<"none" | "webgpu", readonly string[]>>;
/** Bundles a module, by its path from the repository's root, with all it imports: a new folder with `index.html` and its one script. */
export function bundlePage(entry: string): Promise<string>;
