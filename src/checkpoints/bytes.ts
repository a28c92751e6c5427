/** Bytes that can be read at any position, of a file on disk or of one in memory. */

import { CheckpointError } from "../errors.ts";

/** How to mend a file whose contents contradict themselves or end early. */
export const GET_IT_AGAIN = "The file is damaged or incomplete: copy or download it again.";

export interface ByteSource extends Disposable {
  /** What messages call it. */
  readonly path: string;
  /** Length in bytes. */
  readonly size: number;
  /** Fills `target` with the bytes from `position` on. Throws CheckpointError when they end before `target` is full. */
  readInto(target: Uint8Array, position: number): void;
}

/** Files by their paths that are read from elsewhere, as those that are still on their way to their places. */
export type FilesElsewhere = ReadonlyMap<string, ByteSource>;

/** Bytes in memory, read as those of a file. */
export function bytesInMemory(path: string, bytes: Uint8Array): ByteSource {
  return {
    path,
    size: bytes.length,
    readInto(target, position) {
      const end = position + target.length;
      if (end > bytes.length) throw endsEarly(path, bytes.length, end);
      target.set(bytes.subarray(position, end));
    },
    [Symbol.dispose]() {},
  };
}

/** The error for a file that ends at byte `size` but must have bytes up to `wanted`. */
export function endsEarly(path: string, size: number, wanted: number): CheckpointError {
  return new CheckpointError(`${path}: ends at byte ${size}, but bytes up to ${wanted} belong to it. ${GET_IT_AGAIN}`);
}
