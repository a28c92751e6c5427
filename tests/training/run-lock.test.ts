/** `running.json`: one process at a time works on a run, and one that has died holds nobody up. */

import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { beforeEach, describe, expect, it } from "vitest";
import { RunError } from "../../src/errors.ts";
import { RunLock, type Running, refuseRunning } from "../../src/training/directory/run-lock.ts";
import { scratchFolder } from "../support/scratch.ts";

const { at, json } = scratchFolder();
const folder = at("run");
beforeEach(() => {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
});

/** Puts another's lock there. */
function lockedBy(changes: Partial<Running>): void {
  const running = { pid: process.ppid, host: hostname(), started: Date.UTC(2026, 0, 31, 12) / 1000, ...changes };
  writeFileSync(at("run", "running.json"), JSON.stringify(running));
}

/** The number of a process that was. */
const dead = spawnSync(process.execPath, ["--version"]).pid;

describe("a run that a process works on", () => {
  it("says so while it does", () => {
    const before = Date.now() / 1000;
    const lock = RunLock.take(folder);
    expect(json("run", "running.json")).toEqual({ pid: process.pid, host: hostname(), started: expect.any(Number) });
    expect(json("run", "running.json").started).toBeGreaterThanOrEqual(before);
    lock[Symbol.dispose]();
    expect(readdirSync(folder)).toEqual([]);
  });

  it("is refused to another, which is told the process and what to do", () => {
    lockedBy({});
    const refused = `${folder}: process ${process.ppid} works on this run since 2026-01-31T12:00:00.000Z. Wait for its end, or stop it by making the file ${at("run", "stop")}. If that process is no run of preftune, delete ${at("run", "running.json")} and try again.`;
    for (const attempt of [() => RunLock.take(folder), () => refuseRunning(folder)]) {
      expect(attempt).toThrow(new RunError(refused));
    }
    expect(json("run", "running.json").pid).toBe(process.ppid);
    expect(readdirSync(folder)).toEqual(["running.json"]);
  });

  it("is refused to the same process a second time", () => {
    using _ = RunLock.take(folder);
    expect(() => RunLock.take(folder)).toThrow(`process ${process.pid} works on this run`);
  });

  it("is refused on another host, which can't see whether the process is there", () => {
    lockedBy({ pid: dead, host: "elsewhere" });
    expect(() => RunLock.take(folder)).toThrow(
      new RunError(
        `${folder}: process ${dead} on elsewhere works on this run since 2026-01-31T12:00:00.000Z, or was killed there. If it does not any more, delete ${at("run", "running.json")} and try again.`,
      ),
    );
  });

  it.each(["", "{", '{"pid":"1"}', "null"])("is refused where the lock is damaged: %j", (content) => {
    writeFileSync(at("run", "running.json"), content);
    expect(() => RunLock.take(folder)).toThrow(
      `${at("run", "running.json")}: is damaged, so it can't be told who works on the run. If nobody does, delete it.`,
    );
  });
});

describe("a run whose process has died", () => {
  it("is taken over", () => {
    lockedBy({ pid: dead });
    refuseRunning(folder);
    using _ = RunLock.take(folder);
    expect(json("run", "running.json").pid).toBe(process.pid);
    expect(readdirSync(folder)).toEqual(["running.json"]);
  });

  it("is taken over where the new process has the number of the old one", () => {
    lockedBy({ pid: process.pid });
    using _ = RunLock.take(folder);
    expect(json("run", "running.json").started).toBeGreaterThan(Date.UTC(2026, 0, 31, 12) / 1000);
  });

  it("may be a copy of one that goes on", () => {
    using _ = RunLock.take(folder);
    cpSync(folder, at("copy"), { recursive: true });
    using __ = RunLock.take(at("copy"));
    expect(json("copy", "running.json").pid).toBe(process.pid);
  });
});

it("a lock that was deleted, as the messages advise, and taken by another stays the other's", () => {
  const lock = RunLock.take(folder);
  lockedBy({});
  const content = readFileSync(at("run", "running.json"), "utf8");
  lock[Symbol.dispose]();
  expect(readFileSync(at("run", "running.json"), "utf8")).toBe(content);
});
