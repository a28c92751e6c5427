/**
 * The run directory: everything that is known of a run, for the command line, a dashboard and a resumed run alike.
 *
 *   config.json  environment.json  data.json  metrics.jsonl  samples.jsonl  checkpoints/step-000100/  adapter/ or model/
 */

import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from "node:fs";
import { arch, cpus, platform, totalmem } from "node:os";
import { join } from "node:path";
import { writeFileWhole } from "../checkpoints/files.ts";
import { RunError } from "../errors.ts";
import type { DpoConfig } from "./config.ts";
import { incidental } from "./config.ts";

const LOGS = ["metrics.jsonl", "samples.jsonl"] as const;
type Log = (typeof LOGS)[number];

/** How long each log was when a checkpoint was written, in bytes: what follows it is not part of a resumed run. */
export type LogLengths = Readonly<Record<Log, number>>;

export class RunDirectory {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the directory of a new run. Throws RunError where there is one already: a run is never overwritten. */
  static create(path: string, config: DpoConfig): RunDirectory {
    if (existsSync(path) && (!statSync(path).isDirectory() || readdirSync(path).length > 0)) {
      throw new RunError(
        existsSync(join(path, "config.json"))
          ? `${path}: there is a run already. Go on with it by --resume, or give another --output.`
          : `${path}: is there already and not empty. Give another --output.`,
      );
    }
    try {
      mkdirSync(join(path, "checkpoints"), { recursive: true });
    } catch (error) {
      throw new RunError(`${path}: can't be made (${(error as Error).message}). Give another --output.`);
    }
    const run = new RunDirectory(path);
    run.writeJson("config.json", config);
    return run;
  }

  /** Opens an interrupted run. Throws RunError where there is none, or it was started with other settings. */
  static resume(path: string, config: DpoConfig): RunDirectory {
    const before = readRunConfig(path);
    const keys = [...new Set([...Object.keys(before), ...Object.keys(config)])] as (keyof DpoConfig)[];
    const show = (value: unknown) => (value === undefined ? "not given" : JSON.stringify(value));
    const changed = keys
      .filter((key) => !incidental.has(key) && JSON.stringify(before[key]) !== JSON.stringify(config[key]))
      .map((key) => `${key} was ${show(before[key])}, now ${show(config[key])}`);
    if (changed.length > 0) {
      throw new RunError(
        `${path}: can't be resumed with other settings (${changed.join("; ")}). Resume it with its own, or start a new run.`,
      );
    }
    return new RunDirectory(path);
  }

  join(...parts: string[]): string {
    return join(this.path, ...parts);
  }

  writeJson(name: string, value: unknown): void {
    const text = `${JSON.stringify(value, null, 2)}\n`;
    writeFileWhole(this.join(name), (write) => write(new TextEncoder().encode(text)));
  }

  append(log: Log, line: unknown): void {
    appendFileSync(this.join(log), `${JSON.stringify(line)}\n`);
  }

  logLengths(): LogLengths {
    const size = (log: Log) => (existsSync(this.join(log)) ? statSync(this.join(log)).size : 0);
    return { "metrics.jsonl": size("metrics.jsonl"), "samples.jsonl": size("samples.jsonl") };
  }

  /** Removes a run that ended before its first step: nothing in it is worth keeping, and it would be in the way. */
  removeIfUnused(): void {
    if (this.checkpointSteps().length === 0 && !existsSync(this.join("metrics.jsonl")))
      rmSync(this.path, { recursive: true });
  }

  /** Cuts the logs back to what they were at a checkpoint. */
  restoreLogs(lengths: LogLengths): void {
    for (const log of LOGS) {
      if (existsSync(this.join(log))) truncateSync(this.join(log), lengths[log]);
    }
  }

  /** The lines of a log. */
  read<T>(log: Log): T[] {
    if (!existsSync(this.join(log))) return [];
    return readFileSync(this.join(log), "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line) as T);
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

  /** Removes all but the newest checkpoints. */
  keepCheckpoints(count: number): void {
    for (const step of this.checkpointSteps().slice(0, -count))
      rmSync(this.checkpointFolder(step), { recursive: true });
  }

  hasResult(tuning: DpoConfig["tuning"]): boolean {
    return existsSync(this.resultFolder(tuning));
  }

  /** The result's folder, by what was tuned. */
  resultFolder(tuning: DpoConfig["tuning"]): string {
    return this.join(tuning === "lora" ? "adapter" : "model");
  }
}

/** The configuration of a run. Throws RunError where there is no run. */
export function readRunConfig(path: string): DpoConfig {
  const file = join(path, "config.json");
  if (!existsSync(file)) throw new RunError(`${path}: has no config.json, so it is not a run.`);
  try {
    return JSON.parse(readFileSync(file, "utf8")) as DpoConfig;
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
