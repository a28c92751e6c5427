/**
 * The run directory: everything that is known of a run, for the command line, a dashboard and a resumed run alike.
 *
 *   config.json  environment.json  data.json  metrics.jsonl  samples.jsonl  eval-rows.jsonl  warnings.jsonl  suspects.jsonl
 *   checkpoints/step-000100/  sft/  running.json  stop  best.json  outcome.json  adapter/ or model/
 *
 * docs/design.md says what each holds.
 */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { systemReason, writeFileWhole } from "../../checkpoints/files.ts";
import type { LedgerReport } from "../../data/ledger.ts";
import { RunError } from "../../errors.ts";
import { type FlatConfig, flatConfig, incidental, type TrainingConfig } from "../config.ts";
import type { Metrics, RunResult } from "../observer.ts";
import { RunLock } from "./run-lock.ts";

const LOGS = ["metrics.jsonl", "samples.jsonl", "warnings.jsonl"] as const;
type Log = (typeof LOGS)[number];

/** How long each log was when a checkpoint was written, in bytes: what follows it is not part of a resumed run. A log that is not named had no line. */
export type LogLengths = Readonly<Partial<Record<Log, number>>>;

/** How a run ended, as `outcome.json` has it: at its end, or where it was interrupted or failed and can be resumed. */
export type Outcome = Pick<RunResult, "part" | "step" | "steps" | "stopped" | "interrupted" | "best" | "suspects"> & {
  /** The message of the error that ended it. */
  readonly error?: string;
};

/** A file of this name asks the run to stop at its next step. */
const STOP = "stop";

export class RunDirectory implements Disposable {
  readonly path: string;
  /** While this process works on the run. */
  private lock: RunLock | undefined;

  private constructor(path: string) {
    this.path = path;
  }

  /** Throws RunError where there is something already: a run is never overwritten. */
  static refuseExisting(path: string): void {
    if (existsSync(path) && (!statSync(path).isDirectory() || readdirSync(path).length > 0)) {
      throw new RunError(
        existsSync(join(path, "config.json"))
          ? `${path}: there is a run already. Go on with it by --resume, or give another --output.`
          : `${path}: is there already and not empty. Give another --output.`,
      );
    }
  }

  /** Makes the directory of a new run, to work on it until it is disposed of. Throws as refuseExisting. */
  static create(path: string, config: TrainingConfig): RunDirectory {
    RunDirectory.refuseExisting(path);
    const run = new RunDirectory(path);
    onDisk(path, () => mkdirSync(path, { recursive: true }));
    try {
      run.begin();
    } catch (error) {
      removeIfEmpty(path);
      throw error;
    }
    try {
      onDisk(path, () => mkdirSync(run.join("checkpoints")));
      run.writeJson("config.json", flatConfig(config));
    } catch (error) {
      run.removeIfUnused();
      run[Symbol.dispose]();
      throw error;
    }
    return run;
  }

  /** Opens an interrupted run, to work on it until it is disposed of. Throws RunError as `open`, and where another process works on it. */
  static resume(path: string, config: TrainingConfig): RunDirectory {
    const run = RunDirectory.open(path, config);
    run.begin();
    run.removeUnfinished();
    return run;
  }

  /** Opens a run to read what it came to. Throws RunError where there is none, or it was started with other settings. */
  static open(path: string, config: TrainingConfig): RunDirectory {
    const before = readRunConfig(path);
    const now = flatConfig(config);
    const keys = [...new Set([...Object.keys(before), ...Object.keys(now)])];
    const show = (value: unknown) => (value === undefined ? "not given" : JSON.stringify(value));
    const changed = keys
      .filter((key) => !incidental.has(key) && JSON.stringify(before[key]) !== JSON.stringify(now[key]))
      .map((key) => `${key} was ${show(before[key])}, now ${show(now[key])}`);
    if (changed.length > 0) {
      throw new RunError(
        `${path}: can't be resumed with other settings (${changed.join("; ")}). Resume it with its own, or start a new run.`,
      );
    }
    return new RunDirectory(path);
  }

