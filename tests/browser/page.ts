/** The page around `worker.ts`, which counts how often it draws while the worker works. */

import type { Actions } from "./worker.ts";

const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
let frames = 0;
const count = () => {
  frames++;
  requestAnimationFrame(count);
};
requestAnimationFrame(count);

export const testPage = {
  frames: () => frames,
  ask: <Name extends keyof Actions>(name: Name, given?: Parameters<Actions[Name]>[0]) =>
    new Promise<Awaited<ReturnType<Actions[Name]>>>((resolve, reject) => {
      worker.onmessage = ({ data: { value, error } }) =>
        error === undefined ? resolve(value) : reject(new Error(error));
      worker.onerror = (event) => reject(new Error(event.message));
      worker.postMessage({ name, given });
    }),
};

Object.assign(globalThis, { testPage });
