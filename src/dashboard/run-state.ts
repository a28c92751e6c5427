/** Where a run stands, from what is in its directory: whether a process works on it, and how it ended. */

import { hostname } from "node:os";
import { isRunning } from "../processes.ts";
import { isObject } from "./files.ts";
import type { Outcome, RunState } from "./protocol.ts";

/** A run on another host whose process can't be looked for counts as running while its log was written so many seconds ago. */
const SILENCE = 600;

interface StateView {
  /** running.json, of the run or of the one that it is a part of. */
  readonly lock: unknown;
  readonly outcome: Outcome | undefined;
  /** Whether it has an adapter or a model: runs of older versions say of their end nothing else. */
  readonly hasResult: boolean;
  /** Unix seconds when its files last changed. */
  readonly updated: number;
  readonly now: number;
}

export function runState({ lock, outcome, hasResult, updated, now }: StateView): RunState {
  const worker = workerOf(lock);
  if (worker?.host === hostname() && isRunning(worker.pid)) return "running";
  if (outcome?.error !== undefined) return "failed";
  if (outcome?.stopped !== undefined || outcome?.interrupted !== undefined) return "stopped";
  if (outcome !== undefined || hasResult) return "finished";
  const elsewhere = worker !== undefined && worker.host !== hostname();
  return elsewhere && now - updated < SILENCE ? "running" : "interrupted";
}

function workerOf(lock: unknown): { pid: number; host: unknown } | undefined {
  if (!isObject(lock) || !Number.isInteger(lock.pid)) return undefined;
  return { pid: lock.pid as number, host: lock.host };
}

/** What outcome.json says; undefined where it is missing or says nothing. */
export function asOutcome(value: Record<string, unknown> | undefined): Outcome | undefined {
  const { step, steps, stopped, interrupted, error, best, suspects } = value ?? {};
  if (!isFiniteNumber(step) || !isFiniteNumber(steps)) return undefined;
  return {
    step,
    steps,
    ...(typeof stopped === "string" && { stopped }),
    ...((interrupted === "signal" || interrupted === "stop file") && { interrupted }),
    ...(typeof error === "string" && { error }),
    ...(isBest(best) && { best }),
    suspects: isFiniteNumber(suspects) ? suspects : 0,
  };
}

function isBest(value: unknown): value is NonNullable<Outcome["best"]> {
  return (
    isObject(value) && isFiniteNumber(value.step) && isFiniteNumber(value.value) && typeof value.metric === "string"
  );
}

function isFiniteNumber(value: unknown): value is number {
  return Number.isFinite(value);
}