  private begin(): void {
    this.lock = onDisk(this.path, () => RunLock.take(this.path));
    rmSync(this.join(STOP), { force: true });
  }

  /** Lets go of the run that this process has worked on. A request to stop has come to its end with it. */
  [Symbol.dispose](): void {
    if (this.lock === undefined) return;
    rmSync(this.join(STOP), { force: true });
    this.lock[Symbol.dispose]();
  }

  /** Whether somebody has asked for the run to stop at its next step. */
  get stopRequested(): boolean {
    return existsSync(this.join(STOP));
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  writeJson(name: string, value: unknown): void {
    this.writeWhole(name, () => [`${JSON.stringify(value, null, 2)}\n`]);
  }

  /** Writes a file of one JSON text a line, in the place of what it was. */
  writeLines(name: string, values: Iterable<unknown>): void {
    this.writeWhole(name, function* () {
      for (const value of values) yield `${JSON.stringify(value)}\n`;
    });
  }

  private writeWhole(name: string, texts: () => Iterable<string>): void {
    const path = this.join(name);
    const encoder = new TextEncoder();
    onDisk(path, () =>
      writeFileWhole(path, (write) => {
        for (const text of texts()) write(encoder.encode(text));
      }),
    );
  }

  /** Writes `data.json`, each part what was read from one set of files. Throws RunError where the run had read something else. */
  recordData(parts: Readonly<Record<string, LedgerReport & { readonly tokensSha256: string }>>): void {
    const path = this.join("data.json");
    const before = existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as typeof parts) : parts;
    const changed = Object.entries(parts).filter(
      ([name, part]) => JSON.stringify(before[name]) !== JSON.stringify(part),
    );
    if (changed.length > 0) {
      const files = changed.flatMap(([, part]) => part.files).join(", ");
      throw new RunError(
        `${this.path}: can't be resumed on other data: the rows of ${files}, or how they are tokenized, have changed since. Give them back as they were, or start a new run.`,
      );
    }
    this.writeJson("data.json", parts);
  }

  append(log: Log, line: unknown): void {
    onDisk(this.join(log), () => appendFileSync(this.join(log), `${JSON.stringify(line)}\n`));
  }

  logLengths(): LogLengths {
    const size = (log: Log) => (existsSync(this.join(log)) ? statSync(this.join(log)).size : 0);
    return Object.fromEntries(LOGS.map((log) => [log, size(log)]));
  }

  /** Removes a run that ended before its first step: nothing in it is worth keeping, and it would be in the way. */
  removeIfUnused(): void {
    if (this.checkpointSteps().length > 0 || existsSync(this.join("sft"))) return;
    if (this.read<Metrics>("metrics.jsonl").every(({ step }) => step === 0)) {
      rmSync(this.path, { recursive: true, force: true }); // Somebody may have removed it already.
    }
  }

  /**
   * Removes what a killed process was writing, folders and files under the temporary names of `writeFolderWhole` and
   * `writeFileWhole`, and what the run had come to before it went on.
   */
  private removeUnfinished(): void {
    rmSync(this.join("outcome.json"), { force: true });
    for (const folder of [this.path, this.join("checkpoints")]) {
      const names = existsSync(folder) ? readdirSync(folder) : [];
      for (const name of names.filter((x) => /\.tmp-\d+$/.test(x))) rmSync(join(folder, name), { recursive: true });
    }
  }

  /** Cuts the logs back to what they were at a checkpoint. */
  restoreLogs(lengths: LogLengths): void {
    for (const log of LOGS) {
      const path = this.join(log);
      // After a power cut it may be shorter; truncating to more would fill it up with zeros.
      const length = lengths[log] ?? 0;
      if (existsSync(path) && statSync(path).size > length) truncateSync(path, length);
    }
  }

