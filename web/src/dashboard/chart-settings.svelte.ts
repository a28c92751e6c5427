/** How charts are drawn, kept while one goes from run to run. */

import type { Axis } from "../../../src/dashboard/protocol.ts";

export const chartSettings = $state<{ axis: Axis; smoothing: number; log: boolean }>({
  axis: "step",
  smoothing: 0,
  log: false,
});
