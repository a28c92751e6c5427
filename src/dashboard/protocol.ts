/**
 * What the dashboard's server and its page say to each other: types only, so that the page can import them.
 *
 * All routes are GET and answer JSON but where it says otherwise. A run is named by its `id`, which the list gives; an unknown one is
 * 404. A parameter that is out of range is 400, and the body of every refusal is `Refusal`. Numbers that are not finite are null.
 * `/?token=...`, as it is printed, sets the cookie that every other request needs (401 without) and goes on to `/`.
 *
 *   /api/runs                                  RunList
 *   /api/runs/ID                               RunDetail
 *   /api/runs/ID/samples                       SamplePage   ?prompt=INDEX (of `prompts`; all if not given) &offset=0 &limit=50 (1..200)
 *   /api/runs/ID/eval-rows                     EvalRowPage  ?sort=wrong|right|loss|file (wrong) &search=TEXT &offset=0 &limit=20 (1..200)
 *   /api/runs/ID/suspects                      SuspectPage  ?offset=0 &limit=50 (1..500)
 *   /api/series?run=ID&metric=NAME             SeriesAnswer run and metric may each be repeated (up to 200 series): every metric of every run that
 *                                              has it, run by run in the order asked. &axis=step|time|examples (step) &points=1..4000 (500) &from= &to=
 *                                              (bounds on the axis, inclusive) &exact=1 (wait until all series are exact)
 *   /api/series.csv?run=ID&metric=NAME         text/csv, every value as it was logged, one line a logged line: run,step,time,examples,METRIC...
 *   /api/difference?run=ID&run=ID              Difference of two or more runs' settings
 *   /api/report/ID                             text/html: the run as one file (a download)
 *   /api/events                                text/event-stream of ServerEvent
 *   POST /api/runs/ID/stop                     StopAnswer; 409 where the run is not running. Needs the header `X-Preftune: stop`.
 *
 * Events: the name of the event is `ServerEvent["event"]`, its data the JSON of the rest. The first is `runs` unless the browser
 * came back with an id that the server still remembers; then what was missed follows. EventSource reconnects by itself.
 */

import type { LedgerReport } from "../data/ledger.ts";
import type { Suspect } from "../diagnostics/suspects.ts";
import type * as Logged from "../training/observer.ts";

/**
 * `running`: a process works on it now. `finished`: it came to its end and has its result. `stopped`: it ended before its last
 * step in good order, of itself (`outcome.stopped` says why) or because it was asked to (`outcome.interrupted`). `interrupted`:
 * its process was ended from outside. `failed`: it ended by an error (`outcome.error`).
 */
export type RunState = "running" | "finished" | "stopped" | "interrupted" | "failed";

/** A run as the list shows it. What is not known, or not of this kind of run, is absent. */
export interface RunSummary {
  readonly id: string;
  /** Its folder below the one that is watched, with `/`: `first`, `group/second`, `group/second/sft`. */
  readonly name: string;
  /** The part of `name` before its last `/`; empty at the top. */
  readonly group: string;
  /** The id of the run that this is a part of (`sft`). */
  readonly parent?: string;
  readonly state: RunState;
  /** A stop was asked for and not obeyed yet. */
  readonly stopping: boolean;
  readonly model: string;
  readonly data: readonly string[];
  readonly method: string;
  /** Names of the objectives: `sigmoid`. */
  readonly objective: readonly string[];
  readonly step: number;
  readonly steps?: number;
  /** Of the last logged training steps, the mean of up to 20. */
  readonly loss?: number;
  /** Of the last evaluation; `evaluated` false: of the last training steps, since none was held out. */
  readonly accuracy?: number;
  readonly margin?: number;
  /** Nats a completion: on samples where they are drawn, else on held-out rows, else on the last training rows. */
  readonly kl?: number;
  readonly evaluated: boolean;
  readonly evalLoss?: number;
  readonly examplesPerSecond?: number;
  /** Seconds until its last step at the present rate, while it runs. */
  readonly remaining?: number;
  readonly warnings: number;
  /** Unix seconds: when it began, and when its files last changed. */
  readonly started: number;
  readonly updated: number;
  /** Unix seconds when its last line was logged: what a run took is until then, for its files may have been copied since. */
  readonly logged?: number;
}