  /** The lines of a log; half a line without its end is none. */
  read<T>(log: Log): T[] {
    if (!existsSync(this.join(log))) return [];
    const lines = readFileSync(this.join(log), "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as T);
  }

  checkpointFolder(step: number): string {
    return this.join("checkpoints", `step-${String(step).padStart(6, "0")}`);
  }

  /** The steps that have a checkpoint, in order. */
  checkpointSteps(): number[] {
    const folder = this.join("checkpoints");
    if (!existsSync(folder)) return [];
    return readdirSync(folder)
      .flatMap((name) => /^step-(\d+)$/.exec(name)?.[1] ?? [])
      .map(Number)
      .sort((a, b) => a - b);
  }

  /** Removes all but the newest checkpoints, and the best one. */
  keepCheckpoints(count: number, best?: number): void {
    for (const step of this.checkpointSteps().slice(0, -count)) {
      if (step !== best) rmSync(this.checkpointFolder(step), { recursive: true });
    }
  }

  /** What a run that has its result came to. */
  readOutcome(): Outcome | undefined {
    const path = this.join("outcome.json");
    return existsSync(path) ? (JSON.parse(readFileSync(path, "utf8")) as Outcome) : undefined;
  }

  hasResult(config: Parameters<typeof resultKind>[0]): boolean {
    return existsSync(this.resultFolder(config));
  }

  resultFolder(config: Parameters<typeof resultKind>[0]): string {
    return this.join(resultKind(config));
  }
}

/**
 * What a run results in, and the name of its folder. A reward model is no version of its base that an adapter could be put
 * on, so what was trained of it is merged.
 */
export function resultKind({ method, tuning }: Pick<TrainingConfig, "method" | "tuning">): "adapter" | "model" {
  return tuning === "lora" && method !== "reward" ? "adapter" : "model";
}

/** Removes a folder, but not one in which another process has begun a run. */
function removeIfEmpty(path: string): void {
  try {
    rmdirSync(path);
  } catch {
    // What is told is the error that left it so.
  }
}

/** Runs what writes to a run's files and folders. Where the system refuses, a RunError says so and how to go on. */
export function onDisk<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    const refusal = [error, (error as Error).cause].find((one) => one instanceof Error && "syscall" in one);
    if (refusal === undefined) throw error;
    throw new RunError(
      `${path}: can't be written (${systemReason(refusal)}). Mend that, or give another --output; a run that has begun goes on by --resume.`,
    );
  }
}

/** What config.json holds, of which these settings are in every run's. */
export type RunConfig = FlatConfig & Pick<TrainingConfig, "method" | "model" | "tuning">;

/** The configuration of a run. Throws RunError where there is no run. */
export function readRunConfig(path: string): RunConfig {
  const file = join(path, "config.json");
  if (!existsSync(file)) throw new RunError(`${path}: has no config.json, so it is not a run.`);
  const config = parseConfig(file);
  // A model's folder has a config.json too, which names no method.
  if (typeof config?.method === "string") return config as RunConfig;
  throw new RunError(
    `${path}: is the folder of a model, not of a run. Give the folder that a run was written to (its --output).`,
  );
}

function parseConfig(file: string): Partial<RunConfig> | null {
  try {
    return JSON.parse(readFileSync(file, "utf8")) as Partial<RunConfig> | null;
  } catch (error) {
    throw new RunError(`${file}: is not valid JSON (${(error as Error).message}).`);
  }
}

/** What the run is running on. */
export function describeEnvironment(version: string, threads: number | undefined): Record<string, unknown> {
  return {
    preftune: version,
    node: process.version,
    platform: `${platform()} ${arch()}`,
    cpu: cpus()[0]?.model ?? "unknown",
    cores: cpus().length,
    memoryBytes: totalmem(),
    threads: threads ?? cpus().length,
    device: "cpu",
  };
}
