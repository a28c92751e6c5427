/** A worker with a session, as a page would have: opens it when asked to, and calls its functions by name. */

import {
  fetchModel,
  Tuning,
  type TuningSettings,
  type WebRuntimeOptions,
  webRuntime,
} from "../../src/browser/index.ts";

interface Opening {
  readonly runtime: WebRuntimeOptions;
  readonly settings?: TuningSettings;
}

let tuning: Tuning;

const actions = {
  async open({ runtime: options, settings }: Opening) {
    const rows = async (name: string, count?: number) => {
      const text = await (await fetch(`/film-reviews/${name}`)).text();
      return { name, text: text.split("\n").slice(0, count).join("\n") };
    };
    const runtime = await webRuntime(options);
    tuning = await Tuning.open({
      model: await fetchModel("/film-reviews/model"),
      train: await rows("preferences.jsonl"),
      heldOut: await rows("preferences-eval.jsonl", 24),
      runtime,
      ...(settings && { settings }),
    });
    return { engine: runtime.engine, steps: tuning.steps };
  },
  next: async (steps: number) => {
    const metrics = [];
    for (let i = 0; i < steps; i++) metrics.push(await tuning.next());
    return metrics;
  },
  evaluate: () => tuning.evaluate(),
  sample: () => tuning.sample(),
};

export type Actions = typeof actions;

addEventListener("message", async ({ data: { name, given } }: MessageEvent) => {
  try {
    const value = await (actions[name as keyof Actions] as (given: unknown) => Promise<unknown>)(given);
    postMessage({ value });
  } catch (error) {
    postMessage({ error: String(error) });
  }
});
