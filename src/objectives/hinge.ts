/**
 * The hinge loss on DPO's margin: SLiC's (Zhao et al. 2023, arXiv 2305.10425) with rewards against a reference, as RSO has
 * it (Liu et al. 2023, "Statistical Rejection Sampling Improves Preference Optimization", arXiv 2309.06657):
 *
 *   L = max(0, 1 - z)
 *
 * A pair whose margin is beyond 1 has no gradient any more: beta is RSO's gamma, the inverse of the margin asked for.
 */

import { maximum, sub } from "../tensor/index.ts";
import { marginObjective } from "./margin.ts";

export const hingeLoss = marginObjective({
  name: "hinge",
  title: "Hinge (SLiC, RSO)",
  source: "Zhao et al. 2023, arXiv 2305.10425; Liu et al. 2023, arXiv 2309.06657",
  formula: "max(0, 1 - z)",
  use: "to leave pairs alone once they are ranked with a margin of 1 / beta",
  loss: (z) => maximum(0, sub(1, z)),
});
