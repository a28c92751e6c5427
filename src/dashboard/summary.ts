/** A run in one line of the list, from its settings and the ends of its log. */

import { StepOrder } from "../training/step/step-order.ts";
import type { LogLine } from "./excerpt.ts";
import { isObject } from "./files.ts";
import type { Outcome, RunState, RunSummary } from "./protocol.ts";

/** Steps that a shown number is the mean of, as in warnings: a single batch's numbers jump too much. */
const WINDOW = 20;

/** What is read of a log for the list. */
export interface LogEnds {
  readonly first: LogLine | undefined;
  /** Its last lines, in order. */
  readonly tail: readonly LogLine[];
  readonly evaluation: LogLine | undefined;
}

export const emptyLog: LogEnds = { first: undefined, tail: [], evaluation: undefined };

interface SummaryView {
  readonly config: Readonly<Record<string, unknown>>;
  readonly data: Readonly<Record<string, unknown>>;
  readonly log: LogEnds;
  readonly outcome: Outcome | undefined;
  readonly state: RunState;
  readonly now: number;
}

/** What the settings and the log say; times and the run's place are added by whoever knows them. */
export function summarize(
  view: SummaryView,
): Omit<RunSummary, "id" | "name" | "group" | "parent" | "stopping" | "warnings" | "started" | "updated"> {
  const { config, log, outcome, state } = view;
  const training = log.tail.filter((line) => "loss" in line).slice(-WINDOW);
  const steps = outcome?.steps ?? plannedSteps(view);
  const step = log.tail.at(-1)?.step ?? outcome?.step ?? 0;
  const remaining = state === "running" ? remainingSeconds(training, steps) : undefined;
  const numbers = {
    steps,
    loss: mean(training, "loss"),
    accuracy: evaluated("rewards/accuracies"),
    margin: evaluated("rewards/margins"),
    kl: finite(log.evaluation?.eval_kl_samples) ?? evaluated("kl"),
    evalLoss: finite(log.evaluation?.eval_loss),
    examplesPerSecond: mean(training, "examples_per_second") ?? mean(training, "pairs_per_second"),
    remaining,
    logged: finite(log.tail.at(-1)?.time),
  };
  return {
    state,
    model: text(config.model),
    data: list(config.data).map(sourceName),
    method: text(config.method),
    objective: list(config.loss).map(text),
    step,
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== undefined)),
    evaluated: finite(log.evaluation?.eval_loss) !== undefined,
  };

  function evaluated(name: string): number | undefined {
    return finite(log.evaluation?.[`eval_${name}`]) ?? mean(training, name);
  }
}

/** Optimizer steps of the run, as far as its settings and its ledger say. */
function plannedSteps({ config, data }: SummaryView): number | undefined {
  const [batchSize, epochs, maxSteps] = [finite(config.batchSize), finite(config.epochs), finite(config.maxSteps)];
  const used = isObject(data.train) ? finite(data.train.used) : undefined;
  if (used === undefined || batchSize === undefined || epochs === undefined) return maxSteps;
  return finite(new StepOrder(used, { batchSize, epochs, maxSteps, shuffle: false, seed: 0 }).steps);
}

/** At the rate of the last steps, with the evaluations between them. */
function remainingSeconds(training: readonly LogLine[], steps: number | undefined): number | undefined {
  const timed = training.filter(({ time }) => finite(time) !== undefined);
  const [first, last] = [timed[0], timed.at(-1)];
  if (steps === undefined || first === undefined || last === undefined || last.step <= first.step) return undefined;
  const each = ((last.time as number) - (first.time as number)) / (last.step - first.step);
  return Math.max(0, (steps - last.step) * each);
}

function mean(lines: readonly LogLine[], name: string): number | undefined {
  const values = lines.flatMap((line) => finite(line[name]) ?? []);
  return values.length === 0 ? undefined : values.reduce((a, b) => a + b, 0) / values.length;
}

export function finite(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function text(value: unknown): string {
  return typeof value === "string" ? value : value === undefined ? "" : JSON.stringify(value);
}

function list(value: unknown): readonly unknown[] {
  return value === undefined ? [] : Array.isArray(value) ? value : [value];
}

function sourceName(source: unknown): string {
  if (!isObject(source) || typeof source.path !== "string") return text(source);
  return source.weight === undefined ? source.path : `${source.path}:${text(source.weight)}`;
}
