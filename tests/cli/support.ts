/** What the command line's tests share: invocations with their output, in this process and as one of their own. */

import { type ChildProcess, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { runProgram } from "../../src/cli/program.ts";
import type { ScreenStream } from "../../src/cli/terminal/screen.ts";

/** A stream that keeps what is written to it. */
export function recorder(stream: Omit<ScreenStream, "write"> = {}): ScreenStream & { text(): string } {
  let text = "";
  return { ...stream, write: (piece: string) => (text += piece), text: () => text };
}

/** Runs one command line in this process. */
export async function preftune(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [recorder(), recorder()];
  const code = await runProgram(words, { stdout, stderr });
  return { code, out: stdout.text(), err: stderr.text() };
}

/** What `npm run build` makes. */
export const executable = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Starts the executable. `watch` sees its output grow. */
export function start(
  words: readonly string[],
  watch: (child: ChildProcess, out: string, err: string) => void = () => {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [executable, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const [out, err] = [recorder(), recorder()];
  const record = (stream: Readable, into: typeof out) =>
    stream.setEncoding("utf8").on("data", (piece: string) => {
      into.write(piece);
      watch(child, out.text(), err.text());
    });
  record(child.stdout, out);
  record(child.stderr, err);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out: out.text(), err: err.text() }));
  });
  return { child, ended };
}
