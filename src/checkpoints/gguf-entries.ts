/** Metadata on its way into a GGUF file: each value with its bytes there, made from a number or text or taken from another file. */
import { RandomAccessFile } from "./files.ts";
import { type MetadataValue, readGgufHeader } from "./gguf-header.ts";

export interface GgufEntry {
  /** What a reader will find. */
  readonly value: MetadataValue;
  /** The number of GGUF's type, then the value. */
  readonly bytes: Uint8Array;
}

export type GgufEntries = ReadonlyMap<string, GgufEntry>;

/** GGUF's numbers of value types. */
const [UINT32, INT32, FLOAT32, FLAG, TEXT, ARRAY] = [4, 5, 6, 7, 8, 9] as const;

/** A whole number from 0 to 2^32 - 1. */
export function naturalEntry(value: number): GgufEntry {
  return { value, bytes: joined([uint32(UINT32), uint32(value)]) };
}

/** A number, rounded to float32. */
export function realEntry(value: number): GgufEntry {
  return { value: Math.fround(value), bytes: joined([uint32(FLOAT32), bytesOf(Float32Array.of(value))]) };
}

export function flagEntry(value: boolean): GgufEntry {
  return { value, bytes: joined([uint32(FLAG), Uint8Array.of(value ? 1 : 0)]) };
}

export function textEntry(value: string): GgufEntry {
  return { value, bytes: joined([uint32(TEXT), textBytes(value)]) };
}

export function textsEntry(values: readonly string[]): GgufEntry {
  return { value: [...values], bytes: joined([arrayHead(TEXT, values.length), ...values.map(textBytes)]) };
}

/** Numbers, each rounded to float32. */
export function realsEntry(values: readonly number[]): GgufEntry {
  const rounded = Float32Array.from(values);
  return { value: [...rounded], bytes: joined([arrayHead(FLOAT32, values.length), bytesOf(rounded)]) };
}

/** Whole numbers of 32 bits. */
export function integersEntry(values: readonly number[]): GgufEntry {
  return { value: [...values], bytes: joined([arrayHead(INT32, values.length), bytesOf(Int32Array.from(values))]) };
}

/** The metadata of a GGUF file as it stands there. Throws CheckpointError for a file that is none. */
export function readEntries(path: string): GgufEntries {
  using file = new RandomAccessFile(path);
  const { metadata, metadataRanges } = readGgufHeader(file);
  return new Map(
    [...metadata].map(([key, value]) => {
      const { begin, end } = metadataRanges.get(key)!;
      const bytes = new Uint8Array(end - begin);
      file.readInto(bytes, begin);
      return [key, { value, bytes }];
    }),
  );
}

/** A GGUF text: its length and its UTF-8 bytes. */
export function textBytes(text: string): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  return joined([uint64(bytes.length), bytes]);
}

export function uint32(value: number): Uint8Array {
  return bytesOf(Uint32Array.of(value));
}

export function uint64(value: number): Uint8Array {
  return bytesOf(BigUint64Array.of(BigInt(value)));
}

export function joined(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts);
}

function arrayHead(type: number, length: number): Uint8Array {
  return joined([uint32(ARRAY), uint32(type), uint64(length)]);
}

function bytesOf(values: Uint32Array | Int32Array | Float32Array | BigUint64Array): Uint8Array {
  return new Uint8Array(values.buffer);
}
