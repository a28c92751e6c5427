/** Tunes the embedded example in a worker, so that the page stays free. The steps are those of the command line. */

import { demoSettings, fetchModel, PreftuneError, Tuning, webRuntime } from "../../../../src/browser/index.ts";
import type { News, Order, StartOptions } from "./messages.ts";

/** Evaluations of a run besides the one before its first step. */
const EVALUATIONS = 4;
/** Held-out pairs: fewer than the command line's 128, for an evaluation should not take longer than the steps between. */
const HELD_OUT = 48;
const PROMPTS = [
  `How is the pacing in "The Last Train"?`,
  `Did you like "The Velvet River"?`,
  `How was "The Lost Kite"?`,
];

const tell = (news: News): void => postMessage(news);
let paused = false;
let resume: (() => void) | undefined;

addEventListener("message", ({ data }: MessageEvent<Order>) => {
  if (data.order === "start") train(data).catch(fail);
  paused = data.order === "pause";
  if (!paused) resume?.();
});

async function train({ device, beta, engineFolder, exampleFolder }: StartOptions): Promise<void> {
  tell({ news: "stage", stage: "loading" });
  const [runtime, model, train, heldOut] = await Promise.all([
    webRuntime({ files: engineFolder, device }),
    fetchModel(new URL("model/", exampleFolder).href),
    fetchText(new URL("preferences.jsonl", exampleFolder)),
    fetchText(new URL("preferences-eval.jsonl", exampleFolder)),
  ]);
  tell({ news: "engine", engine: runtime.engine });
  await using tuning = await Tuning.open({
    model,
    train: { name: "preferences.jsonl", text: train },
    heldOut: { name: "preferences-eval.jsonl", text: heldOut.split("\n").slice(0, HELD_OUT).join("\n") },
    runtime,
    settings: { ...demoSettings, beta },
    onStage: (stage) => tell({ news: "stage", stage }),
  });
  const { parameters, examples } = tuning.summary;
  tell({ news: "opened", steps: tuning.steps, parameters, pairs: examples, beta });
  const every = Math.ceil(tuning.steps / EVALUATIONS);
  await evaluate(tuning);
  while (tuning.step < tuning.steps) {
    await unlessPaused();
    tell({ news: "step", metrics: await tuning.next() });
    if (tuning.step % every === 0 || tuning.step === tuning.steps) await evaluate(tuning);
  }
  tell({ news: "finished" });
}

async function evaluate(tuning: Tuning): Promise<void> {
  tell({ news: "evaluation", metrics: await tuning.evaluate(), samples: await tuning.sample(PROMPTS) });
}

/** Lets orders in, and waits while one of them says pause. */
async function unlessPaused(): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve));
  while (paused) {
    tell({ news: "paused" });
    await new Promise<void>((resolve) => {
      resume = resolve;
    });
  }
}

async function fetchText(url: URL): Promise<string> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url} can't be fetched (${response.status} ${response.statusText}).`);
  return response.text();
}

function fail(error: unknown): void {
  // What a user can mend says so itself; anything else is told with its kind.
  const message = error instanceof PreftuneError ? error.message : String(error);
  tell({ news: "failed", message });
}
