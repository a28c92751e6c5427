/** Reading the parts of a GGUF header one after another, with every length checked against what is left of the file. */
import { CheckpointError } from "../errors.ts";
import { type ByteSource, GET_IT_AGAIN } from "./bytes.ts";

/** Far above any real text in a header (tokens, chat templates), far below what would exhaust memory. */
const MAX_STRING_BYTES = 2 ** 26;

/** Reads forward through a file in windows, so that neither the tensors nor a hostile length are ever loaded. */
export class ForwardReader {
  readonly file: ByteSource;
  #window: Buffer<ArrayBuffer> = Buffer.alloc(0);
  #windowStart = 0;
  #at = 0;

  constructor(file: ByteSource) {
    this.file = file;
  }

  /** Position in the file of the next byte to be read. */
  get position(): number {
    return this.#windowStart + this.#at;
  }

  /** The next `length` bytes, valid until the next call. */
  bytes(length: number, what: string): Buffer<ArrayBuffer> {
    if (this.#at + length > this.#window.length) this.#refill(length, what);
    this.#at += length;
    return this.#window.subarray(this.#at - length, this.#at);
  }

  uint32(): number {
    return this.bytes(4, "a number").readUInt32LE();
  }

  uint64(what: string): number {
    const value = this.bytes(8, what).readBigUInt64LE();
    if (value > Number.MAX_SAFE_INTEGER)
      throw new CheckpointError(`${this.file.path}: ${what} is ${value}, which can't be right. ${GET_IT_AGAIN}`);
    return Number(value);
  }

  /** A number of things that each take at least `bytesEach` of what is left of the file. */
  count(what: string, bytesEach: number): number {
    const count = this.uint64(`the number of ${what}`);
    if (count * bytesEach > this.file.size - this.position) {
      throw new CheckpointError(
        `${this.file.path}: claims ${count} ${what}, more than the rest of the file can hold. ${GET_IT_AGAIN}`,
      );
    }
    return count;
  }

  string(what: string): string {
    const length = this.uint64(`the length of ${what}`);
    if (length > MAX_STRING_BYTES) {
      throw new CheckpointError(
        `${this.file.path}: ${what} claims ${length} bytes; at most ${MAX_STRING_BYTES} are read. ${GET_IT_AGAIN}`,
      );
    }
    return this.bytes(length, what).toString("utf8");
  }

  #refill(length: number, what: string): void {
    const start = this.position;
    const left = this.file.size - start;
    if (length > left) {
      throw new CheckpointError(`${this.file.path}: ends in the middle of its header (${what}). ${GET_IT_AGAIN}`);
    }
    this.#window = Buffer.allocUnsafeSlow(Math.min(left, Math.max(length, 2 ** 20)));
    this.file.readInto(this.#window, start);
    this.#windowStart = start;
    this.#at = 0;
  }
}
