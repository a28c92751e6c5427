#!/usr/bin/env node
/** The executable: one invocation, from the process's arguments to its exit code. */

import { runProgram } from "./program.ts";

/** What a shell expects of a process whose reader has gone away, as `head` does. */
const brokenPipe = 141;

for (const stream of [process.stdout, process.stderr]) {
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code === "EPIPE") process.exit(brokenPipe);
    throw error;
  });
}
process.exitCode = await runProgram(process.argv.slice(2), process);
