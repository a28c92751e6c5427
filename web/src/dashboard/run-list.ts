/** The list of runs: what it can be sorted and grouped by, and which runs have certain words. */

import type { RunSummary } from "../../../src/dashboard/protocol.ts";
import { baseName, modelName } from "./states.ts";

export type Column =
  | "name"
  | "state"
  | "model"
  | "data"
  | "objective"
  | "step"
  | "loss"
  | "evalLoss"
  | "accuracy"
  | "margin"
  | "kl"
  | "speed"
  | "started";

/** What runs can be grouped by, in the list's words. */
export const GROUPS = {
  none: "not grouped",
  folder: "by folder",
  state: "by state",
  model: "by model",
  data: "by data",
  objective: "by objective",
} as const;
export type GroupBy = keyof typeof GROUPS;

export const COLUMNS: Readonly<Record<Column, { readonly title: string; readonly number: boolean }>> = {
  name: { title: "Run", number: false },
  state: { title: "State", number: false },
  model: { title: "Model", number: false },
  data: { title: "Data", number: false },
  objective: { title: "Objective", number: false },
  step: { title: "Step", number: true },
  loss: { title: "Loss", number: true },
  evalLoss: { title: "Held-out loss", number: true },
  accuracy: { title: "Accuracy", number: true },
  margin: { title: "Margin", number: true },
  kl: { title: "KL", number: true },
  speed: { title: "Ex./s", number: true },
  started: { title: "Age", number: true },
};

/** What is looked for first: the newest run, the most accurate, but the least loss. */
export function startsDescending(column: Column): boolean {
  return COLUMNS[column].number && !["loss", "evalLoss", "kl"].includes(column);
}

export function objectiveOf({ method, objective }: RunSummary): string {
  const names = objective.join(" + ");
  return names && names !== method ? `${method} ${names}` : method;
}

export const dataOf = ({ data }: RunSummary): string => data.map(baseName).join(", ");

/** The runs that have all words of a search, in whatever is said of them. */
export function foundRuns(runs: readonly RunSummary[], search: string): RunSummary[] {
  const words = search.toLowerCase().split(/\s+/).filter(Boolean);
  return runs.filter((run) => {
    const text = [run.name, run.state, run.model, ...run.data, run.method, ...run.objective].join(" ").toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

/** By a column; what is not known comes last, whatever the direction. */
export function sortedRuns(runs: readonly RunSummary[], column: Column, descending: boolean): RunSummary[] {
  return runs.toSorted((a, b) => {
    const [x, y] = [sortKey(a, column), sortKey(b, column)];
    if (x === undefined || y === undefined) return Number(x === undefined) - Number(y === undefined);
    const order = typeof x === "number" ? x - (y as number) : compared(x, y as string);
    return (descending ? -order : order) || compared(a.name, b.name);
  });
}

/** The runs of each group, by the groups' names; one group without a name where they are not grouped. */
export function groupedRuns(runs: readonly RunSummary[], by: GroupBy): [name: string, runs: RunSummary[]][] {
  const groups = new Map<string, RunSummary[]>();
  for (const run of runs) {
    const name = groupOf(run, by);
    groups.set(name, [...(groups.get(name) ?? []), run]);
  }
  return [...groups].sort(([a], [b]) => compared(a, b));
}

function groupOf(run: RunSummary, by: GroupBy): string {
  if (by === "none") return "";
  if (by === "folder") return run.group || "(top)";
  if (by === "data") return dataOf(run) || "(none)";
  if (by === "objective") return objectiveOf(run);
  return by === "state" ? run.state : run.model;
}

function sortKey(run: RunSummary, column: Column): string | number | undefined {
  if (column === "model") return modelName(run.model);
  if (column === "data") return dataOf(run);
  if (column === "objective") return objectiveOf(run);
  // What was not finite came as null.
  return (column === "speed" ? run.examplesPerSecond : run[column]) ?? undefined;
}

/** "beta-2" is before "beta-10". */
function compared(a: string, b: string): number {
  return a.localeCompare(b, undefined, { numeric: true });
}
