#!/usr/bin/env node
/** The executable: one invocation, from the process's arguments to its exit code. */

import { systemReason } from "../checkpoints/files.ts";
import { exitCodes } from "./failure.ts";
import { runProgram } from "./program.ts";

/** What a shell expects of a process whose reader has gone away, as `head` does. */
const brokenPipe = 141;

process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(brokenPipe);
  process.stderr.write(`preftune: standard output can't be written (${systemReason(error)}).\n`);
  process.exit(exitCodes.failed);
});
process.stderr.on("error", (error: NodeJS.ErrnoException) => {
  process.exit(error.code === "EPIPE" ? brokenPipe : exitCodes.failed);
});
process.exitCode = await runProgram(process.argv.slice(2), process);
