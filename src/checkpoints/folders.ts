/** Writing a folder of files so that it is either whole or absent. */
import { existsSync, mkdirSync, readdirSync, renameSync, rmdirSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { CheckpointError } from "../errors.ts";
import { flushFolder, systemReason } from "./files.ts";

/** Throws CheckpointError when `folder` is a file or holds anything already. */
export function refuseTaken(folder: string): void {
  if (!existsSync(folder) || (statSync(folder).isDirectory() && readdirSync(folder).length === 0)) return;
  throw new CheckpointError(
    `${folder}: is there already and not an empty folder; choose another name or remove it first.`,
  );
}

/**
 * Fills a temporary folder beside `folder`, then renames it into place; whatever `fill` throws removes it again. Throws
 * CheckpointError when `folder` is a file or holds anything already, or when the system refuses to write.
 */
export function writeFolderWhole(folder: string, fill: (temporary: string) => void): void {
  const target = resolve(folder);
  refuseTaken(folder);
  const temporary = join(dirname(target), `.${basename(target)}.tmp-${process.pid}`);
  let made = false;
  try {
    rmSync(temporary, { recursive: true, force: true });
    mkdirSync(temporary, { recursive: true });
    made = true;
    fill(temporary);
    flushFolder(temporary);
    if (existsSync(target)) rmdirSync(target);
    renameSync(temporary, target);
    flushFolder(dirname(target));
  } catch (error) {
    if (made) rmSync(temporary, { recursive: true, force: true });
    if (!(error instanceof Error && "syscall" in error)) throw error;
    throw new CheckpointError(`${folder}: can't be written (${systemReason(error)}).`, { cause: error });
  }
}
