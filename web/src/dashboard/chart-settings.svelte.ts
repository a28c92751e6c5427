/** How charts are drawn, kept while one goes from run to run. */

import type { Axis } from "../../../src/dashboard/protocol.ts";

/** The greatest weight of what came before: a hundred values' mean. */
export const MOST_SMOOTHING = 0.99;

export const chartSettings = $state<{ axis: Axis; smoothing: number; log: boolean }>({
  axis: "step",
  smoothing: 0,
  log: false,
});
