/**
 * `running.json`: which process works on a run, while it does. It is the run's sign of life, and the lock that refuses a second
 * process. A process that is killed leaves it; the next one on the same host sees that there is no such process any more and
 * takes the run over.
 */

import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { join, resolve } from "node:path";
import { RunError } from "../../errors.ts";
import { isRunning } from "../../processes.ts";

/** What running.json holds. */
export interface Running {
  readonly pid: number;
  readonly host: string;
  /** Unix seconds. */
  readonly started: number;
}

const FILE = "running.json";

/** The locks that this process holds: one of its own number that it does not hold is of a process before it, or of a run that was copied. */
const held = new Set<string>();

export class RunLock implements Disposable {
  private constructor(
    private readonly file: string,
    private readonly content: string,
  ) {}

  /** Locks the run in a folder. Throws RunError where another process works on it, or may do so. */
  static take(folder: string): RunLock {
    const file = resolve(folder, FILE);
    const own: Running = { pid: process.pid, host: hostname(), started: Date.now() / 1000 };
    const content = `${JSON.stringify(own)}\n`;
    while (!createWhole(file, content)) {
      const found = readIfThere(file);
      if (found === undefined) continue;
      refuseIfHeld(folder, file, found);
      removeIfStill(file, found);
    }
    held.add(file);
    return new RunLock(file, content);
  }

  /** Lets go of the run. */
  [Symbol.dispose](): void {
    held.delete(this.file);
    if (readIfThere(this.file) === this.content) rmSync(this.file, { force: true });
  }
}

/** Throws RunError where a process works on the run in a folder, or may do so. */
export function refuseRunning(folder: string): void {
  const file = resolve(folder, FILE);
  const found = readIfThere(file);
  if (found !== undefined) refuseIfHeld(folder, file, found);
}

function refuseIfHeld(folder: string, file: string, found: string): void {
  const running = parse(found);
  if (running === undefined) {
    throw new RunError(`${file}: is damaged, so it can't be told who works on the run. If nobody does, delete it.`);
  }
  const { pid, host } = running;
  const since = `since ${new Date(running.started * 1000).toISOString()}`;
  if (host !== hostname()) {
    throw new RunError(
      `${folder}: process ${pid} on ${host} works on this run ${since}, or was killed there. If it does not any more, delete ${file} and try again.`,
    );
  }
  if (!isAlive(running, file)) return;
  throw new RunError(
    `${folder}: process ${pid} works on this run ${since}. Wait for its end, or stop it by making the file ${join(folder, "stop")}. If that process is no run of preftune, delete ${file} and try again.`,
  );
}

/** Whether the process is there, on this host. */
function isAlive({ pid }: Running, file: string): boolean {
  return pid === process.pid ? held.has(file) : isRunning(pid);
}

function parse(text: string): Running | undefined {
  try {
    const { pid, host, started } = JSON.parse(text) as Running;
    return Number.isInteger(pid) && pid > 0 && typeof host === "string" && Number.isFinite(started)
      ? { pid, host, started }
      : undefined;
  } catch {
    return undefined;
  }
}

function readIfThere(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
    throw error;
  }
}

/** Makes a file with all its content at once. False where there is one already. */
function createWhole(file: string, content: string): boolean {
  const temporary = `${file}.tmp-${process.pid}`;
  try {
    writeFileSync(temporary, content);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
  try {
    linkSync(temporary, file);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
  } finally {
    rmSync(temporary, { force: true });
  }
  return createByWriting(file, content);
}

/** The same where the file system has no links: whoever looks just now may see the file still empty. */
function createByWriting(file: string, content: string): boolean {
  try {
    writeFileSync(file, content, { flag: "wx" });
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EEXIST") return false;
    throw error;
  }
}

/** Removes a lock that was found to be nobody's; but not one that another process has put in its place meanwhile. */
function removeIfStill(file: string, content: string): void {
  const aside = `${file}.tmp-${process.pid}`;
  try {
    renameSync(file, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw error;
  }
  if (readIfThere(aside) !== content) linkSync(aside, file);
  rmSync(aside, { force: true });
}
