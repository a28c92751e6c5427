/** One run that is followed: what its directory held when it was last looked at, and its line in the list. */

import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { headLines, lastEvaluation, tailLines } from "./excerpt.ts";
import { openFile, readObject, readText } from "./files.ts";
import type { Outcome, RunFile, RunState, RunSummary } from "./protocol.ts";
import { asOutcome, runState } from "./run-state.ts";
import { emptyLog, finite, type LogEnds, summarize } from "./summary.ts";

/** What is looked at in a run's folder, and what of it the page shows: nothing but the run's state for some. */
const WATCHED: ReadonlyMap<string, RunFile | "state"> = new Map([
  ["metrics.jsonl", "metrics"],
  ["samples.jsonl", "samples"],
  ["eval-rows.jsonl", "eval-rows"],
  ["warnings.jsonl", "warnings"],
  ["suspects.jsonl", "suspects"],
  ["config.json", "config"],
  ["data.json", "config"],
  ["environment.json", "config"],
  ["outcome.json", "outcome"],
  ["running.json", "state"],
  ["stop", "state"],
  ["adapter", "state"],
  ["model", "state"],
]);

/** A run that nobody has written to for so many seconds is looked at by its folder's time alone, and closely now and then. */
const QUIET = 600;
const QUIET_LOOKS = 10;

interface FileMark {
  readonly size: number;
  /** Milliseconds since 1970. */
  readonly modified: number;
  readonly inode: number;
}

type Changes = ReadonlySet<RunFile | "state">;

export class TrackedRun {
  /** Runs that are parts of this one. */
  readonly parts: TrackedRun[] = [];
  private current: RunSummary | undefined;
  private marks: ReadonlyMap<string, FileMark> = new Map();
  private folderTime = 0;
  private looks = 0;
  /** config.json; empty where there is none. */
  config: Record<string, unknown> = {};
  /** data.json, likewise. */
  data: Record<string, unknown> = {};
  private lock: unknown;
  outcome: Outcome | undefined;
  private warnings = 0;
  /** The ends of its metrics.jsonl. */
  log: LogEnds = emptyLog;
  /** How far the log was searched for its last evaluation. */
  private searched = 0;

  constructor(
    readonly id: string,
    readonly name: string,
    readonly path: string,
    readonly parent: TrackedRun | undefined,
  ) {}

  /** Its line in the list, once it was looked at. */
  get summary(): RunSummary {
    return this.current!;
  }

  has(file: string): boolean {
    return this.marks.has(file);
  }

  /** Looks for what has changed, its parts having been looked at; undefined where the run is gone. */
  async look(now: number): Promise<Changes | undefined> {
    const folder = await stat(this.path).catch(() => undefined);
    if (!folder?.isDirectory()) return undefined;
    if (this.isQuiet(now) && folder.mtimeMs === this.folderTime && ++this.looks % QUIET_LOOKS !== 0) return new Set();
    this.folderTime = folder.mtimeMs;
    const before = this.marks;
    this.marks = await marksOf(this.path);
    const changed = [...WATCHED.keys()].filter((name) => !isSame(before.get(name), this.marks.get(name)));
    for (const name of changed) await this.read(name, before.get(name));
    const kinds = new Set(changed.map((name) => WATCHED.get(name)!));
    const summary = this.summarize(now);
    // What becomes of its process and of its parts is not in its files.
    if (summary.state !== this.current?.state || summary.stopping !== this.current.stopping) kinds.add("state");
    this.current = summary;
    return kinds;
  }

  private isQuiet(now: number): boolean {
    return this.current !== undefined && this.current.state !== "running" && now - this.current.updated > QUIET;
  }

  private async read(name: string, before: FileMark | undefined): Promise<void> {
    const path = join(this.path, name);
    if (name === "config.json") this.config = (await readObject(path)) ?? {};
    if (name === "data.json") this.data = (await readObject(path)) ?? {};
    if (name === "running.json") this.lock = await readObject(path);
    if (name === "outcome.json") this.outcome = asOutcome(await readObject(path));
    if (name === "warnings.jsonl") this.warnings = ((await readText(path, 2 ** 24)) ?? "").split("\n").length - 1;
    if (name === "metrics.jsonl") await this.readLog(path, before);
  }

  private async readLog(path: string, before: FileMark | undefined): Promise<void> {
    await using file = await openFile(path);
    const goesOn = file !== undefined && before?.inode === file.inode && before.size <= file.size;
    if (!goesOn) [this.log, this.searched] = [emptyLog, 0];
    if (file === undefined) return;
    const evaluation = (await lastEvaluation(file, this.searched)) ?? this.log.evaluation;
    this.log = { first: this.log.first ?? (await headLines(file))[0], tail: await tailLines(file), evaluation };
    // The last line may be half written: it is searched again.
    this.searched = Math.max(0, file.size - 2 ** 16);
  }

  private summarize(now: number): RunSummary {
    const { id, name, config, data, log, outcome, parent } = this;
    const updated = Math.max(0, ...[...this.marks.values()].map(({ modified }) => modified / 1000));
    const state = this.stateOf(updated, now);
    const created = this.marks.get("config.json")?.modified;
    return {
      id,
      name,
      group: name.slice(0, Math.max(0, name.lastIndexOf("/"))),
      ...(parent && { parent: parent.id }),
      ...summarize({ config, data, log, outcome, state, now }),
      stopping: state === "running" && (this.has("stop") || parent?.has("stop") === true),
      warnings: this.warnings,
      started: Math.min(updated, finite(log.first?.time) ?? updated, created === undefined ? updated : created / 1000),
      updated,
    };
  }

  private stateOf(updated: number, now: number): RunState {
    const { lock, outcome } = this;
    const state = runState({ lock, outcome, hasResult: this.has("adapter") || this.has("model"), updated, now });
    // A run that never came to its second part ended as its first one did.
    const part = this.parts[0]?.current?.state;
    const endedInPart = state === "interrupted" && this.log === emptyLog && (part === "stopped" || part === "failed");
    return endedInPart ? part : state;
  }
}

async function marksOf(folder: string): Promise<Map<string, FileMark>> {
  const there = await readdir(folder).catch(() => []);
  const marks = there.map(async (name) => {
    if (!WATCHED.has(name)) return [];
    const found = await stat(join(folder, name)).catch(() => undefined);
    return found === undefined
      ? []
      : [[name, { size: found.size, modified: found.mtimeMs, inode: found.ino }] as const];
  });
  return new Map((await Promise.all(marks)).flat());
}

function isSame(a: FileMark | undefined, b: FileMark | undefined): boolean {
  return a?.size === b?.size && a?.modified === b?.modified && a?.inode === b?.inode;
}
