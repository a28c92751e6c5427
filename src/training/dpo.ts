/** Direct Preference Optimization and the objectives that share its data and its reference: one call, one run directory. */

import { ConfigError } from "../errors.ts";
import { objectives } from "../objectives/index.ts";
import { type DpoConfig, type DpoOptions, dpoSchema } from "./config.ts";
import type { RunResult } from "./observer.ts";
import { type RunControl, tune } from "./run.ts";

/** What is usual for each kind of tuning: an adapter bears, and needs, far larger steps than the weights themselves. */
const DEFAULT_LEARNING_RATE = { lora: 5e-5, full: 1e-6 };

/** Fills in every default. Throws ConfigError that names the setting. */
export function resolveConfig(options: DpoOptions): DpoConfig {
  const parsed = dpoSchema.safeParse(options);
  if (!parsed.success) {
    const issue = parsed.error.issues[0]!;
    const key = issue.path.join(".");
    throw new ConfigError(key === "" ? issue.message : `${key}: ${issue.message}`);
  }
  const config = parsed.data;
  return { ...config, learningRate: config.learningRate ?? DEFAULT_LEARNING_RATE[config.tuning] };
}

/**
 * Tunes a model on preference pairs. Writes the run directory `output`; the result is `adapter/` or `model/` in it.
 * Throws PreftuneError with what to mend.
 */
export async function dpo(options: DpoOptions, control: RunControl = {}): Promise<RunResult> {
  const config = resolveConfig(options);
  return tune(config, objectives[config.loss](config), control);
}
