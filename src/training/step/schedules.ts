/**
 * Learning-rate schedules as factors on the peak rate for step 0, 1, ... of `total`: a linear warm-up over `warmup` steps,
 * then what the name says.
 *
 * Warm-up follows the official DPO code (150 steps of it, then constant): step t has the factor (t + 1) / (warmup + 1).
 * transformers has t / warmup, whose first step changes nothing. Without warm-up both are the same, and linear and cosine
 * are those of transformers' `get_scheduler`.
 */

export const schedules = {
  /** Falls in a straight line to 0 after the last step. */
  linear: (progress: number) => 1 - progress,
  /** Half a cosine wave from 1 to 0. */
  cosine: (progress: number) => 0.5 * (1 + Math.cos(Math.PI * progress)),
  constant: () => 1,
} as const;

export type ScheduleName = keyof typeof schedules;

export function learningRateFactor(
  name: ScheduleName,
  step: number,
  { warmup, total }: { warmup: number; total: number },
): number {
  if (step < warmup) return (step + 1) / (warmup + 1);
  return Math.max(0, schedules[name](Math.min(1, (step - warmup) / Math.max(1, total - warmup))));
}
