/**
 * The embedded example from beginning to end: reviews by the model as it is, DPO on the pairs that prefer praise, reviews
 * by the tuned model, and how far it has moved. All of it is computed when it is asked for.
 */

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Estimate } from "../diagnostics/estimate.ts";
import { loadModel } from "../evaluation/loaded-model.ts";
import { RunDirectory } from "../training/directory/run-directory.ts";
import type { RunObserver, RunResult } from "../training/observer.ts";
import { type DpoOptions, dpo } from "../training/tuners.ts";
import { divergenceOnSamples } from "./divergence.ts";
import { type Review, sampleReviews } from "./reviews.ts";
import { demoSettings } from "./settings.ts";

/** The same place seen from the sources, from what is built of them, and from the installed package. */
const EXAMPLE = fileURLToPath(new URL("../../examples/film-reviews/", import.meta.url));

interface DemoOptions {
  /** The run directory, made by the demo. */
  readonly output: string;
  readonly seed: number;
  readonly threads?: number | undefined;
  /** Pairs to tune on, all by default. */
  readonly pairs?: number;
  /** Reviews to sample before and after; default 200. */
  readonly samples?: number;
}

/** What the demo tells whoever watches it, besides what a run tells. */
interface DemoObserver extends RunObserver {
  onReviews?(when: "before" | "after", reviews: readonly Review[]): void;
}

export interface DemoReport {
  readonly run: RunResult;
  /** Reviews of the same films before and after. */
  readonly before: readonly Review[];
  readonly after: readonly Review[];
  /** KL(policy || reference) in nats a review, on the reviews after. */
  readonly divergence: Estimate;
}

/** The settings of the demo's run, which `preftune dpo` takes as they are. */
export function demoRun({ output, seed, threads, pairs }: DemoOptions) {
  return {
    model: join(EXAMPLE, "model"),
    data: join(EXAMPLE, "preferences.jsonl"),
    evalData: join(EXAMPLE, "preferences-eval.jsonl"),
    output,
    ...demoSettings,
    ...(seed !== 0 && { seed }),
    ...(threads !== undefined && { threads }),
    ...(pairs !== undefined && { limit: pairs }),
  } satisfies DpoOptions;
}

/** Runs the demo. Returns the run alone where `signal` stopped it. Throws PreftuneError with what to mend. */
export async function demo(
  options: DemoOptions,
  { observer, signal }: { observer?: DemoObserver | undefined; signal?: AbortSignal } = {},
): Promise<DemoReport | Pick<DemoReport, "run">> {
  const { seed, threads, samples = 200 } = options;
  const settings = demoRun(options);
  RunDirectory.refuseExisting(settings.output);
  await using base = await loadModel(settings.model, { threads });
  observer?.onStage?.("sampling");
  const before = await sampleReviews(base, samples, seed);
  observer?.onReviews?.("before", before);

  const run = await dpo(settings, { ...(observer && { observer }), ...(signal && { signal }) });
  if (run.result === undefined) return { run };

  observer?.onStage?.("sampling");
  await using tuned = await loadModel(run.result, { threads });
  const after = await sampleReviews(tuned, samples, seed);
  observer?.onReviews?.("after", after);
  return { run, before, after, divergence: await divergenceOnSamples(base, after) };
}
