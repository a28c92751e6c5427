/**
 * The bytes of a file or of standard input (`-`), unpacked where they are gzip or Zstandard data. The kind is told by the first
 * bytes, never by the name.
 */

import { createReadStream } from "node:fs";
import { pipeline } from "node:stream";
import { createGunzip } from "node:zlib";
import { Decompress } from "fzstd";
import type { DataError } from "../../errors.ts";
import { startsWith } from "./bytes.ts";
import { fileError } from "./file-error.ts";
import { nameOf, STDIN } from "./standard-input.ts";

/** Yields the bytes in order. Throws DataError for a file that is missing or damaged. */
export async function* unpackedChunks(path: string): AsyncGenerator<Uint8Array> {
  const source = path === STDIN ? process.stdin : createReadStream(path);
  try {
    const chunks = source[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
    const { value: first, done } = await chunks.next();
    if (done) return;
    if (startsWith(first, ZSTD_MAGIC) || isSkippableFrame(first)) yield* unpackZstandard(prepend(first, chunks));
    // The pipeline passes every failure on to the stream that is read here.
    else if (startsWith(first, GZIP_MAGIC)) yield* pipeline(prepend(first, chunks), createGunzip(), () => {});
    else yield* prepend(first, chunks);
  } catch (error) {
    throw unreadable(nameOf(path), error as NodeJS.ErrnoException);
  } finally {
    source.destroy();
  }
}

const GZIP_MAGIC = [0x1f, 0x8b];
const ZSTD_MAGIC = [0x28, 0xb5, 0x2f, 0xfd];

/** RFC 8878, section 3.1.2: sixteen magic numbers of frames for anything but data, with which pzstd begins. */
function isSkippableFrame(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && bytes[0]! >> 4 === 5 && startsWith(bytes.subarray(1), [0x2a, 0x4d, 0x18]);
}

/** One chunk, then the others: a pipe can't be read twice, so its kind is told from the chunk at hand. */
async function* prepend(first: Uint8Array, others: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  yield first;
  yield* { [Symbol.asyncIterator]: () => others };
}

/** Zstandard's own limit for a decoder that was not told to allow more. */
const MAX_ZSTD_WINDOW = 128 * 2 ** 20;

/** Four bytes of Zstandard data can stand for 128 KiB: small pieces keep what is unpacked at once small. */
const ZSTD_PIECE = 2048;

class DamagedZstandard extends Error {}

async function* unpackZstandard(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const unpacked: Uint8Array[] = [];
  // The decoder goes on using the memory that it hands out.
  const decoder = new Decompress((bytes) => unpacked.push(bytes.slice()));
  const push = (piece: Uint8Array, isLast: boolean) => {
    try {
      decoder.push(piece, isLast);
    } catch (error) {
      throw new DamagedZstandard((error as Error).message, { cause: error });
    }
    return unpacked.splice(0);
  };
  let isFirst = true;
  for await (const chunk of chunks) {
    if (isFirst) refuseLargeWindow(chunk);
    isFirst = false;
    for (let at = 0; at < chunk.length; at += ZSTD_PIECE) yield* push(chunk.subarray(at, at + ZSTD_PIECE), false);
  }
  yield* push(new Uint8Array(0), true);
}

/** RFC 8878, section 3.1.1.1: what the first frame of data asks a decoder to keep. */
function refuseLargeWindow(frames: Uint8Array): void {
  let frame = frames;
  while (isSkippableFrame(frame))
    frame = frame.subarray(8 + new DataView(frame.buffer, frame.byteOffset).getUint32(4, true));
  if (windowSize(frame) <= MAX_ZSTD_WINDOW) return;
  throw new DamagedZstandard("it asks for a window of more than 128 MiB: pack it without --long");
}

function windowSize(frame: Uint8Array): number {
  const [descriptor = 0, window = 0] = frame.subarray(4);
  const isSingleSegment = (descriptor & 0x20) !== 0;
  if (!isSingleSegment) return 2 ** (10 + (window >> 3)) * (1 + (window & 7) / 8);
  // The window is all of the content, whose size stands behind the dictionary's number.
  const start = 5 + [0, 1, 2, 4][descriptor & 3]!;
  const bytes = frame.subarray(start, start + [1, 2, 4, 8][descriptor >> 6]!);
  return bytes.reduceRight((size, byte) => size * 256 + byte, 0);
}

function unreadable(name: string, error: NodeJS.ErrnoException): DataError {
  const damaged = error.code?.startsWith("Z_") ? "gzip" : error instanceof DamagedZstandard ? "Zstandard" : undefined;
  return fileError(
    name,
    error,
    damaged && `the ${damaged} data is damaged or cut off (${error.message}). Get the file again`,
  );
}
