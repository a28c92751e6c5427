/**
 * Reference data beside preference data (MPO, docs/mpo.md): rows of a second set of files, whose completions' likelihood keeps
 * the policy near the reference. Some of them join the pairs of every optimizer step, in an order of their own that goes round
 * as often as it takes. Where there are none, the chosen completions stand for the reference, as they do at evaluations.
 */

import { z } from "zod";
import type { RowValues, TokenizedExample } from "../../data/example.ts";
import type { LoadedPreferences } from "../../data/load.ts";
import { dataShape } from "../../data/source-settings.ts";
import { ConfigError } from "../../errors.ts";
import type { Objective } from "../../objectives/index.ts";
import type { TrainingConfig } from "../config.ts";

/** Settings of the methods that learn from reference data too. */
export const regularizationSettings = {
  regularizationData: dataShape.sources
    .optional()
    .describe("reference data: rows of prompt and completion; the chosen completions if not given"),
  regularizationBatchSize: z
    .number()
    .int()
    .positive()
    .optional()
    .describe("rows of reference data in an optimizer step; as many as pairs if not given"),
};

export type RegularizationSettings = z.input<z.ZodObject<typeof regularizationSettings>>;

/** Throws ConfigError for a number of rows where there are none. */
export function checkRegularization(config: TrainingConfig): void {
  if (config.regularizationBatchSize !== undefined && config.regularizationData === undefined) {
    throw new ConfigError(
      "--regularization-batch-size has no effect without --regularization-data: leave it out, or give the rows.",
    );
  }
}

/** What a run learns from and is evaluated on. */
export interface RunData {
  readonly train: LoadedPreferences;
  readonly held: LoadedPreferences | undefined;
  readonly regularization: LoadedPreferences | undefined;
}

/** Tells each completion what it is to an objective that reads so; other objectives' data stay as they are. */
export function markRegularization({ columns }: Objective, { train, held, regularization }: RunData): RunData {
  if (columns?.regularizes === undefined) return { train, held, regularization };
  const standIn = { preference: [1, -1], regularizes: [1, 0] };
  return {
    train: marked(train, regularization ? { preference: [1, -1], regularizes: [0, 0] } : standIn),
    held: held && marked(held, standIn),
    regularization: regularization && marked(regularization, { preference: [0], regularizes: [1] }),
  };
}

function marked({ examples, ledger }: LoadedPreferences, marks: RowValues): LoadedPreferences {
  const withMarks = (example: TokenizedExample) => ({ ...example, values: { ...example.values, ...marks } });
  return { examples: examples.map(withMarks), ledger };
}
