/**
 * A loss over the plane of two log-ratios: its heights on a grid, how they become colours and contours, and the way down.
 * The chosen completion's log-ratio goes to the right, the rejected one's up.
 */

import type { Grid } from "../../shared/contours.ts";
import { linear } from "../../shared/scale.ts";
import type { Landscape } from "./landscape.ts";

/** Cells of the grid along each side. */
export const CELLS = 64;
const POINTS = CELLS + 1;
const LEVELS = 9;
/** Beyond this ratio of the greatest loss to a usual one, equal steps of colour would show nothing but the corner. */
const STEEP = 30;

export interface Field {
  /** Losses [rows from the top, columns from the left]. */
  readonly grid: Grid;
  readonly least: number;
  readonly most: number;
  /** The greatest length of the gradient on the grid. */
  readonly steepest: number;
  /** From 0 for the least loss to 1 for the greatest. */
  tone(loss: number): number;
  /** Losses to draw a contour at. */
  readonly levels: readonly number[];
}

export interface Place {
  readonly chosen: number;
  readonly rejected: number;
}

/** The loss where both log-ratios go from -reach to reach, in nats. */
export async function fieldOf(landscape: Landscape, reach: number): Promise<Field> {
  const along = Float64Array.from({ length: POINTS }, (_, i) => reach * ((2 * i) / CELLS - 1));
  const places = Array.from({ length: POINTS * POINTS }, (_, i) => i);
  const { losses, gradient } = await landscape.at(
    places.map((i) => along[i % POINTS]!),
    places.map((i) => along[CELLS - Math.floor(i / POINTS)]!),
  );
  const sorted = losses.filter(Number.isFinite).sort();
  const [least, most] = [sorted[0] ?? 0, sorted.at(-1) ?? 1];
  const slopes = gradient.chosen.map((slope, i) => Math.hypot(slope, gradient.rejected[i]!)).filter(Number.isFinite);
  return {
    grid: { values: losses, columns: POINTS, rows: POINTS },
    least,
    most,
    steepest: slopes.reduce((a, b) => Math.max(a, b), 0),
    ...toneOf(sorted, least, most),
  };
}

/** Equal steps of colour for equal steps of loss, or, where a corner towers above all else, for its inverse hyperbolic sine. */
function toneOf(sorted: Float64Array, least: number, most: number): Pick<Field, "tone" | "levels"> {
  const range = most - least || 1;
  const usual = (sorted[Math.floor(0.75 * sorted.length)] ?? most) - least;
  if (range <= STEEP * usual) {
    const levels = linear([least, most], [0, 1]).ticks(LEVELS);
    return { tone: (loss) => (loss - least) / range, levels: levels.filter((level) => level > least && level < most) };
  }
  const unit = Math.max(usual, range * 1e-9);
  const whole = Math.asinh(range / unit);
  const level = (i: number) => Number((least + unit * Math.sinh((whole * (i + 1)) / (LEVELS + 1))).toPrecision(2));
  return {
    tone: (loss) => Math.asinh((loss - least) / unit) / whole,
    levels: Array.from({ length: LEVELS }, (_, i) => level(i)),
  };
}

/**
 * Gradient descent on the two log-ratios: the places it comes to, the start first, `steps` steps at most. It ends where it
 * leaves the plane, or where the loss is flat.
 */
export async function descend(
  landscape: Landscape,
  start: Place,
  { rate, steps, reach }: { readonly rate: number; readonly steps: number; readonly reach: number },
): Promise<Place[]> {
  const path = [start];
  for (let i = 0; i < steps; i++) {
    const { chosen, rejected } = path.at(-1)!;
    const { gradient } = await landscape.at([chosen], [rejected]);
    const [right, up] = [gradient.chosen[0]!, gradient.rejected[0]!];
    if (right === 0 && up === 0) break;
    const next = { chosen: chosen - rate * right, rejected: rejected - rate * up };
    if (!(Math.abs(next.chosen) <= reach && Math.abs(next.rejected) <= reach)) break;
    path.push(next);
  }
  return path;
}
