/**
 * What an export that was killed has left: while weights are written no signal is heard, so Ctrl-C ends the process as it is, with
 * what it has written under the temporary names of `writeFolderWhole` and `writeFileWhole`.
 */

import { readdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { isRunning } from "../processes.ts";

/** Removes what processes that are no more have left of this output. */
export function removeLeftovers(output: string): void {
  const [folder, name] = [dirname(resolve(output)), basename(resolve(output))];
  const isFolder = statSync(folder, { throwIfNoEntry: false })?.isDirectory();
  for (const entry of isFolder ? readdirSync(folder) : []) {
    const [start, processId] = entry.split(/\.tmp-(?=\d+$)/);
    const isOurs = start === name || start === `.${name}`;
    if (isOurs && processId !== undefined && !isRunning(Number(processId))) {
      rmSync(join(folder, entry), { recursive: true, force: true });
    }
  }
}
