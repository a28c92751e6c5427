/** Reading files of a run while it is being written: they may be missing, half written, cut back or gone the next moment. */

import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";

/** Levels of a configuration; those of this program have three. */
const DEEPEST = 32;

/** A regular file that is open for reading. A pipe or a device under a file's name is none, and is not waited for. */
export interface OpenFile extends AsyncDisposable {
  readonly handle: FileHandle;
  readonly size: number;
  readonly inode: number;
}

/** Opens a file; undefined where there is none that can be read. */
export async function openFile(path: string): Promise<OpenFile | undefined> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
  } catch {
    return undefined;
  }
  const stat = await handle.stat();
  if (!stat.isFile()) {
    await handle.close();
    return undefined;
  }
  return { handle, size: stat.size, inode: stat.ino, [Symbol.asyncDispose]: () => handle.close() };
}

/** The bytes [start, end) of a file, fewer where it ends before. */
export async function readRange({ handle }: OpenFile, start: number, end: number): Promise<Buffer> {
  const bytes = Buffer.allocUnsafe(Math.max(0, end - start));
  let done = 0;
  while (done < bytes.length) {
    const { bytesRead } = await handle.read(bytes, done, bytes.length - done, start + done);
    if (bytesRead === 0) break;
    done += bytesRead;
  }
  return bytes.subarray(0, done);
}

/** A whole file as text; undefined where there is none, or it has more bytes than `most`. */
export async function readText(path: string, most: number): Promise<string | undefined> {
  await using file = await openFile(path);
  if (file === undefined || file.size > most) return undefined;
  return (await readRange(file, 0, file.size)).toString();
}

/** A JSON object from a file; undefined where there is none, or the file holds something else, or is nested beyond all reason. */
export async function readObject(path: string, most = 2 ** 24): Promise<Record<string, unknown> | undefined> {
  const text = await readText(path, most);
  const value = text === undefined ? undefined : parseObject(text);
  return isDeeper(value, DEEPEST) ? undefined : value;
}

/** Whether objects and arrays lie within each other more than so many times: what goes through them would come to no end. */
function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return false;
  return depth === 0 || Object.values(value).some((inner) => isDeeper(inner, depth - 1));
}

/** A text as a JSON object; undefined where it is none. */
export function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
