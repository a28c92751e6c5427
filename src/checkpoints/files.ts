/**
 * Bytes on disk: reading ranges of a file that may be larger than one buffer, and writing a file so that it is either
 * whole or absent (written under a temporary name, flushed, then renamed into place).
 */
import { closeSync, fstatSync, fsyncSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs";
import { dirname } from "node:path";
import { CheckpointError } from "../errors.ts";
import { type ByteSource, endsEarly } from "./bytes.ts";
import type { JsonObject } from "./checkpoint.ts";
import { parseJsonObject } from "./json.ts";

/** Linux transfers at most 2 GiB less a page in one call; larger ranges go in pieces. */
const MAX_TRANSFER_BYTES = 2 ** 30;

/** A file opened for reading at any position. */
export class RandomAccessFile implements ByteSource {
  readonly path: string;
  /** Length in bytes when it was opened. */
  readonly size: number;
  readonly #descriptor: number;
  #open = true;

  constructor(path: string) {
    this.path = path;
    try {
      this.#descriptor = openSync(path, "r");
    } catch (error) {
      throw new CheckpointError(`${path}: can't be opened (${systemReason(error)}).`);
    }
    const status = fstatSync(this.#descriptor);
    if (!status.isFile()) {
      closeSync(this.#descriptor);
      throw new CheckpointError(`${path}: is not a regular file.`);
    }
    this.size = status.size;
  }

  readInto(target: Uint8Array, position: number): void {
    if (!this.#open) throw new CheckpointError(`${this.path}: was closed; open the checkpoint again to read from it.`);
    let done = 0;
    while (done < target.byteLength) {
      const wanted = Math.min(target.byteLength - done, MAX_TRANSFER_BYTES);
      const got = readSync(this.#descriptor, target, done, wanted, position + done);
      if (got === 0) throw endsEarly(this.path, position + done, position + target.byteLength);
      done += got;
    }
  }

  [Symbol.dispose](): void {
    if (!this.#open) return;
    this.#open = false;
    closeSync(this.#descriptor);
  }
}

/** Tokenizers of 260 thousand tokens take 35 MB. */
const MAX_WHOLE_BYTES = 2 ** 28;

/** The bytes of a small file. Throws CheckpointError when it can't be read, is no regular file or is no small one. */
export function readWholeFile(path: string): Uint8Array {
  using file = new RandomAccessFile(path);
  if (file.size > MAX_WHOLE_BYTES) {
    throw new CheckpointError(`${path}: has ${file.size} bytes; at most ${MAX_WHOLE_BYTES} are read of such a file.`);
  }
  const bytes = new Uint8Array(file.size);
  file.readInto(bytes, 0);
  return bytes;
}

/** Reads a JSON file whose top is an object. Throws CheckpointError when it can't be read or is anything else. */
export function readJsonFile(path: string): JsonObject {
  return parseJsonObject(readWholeFile(path), `${path}: the file`);
}

/** Appends bytes to a file that is being written. */
export type ByteSink = (bytes: Uint8Array) => void;

/**
 * Writes a file whole or not at all: `fill` writes to a temporary name beside it, which is flushed to disk and renamed.
 * Whatever `fill` throws passes through, and the temporary file is removed.
 */
export function writeFileWhole(path: string, fill: (write: ByteSink) => void): void {
  const temporary = `${path}.tmp-${process.pid}`;
  const descriptor = openSync(temporary, "w");
  let open = true;
  try {
    fill((bytes) => writeAll(descriptor, bytes));
    fsyncSync(descriptor);
    closeSync(descriptor);
    open = false;
    renameSync(temporary, path);
    flushFolder(dirname(path));
  } catch (error) {
    if (open) closeSync(descriptor);
    rmSync(temporary, { force: true });
    throw error;
  }
}

function writeAll(descriptor: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.byteLength) {
    done += writeSync(descriptor, bytes, done, Math.min(bytes.byteLength - done, MAX_TRANSFER_BYTES));
  }
}

/** Makes renames inside a folder survive a power cut. Windows can't open folders and needs no such call. */
export function flushFolder(path: string): void {
  if (process.platform === "win32") return;
  const descriptor = openSync(path, "r");
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

const SYSTEM_REASONS: ReadonlyMap<unknown, string> = new Map([
  ["ENOENT", "there is no such file or folder"],
  ["ENOTDIR", "a part of the path is a file and not a folder"],
  ["EACCES", "permission denied"],
  ["EPERM", "permission denied"],
  ["EROFS", "the disk is read-only"],
  ["ENOSPC", "the disk is full"],
]);

/** What the operating system said, in words for a message. */
export function systemReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? error.code : undefined;
  return SYSTEM_REASONS.get(code) ?? (error instanceof Error ? error.message : String(error));
}