export interface RunList {
  /** The folder that is watched, as it was given. */
  readonly folder: string;
  /** Whether it is there. One that is not is watched for. */
  readonly exists: boolean;
  readonly version: string;
  /** Unix seconds by the server's clock. */
  readonly now: number;
  readonly runs: readonly RunSummary[];
}

/** What a metric is of; a chart has metrics of one kind. */
export type MetricKind =
  | "loss"
  | "rewards"
  | "margins"
  | "accuracies"
  | "logps"
  | "drift"
  | "kl"
  | "lengths"
  | "gradient-weights"
  | "grad-norm"
  | "learning-rate"
  | "throughput"
  | "memory"
  | "samples"
  | "other";

export interface MetricInfo {
  /** As metrics.jsonl has it: `eval_rewards/margins`. */
  readonly name: string;
  readonly kind: MetricKind;
  /** Of training steps, or of evaluations (`eval_` names). */
  readonly of: "training" | "evaluation";
  /** The name without `eval_`: metrics of the same base belong over each other. */
  readonly base: string;
  /** What sets it apart among those of its kind: `chosen`, `rejected`, `p90`, `@source`; empty where it is the only one. */
  readonly label: string;
  /** In which it is counted: `nats`, `tokens`, `bytes`, `1/s`, `share`; empty for a pure number. */
  readonly unit: string;
}

export type Axis = "step" | "time" | "examples";

export interface Warning {
  readonly step: number;
  readonly name: string;
  readonly found: string;
  readonly advice: string;
  /** Where it is on the other axes, where the log says. */
  readonly time?: number;
  readonly examples?: number;
}

/** outcome.json. */
export interface Outcome {
  readonly step: number;
  readonly steps: number;
  /** Why it ended of itself before its last step; what asked it to stop; the message of the error that ended it. */
  readonly stopped?: string;
  readonly interrupted?: "signal" | "stop file";
  readonly error?: string;
  readonly best?: { readonly step: number; readonly metric: string; readonly value: number };
  readonly suspects: number;
}

export interface RunDetail {
  readonly summary: RunSummary;
  /** config.json, and environment.json as it is. Empty where a file is missing. */
  readonly config: Readonly<Record<string, unknown>>;
  readonly environment: Readonly<Record<string, unknown>>;
  /** The ledger: `train`, `eval`, ... Empty where it is missing. */
  readonly data: Readonly<Record<string, LedgerReport>>;
  readonly warnings: readonly Warning[];
  readonly outcome?: Outcome;
  /** The metrics that it has, in the order that charts show them. */
  readonly metrics: readonly MetricInfo[];
  /** The axes that its log can be drawn on; a run of an older version has no `time` and no `examples`. */
  readonly axes: readonly Axis[];
  /** Where the steps begin and end. */
  readonly range: Readonly<Partial<Record<Axis, readonly [first: number, last: number]>>>;
  /** Steps that have a checkpoint. */
  readonly checkpoints: readonly number[];
  readonly counts: { readonly samples: number; readonly evalRows: number; readonly suspects: number };
  /** What could not be read of its files, in words. */
  readonly problems: readonly string[];
  /** The command that goes on with it, for a run that can be resumed. */
  readonly resume?: string;
  /** Its folder on this machine; a report does not tell. */
  readonly path?: string;
}

/**
 * A metric of a run in at most so many points, in order of the axis. Each stands for 2^k logged values that follow each other,
 * the last maybe for fewer; buckets do not shift while a run grows.
 */
export interface Series {
  readonly run: string;
  readonly metric: string;
  readonly axis: Axis;
  /** Finite values logged in the range asked for, and how many lines of the log a point stands for. */
  readonly count: number;
  readonly bucket: number;
  /** False while it is drawn from evenly spaced parts of a long log; `count` is then an estimate. */
  readonly exact: boolean;
  /** Where the last value of each bucket is on the axis: steps, Unix seconds, examples. Strictly increasing. */
  readonly x: readonly number[];
  /** The mean of the bucket's finite values. A bucket without any has no point. */
  readonly mean: readonly number[];
  /** The bucket's least and greatest; absent where every point is one value. */
  readonly min?: readonly number[];
  readonly max?: readonly number[];
}

