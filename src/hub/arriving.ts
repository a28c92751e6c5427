/**
 * A file on the hub that can be read before it is here. A model's settings, shapes and tokenizer are in the first bytes of its
 * weight files, so whether there is memory for it is known before they are downloaded.
 *
 * What opens a checkpoint reads synchronously, as from a disk. Bytes that are missing are therefore asked for by an error: they
 * are fetched, and opening begins anew.
 */

import { type ByteSource, endsEarly } from "../checkpoints/bytes.ts";
import { RandomAccessFile } from "../checkpoints/files.ts";
import { HubError } from "../errors.ts";
import { downloadRange, type RemoteSource } from "./download.ts";

/** The least that is worth a request: the header of most safetensors files. Further ones double it, for GGUF has its vocabulary there. */
const FIRST_BYTES = 2 ** 20;

interface Piece {
  readonly begin: number;
  readonly bytes: Uint8Array;
}

export class ArrivingFile implements ByteSource {
  readonly path: string;
  readonly size: number;
  readonly #source: RemoteSource;
  readonly #pieces: Piece[] = [];
  #file: RandomAccessFile | undefined;

  /** `path` is where it will be. */
  constructor(path: string, source: RemoteSource) {
    this.path = path;
    this.size = source.file.size;
    this.#source = source;
  }

  /** Throws MissingBytes for what has neither been fetched nor arrived. */
  readInto(target: Uint8Array, position: number): void {
    if (this.#file) this.#file.readInto(target, position);
    else target.set(this.#fetched(position, position + target.length));
  }

  #fetched(begin: number, end: number): Uint8Array {
    if (end > this.size) throw endsEarly(this.path, this.size, end);
    const piece = this.#pieces.find((piece) => piece.begin <= begin && end <= piece.begin + piece.bytes.length);
    if (!piece) throw new MissingBytes(this, begin, end);
    return piece.bytes.subarray(begin - piece.begin, end - piece.begin);
  }

  /** Fetches a range, and what follows it. Throws HubError. */
  async fetch(begin = 0, end = begin): Promise<void> {
    const further = begin + FIRST_BYTES * 2 ** this.#pieces.length;
    const bytes = await downloadRange(this.#source, begin, Math.min(this.size, Math.max(end, further)));
    this.#pieces.push({ begin, bytes });
  }

  /** From now on it is read from its place. Throws CheckpointError where it can't be opened, HubError where it is another file. */
  arrive(): void {
    const file = new RandomAccessFile(this.path);
    this.#file = file;
    for (const { begin, bytes } of this.#pieces.splice(0)) {
      const arrived = new Uint8Array(bytes.length);
      file.readInto(arrived, begin);
      // The file has been checked by its hash, the pieces have not.
      if (Buffer.compare(arrived, bytes) !== 0) {
        const { subject, url } = this.#source;
        throw new HubError(
          `${subject.name}: the first answer for ${subject.file} had other bytes than the file has. Try again; where that does not help, something between here and ${new URL(url).host} changes files.`,
        );
      }
    }
  }

  [Symbol.dispose](): void {
    this.#file?.[Symbol.dispose]();
  }
}

class MissingBytes extends Error {
  readonly file: ArrivingFile;
  readonly begin: number;
  readonly end: number;

  constructor(file: ArrivingFile, begin: number, end: number) {
    super(`bytes ${begin} to ${end} of ${file.path} have not been fetched`);
    this.file = file;
    this.begin = begin;
    this.end = end;
  }
}

/** Runs `open` until it has all the bytes that it reads. Throws what it throws, and HubError. */
export async function fetchingBytes<T>(open: () => T): Promise<T> {
  for (;;) {
    try {
      return open();
    } catch (error) {
      if (!(error instanceof MissingBytes)) throw error;
      await error.file.fetch(error.begin, error.end);
    }
  }
}
