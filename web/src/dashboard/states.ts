/** How runs stand, in words. */

import type { RunState, RunSummary } from "../../../src/dashboard/protocol.ts";
import { fixed, percent, short, whole } from "../shared/format.ts";

export const STATE_WORDS: Readonly<Record<RunState, string>> = {
  running: "running",
  finished: "finished",
  stopped: "stopped",
  interrupted: "interrupted",
  failed: "failed",
};

const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
] as const;

/** A time span in its largest unit: "3 min". */
export function span(seconds: number): string {
  const [size, unit] = UNITS.find(([size]) => seconds >= size) ?? [1, "s"];
  return `${Math.max(0, Math.floor(seconds / size))} ${unit}`;
}

/** A moment in the reader's own zone. */
export function moment(unixSeconds: number): string {
  return new Date(unixSeconds * 1000).toLocaleString(undefined, { dateStyle: "medium", timeStyle: "short" });
}

/** The last part of a path or of org/name. */
export function baseName(path: string): string {
  return path.replace(/\/+$/, "").split("/").at(-1) ?? path;
}

/** The folder's name alone says little where it is one called "model". */
export function modelName(path: string): string {
  const parts = path.replace(/\/+$/, "").split("/");
  return parts.at(-1) === "model" && parts.length > 1 ? `${parts.at(-2)}/model` : (parts.at(-1) ?? path);
}

/** The figures that say how a run does, as text; a dash for what is not known. */
export function figures(
  run: RunSummary,
): Record<"step" | "loss" | "evalLoss" | "accuracy" | "margin" | "kl" | "speed", string> {
  const or = (value: number | undefined, format: (value: number) => string) =>
    value === undefined || value === null ? "–" : format(value);
  return {
    step: run.steps === undefined ? whole(run.step) : `${whole(run.step)} / ${whole(run.steps)}`,
    loss: or(run.loss, (value) => fixed(value, 3)),
    evalLoss: or(run.evalLoss, (value) => fixed(value, 3)),
    accuracy: or(run.accuracy, (value) => percent(value, 1)),
    margin: or(run.margin, (value) => fixed(value, 2)),
    kl: or(run.kl, (value) => fixed(value, 2)),
    speed: or(run.examplesPerSecond, short),
  };
}