export interface SeriesAnswer {
  readonly series: readonly Series[];
}

/** The pieces that join to an answer, with the log-probability of each (nats; 0 for one that is given and not predicted). Its implicit reward is beta (policy - reference). */
export interface AnswerTokens {
  readonly text: readonly string[];
  readonly policy: readonly number[];
  readonly reference?: readonly number[];
}

export interface Sample {
  readonly step: number;
  /** Index in `SamplePage.prompts`. */
  readonly prompt: number;
  readonly reference: string;
  readonly policy: string;
  /** Of each answer, by policy and by reference; absent in runs of older versions. */
  readonly reference_tokens?: AnswerTokens;
  readonly policy_tokens?: AnswerTokens;
  readonly reference_step?: number;
}

export interface SamplePage {
  readonly prompts: readonly string[];
  /** Steps that have samples. */
  readonly steps: readonly number[];
  /** Of the run's objective, where it has one: rewards are in its units. */
  readonly beta?: number;
  readonly total: number;
  readonly offset: number;
  /** In order of the log. */
  readonly samples: readonly Sample[];
}

export interface EvalCompletion extends Omit<Logged.EvalCompletion, "tokens"> {
  readonly tokens?: AnswerTokens;
}

/** A held-out row as the last evaluation found it. */
export interface EvalRow extends Omit<Logged.EvalRow, "completions"> {
  readonly completions: readonly EvalCompletion[];
}

/** `wrong`: the least margin first (the greatest loss, where rows have no margin); `right`: the other way round. */
export type EvalRowSort = "wrong" | "right" | "loss" | "file";

export interface EvalRowPage {
  /** The evaluation's step; absent where there are no rows. */
  readonly step?: number;
  readonly beta?: number;
  /** Rows that fit the search, and of all rows those with a margin above 0 and those that have one. */
  readonly total: number;
  readonly right: number;
  readonly ranked: number;
  readonly offset: number;
  readonly rows: readonly EvalRow[];
}

/** Rows that may be labelled wrong, the most suspicious first. */
export interface SuspectPage {
  readonly total: number;
  readonly offset: number;
  readonly rows: readonly Suspect[];
}

/** Settings in which runs are not the same, each with a value for every run in the order asked; null where it has none. */
export interface Difference {
  readonly runs: readonly string[];
  readonly settings: readonly { readonly name: string; readonly values: readonly unknown[] }[];
  /** Number of settings that all have alike. */
  readonly same: number;
}

export interface StopAnswer {
  /** The id of the run that was asked: the whole one, where a part of it was named. */
  readonly run: string;
}

export interface Refusal {
  /** What was wrong and what to do, in a sentence or two. */
  readonly error: string;
}

/** Files of a run that the page shows something of. */
export type RunFile = "metrics" | "samples" | "eval-rows" | "warnings" | "suspects" | "config" | "outcome";

export type ServerEvent =
  /** All there is: at the beginning, and whenever the browser was away for too long. */
  | ({ readonly event: "runs" } & RunList)
  /** A run that is new, or has changed in these files. At most one a second for each run. */
  | { readonly event: "changed"; readonly run: RunSummary; readonly files: readonly RunFile[]; readonly now: number }
  | { readonly event: "removed"; readonly id: string };

/** What `report.html` holds, as JSON in `<script type="application/json" id="preftune-report">`. */
export interface ReportData {
  readonly version: string;
  /** Unix seconds. */
  readonly written: number;
  readonly detail: RunDetail;
  /** Every metric in at most 500 points, on every axis that the run has: `series[axis]` in the order of `detail.metrics`. */
  readonly series: Readonly<Partial<Record<Axis, readonly Series[]>>>;
  /** The last evaluations' samples, and the rows that are most wrong: as many as fit a file that is opened at once. */
  readonly samples: SamplePage;
  readonly evalRows: EvalRowPage;
  readonly suspects: SuspectPage;
}
