/** How a command ends when something goes wrong: what is said, and the exit code. */

import { ConfigError, PreftuneError } from "../errors.ts";
import { version } from "../version.ts";
import { formatBytes } from "./terminal/numbers.ts";

export const exitCodes = { failed: 1, usage: 2 } as const;

/** What a user reads of an error: for one that can be mended, the message alone; a defect shows where it happened. */
export function describeFailure(error: unknown): { message: string; exitCode: number } {
  if (error instanceof PreftuneError) {
    const exitCode = error instanceof ConfigError ? exitCodes.usage : exitCodes.failed;
    return { message: prefixed(error.message), exitCode };
  }
  const system = systemFailure(error);
  if (system !== undefined) return { message: prefixed(system), exitCode: exitCodes.failed };
  const details = error instanceof Error ? (error.stack ?? error.message) : String(error);
  const machine = `preftune ${version}, Node ${process.version}, ${process.platform} ${process.arch}`;
  return {
    message: `${prefixed("this is a defect of preftune. Please report it with the lines below.")}\n${details}\n${machine}`,
    exitCode: exitCodes.failed,
  };
}

function prefixed(message: string): string {
  const indent = " ".repeat("preftune: ".length);
  return `preftune: ${message.replaceAll("\n", `\n${indent}`)}`;
}

/** What the machine can run out of, in words. */
function systemFailure(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined;
  const { code, path } = error as NodeJS.ErrnoException;
  const where = path === undefined ? "" : `${path}: `;
  if (code === "ENOSPC") return `${where}the disk is full. Free some space and go on.`;
  if (code === "EACCES" || code === "EPERM" || code === "EROFS")
    return `${where}may not be written. Check its permissions.`;
  return memoryFailure(error);
}

/** Memory that was refused, to the engine or to JavaScript: neither says so by a code. */
function memoryFailure({ message }: Error): string | undefined {
  const [refused, bytes] =
    /Failed to allocate memory(?: for requested buffer of size (\d+))?|bad_alloc|bad allocation|Array buffer allocation failed/.exec(
      message,
    ) ?? [];
  if (refused === undefined) return undefined;
  const asked = bytes === undefined ? "" : `: ${formatBytes(Number(bytes))} more were refused`;
  return `there is not enough memory${asked}. Take a smaller model, or of a run a smaller --micro-batch-tokens or --max-length; preftune inspect model says what takes how much.`;
}
