/**
 * The runs below a folder: found, followed, and known by ids that are no paths, so that nothing a request says becomes part of one.
 * Files are looked at every second, which works on every file system, over networks too, where notifications do not.
 */

import { createHash } from "node:crypto";
import { readdir, realpath, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import type { RunFile, RunSummary } from "./protocol.ts";
import { TrackedRun } from "./tracked-run.ts";

/** Folders of folders of runs: `runs/a`, `runs/group/b`, and one more for groups of groups. */
const DEEPEST = 3;
/** More than anybody can look through: a folder with more is not one of runs. */
const MOST_RUNS = 2000;

/** What has changed between two looks. */
interface RunChanges {
  readonly changed: readonly { readonly run: RunSummary; readonly files: readonly RunFile[] }[];
  readonly removed: readonly string[];
}

interface Place {
  readonly name: string;
  readonly path: string;
  readonly parent?: string;
}

export class RunIndex {
  exists = false;
  private readonly root: string;
  private runs: ReadonlyMap<string, TrackedRun> = new Map();

  constructor(readonly folder: string) {
    this.root = resolve(folder);
  }

  get(id: string): TrackedRun | undefined {
    return this.runs.get(id);
  }

  /** All runs, the one that was last written to first. */
  summaries(): RunSummary[] {
    return [...this.runs.values()].map(({ summary }) => summary).sort((a, b) => b.updated - a.updated);
  }

  /** Looks at the files again, and returns what has changed since the last look, which must have come to its end. */
  async refresh(): Promise<RunChanges> {
    const places = await this.findRuns();
    const now = Date.now() / 1000;
    const before = this.runs;
    const tracked = new Map<string, TrackedRun>();
    for (const { name, path, parent } of places) {
      const id = idOf(name);
      const whole = parent === undefined ? undefined : tracked.get(idOf(parent));
      const run = before.get(id) ?? new TrackedRun(id, name, path, whole);
      run.parts.length = 0;
      whole?.parts.push(run);
      tracked.set(id, run);
    }
    const changed: { run: RunSummary; files: RunFile[] }[] = [];
    // Parts come after what they are parts of, and are looked at before.
    for (const run of [...tracked.values()].reverse()) {
      // A disk that fails, or a share that is away for now, is as good as a run that is gone: it is found again when it is back.
      const kinds = await run.look(now).catch(() => undefined);
      if (kinds === undefined) tracked.delete(run.id);
      else if (kinds.size > 0 || !before.has(run.id)) {
        changed.push({ run: run.summary, files: [...kinds].filter((kind) => kind !== "state") });
      }
    }
    this.runs = tracked;
    return { changed, removed: [...before.keys()].filter((id) => !tracked.has(id)) };
  }

  private async findRuns(): Promise<Place[]> {
    const found: Place[] = [];
    const root = await folderAt(this.root);
    this.exists = root !== undefined;
    if (root !== undefined) await search({ name: "", path: root }, 0, { found, seen: new Set() });
    return found;
  }
}

/** A folder without the links that lead to it; undefined where there is none. */
async function folderAt(path: string): Promise<string | undefined> {
  const real = await realpath(path).catch(() => undefined);
  const there = real === undefined ? undefined : await stat(real).catch(() => undefined);
  return there?.isDirectory() ? real : undefined;
}

interface Search {
  readonly found: Place[];
  /** Folders that were looked into: links may lead to one twice, or round in a circle. */
  readonly seen: Set<string>;
}

/** Adds the runs in a folder: itself with its parts, or what is below it. */
async function search({ name, path }: Place, depth: number, state: Search): Promise<void> {
  const { found, seen } = state;
  if (seen.has(path)) return;
  seen.add(path);
  const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
  const names = new Set(entries.map((entry) => entry.name));
  if (isRun(names)) {
    const own = name === "" ? basename(path) : name;
    found.push({ name: own, path });
    const part = join(path, "sft");
    const inPart = names.has("sft") ? await readdir(part).catch(() => []) : [];
    if (isRun(new Set(inPart))) found.push({ name: `${own}/sft`, path: part, parent: own });
    return;
  }
  if (depth === DEEPEST) return;
  for (const entry of entries) {
    if (found.length >= MOST_RUNS) return;
    if (entry.name.startsWith(".") || entry.name === "node_modules") continue;
    const own = join(path, entry.name);
    const folder = entry.isSymbolicLink() ? await folderAt(own) : entry.isDirectory() ? own : undefined;
    if (folder === undefined) continue;
    await search({ name: name === "" ? entry.name : `${name}/${entry.name}`, path: folder }, depth + 1, state);
  }
}

/** A model's folder has a config.json too. */
function isRun(names: ReadonlySet<string>): boolean {
  return (
    names.has("metrics.jsonl") || (names.has("config.json") && (names.has("checkpoints") || names.has("running.json")))
  );
}

/** The same whenever the run lies at the same place below the folder, so that addresses of the page go on to work. */
function idOf(name: string): string {
  return createHash("sha256").update(name).digest("base64url").slice(0, 12);
}
