/**
 * Float32 to the storage types that preftune writes: the halves, and two of GGUF's block formats, bit for bit as ggml's
 * reference (ggml-quants.c) and the `gguf` Python package quantize. A block holds 32 consecutive values x of a row:
 *
 *   Q8_0:  d = max |x| / 127,               q = round(x / d), halves away from zero
 *   Q4_0:  d = the x of largest |x| / -8,   q = min(15, floor(x / d + 8.5))
 *
 * Every product, quotient and sum is rounded to float32; x / d is x times the rounded 1 / d. The scale is stored in float16.
 */
import { CheckpointError } from "../errors.ts";
import { F16_OVERFLOW, f16Bits, narrowBF16, narrowF16 } from "./narrow.ts";

/** The storage types that can be written. */
export type WritableType = "F32" | "F16" | "BF16" | "Q8_0" | "Q4_0";

const BLOCK = 32;

interface Encoder {
  readonly blockValues: number;
  readonly blockBytes: number;
  /** What the largest magnitude of a tensor must stay below, so that it or its block's scale fits. */
  readonly limit: number;
  /** The bytes of whole blocks of values. */
  readonly encode: (values: Float32Array) => Uint8Array;
}

/** How each storage type packs its values. */
const ENCODERS: Readonly<Record<WritableType, Encoder>> = {
  F32: { blockValues: 1, blockBytes: 4, limit: Number.POSITIVE_INFINITY, encode: bytesOf },
  F16: { blockValues: 1, blockBytes: 2, limit: F16_OVERFLOW, encode: (values) => narrowed(values, narrowF16) },
  BF16: {
    blockValues: 1,
    blockBytes: 2,
    limit: Number.POSITIVE_INFINITY,
    encode: (values) => narrowed(values, narrowBF16),
  },
  Q8_0: { blockValues: BLOCK, blockBytes: 34, limit: 127 * F16_OVERFLOW, encode: quantizeQ8_0 },
  Q4_0: { blockValues: BLOCK, blockBytes: 18, limit: 8 * F16_OVERFLOW, encode: quantizeQ4_0 },
};

/** Values encoded at a time: a few MB, so that no tensor is held twice. A multiple of every block's. */
const CHUNK_VALUES = 2 ** 20;

/** Whether rows of `width` values are whole blocks of the type. */
export function holdsRows(type: WritableType, width: number): boolean {
  return width % ENCODERS[type].blockValues === 0;
}

/** Bytes that `count` values take, a multiple of the type's block. */
export function encodedBytes(type: WritableType, count: number): number {
  const { blockValues, blockBytes } = ENCODERS[type];
  return (count / blockValues) * blockBytes;
}

/**
 * Encodes a tensor, some values at a time. Throws CheckpointError for a number that is not finite (block formats) or that the
 * type can't hold.
 */
export function encodeInto(
  write: (bytes: Uint8Array) => void,
  name: string,
  values: Float32Array,
  type: WritableType,
): void {
  refuseOutOfRange(name, values, type);
  for (let at = 0; at < values.length; at += CHUNK_VALUES) {
    write(ENCODERS[type].encode(values.subarray(at, at + CHUNK_VALUES)));
  }
}

function refuseOutOfRange(name: string, values: Float32Array, type: WritableType): void {
  const { limit, blockValues } = ENCODERS[type];
  const isBlock = blockValues > 1;
  if (limit === Number.POSITIVE_INFINITY) return;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    const finite = Number.isFinite(value);
    if (finite ? Math.abs(value) < limit : !isBlock) continue;
    throw new CheckpointError(
      finite
        ? `The weight ${JSON.stringify(name)} holds ${value}, which is beyond what ${type} can store. Export it as bf16 or f32.`
        : `The weight ${JSON.stringify(name)} holds ${value}, which ${type} can't store. The model is damaged, or its training diverged.`,
    );
  }
}

function bytesOf(values: Float32Array): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

function narrowed(values: Float32Array, narrow: (source: Uint32Array, target: Uint16Array) => void): Uint8Array {
  const halves = new Uint16Array(values.length);
  narrow(new Uint32Array(values.buffer, values.byteOffset, values.length), halves);
  return new Uint8Array(halves.buffer);
}

/** 1 / d in float32; 0 where d is 0 or so small that its float16 is 0 and its inverse infinite. */
function inverse(d: number): number {
  const quotient = Math.fround(1 / d);
  return Number.isFinite(quotient) ? quotient : 0;
}

/** [d: f16][q: 32 signed bytes]. */
function quantizeQ8_0(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / BLOCK) * 34);
  for (let at = 0, o = 0; at < values.length; at += BLOCK, o += 34) {
    let largest = 0;
    for (let i = 0; i < BLOCK; i++) largest = Math.max(largest, Math.abs(values[at + i]!));
    const d = Math.fround(largest / 127);
    const scale = inverse(d);
    writeF16(bytes, o, d);
    for (let i = 0; i < BLOCK; i++) {
      const x = Math.fround(values[at + i]! * scale);
      bytes[o + 2 + i] = x < 0 ? -Math.round(-x) : Math.round(x);
    }
  }
  return bytes;
}

/** [d: f16][q: 16 bytes], value i in the low half of byte i, value i + 16 in its high half. */
function quantizeQ4_0(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array((values.length / BLOCK) * 18);
  for (let at = 0, o = 0; at < values.length; at += BLOCK, o += 18) {
    let extreme = values[at]!;
    for (let i = 1; i < BLOCK; i++) if (Math.abs(values[at + i]!) > Math.abs(extreme)) extreme = values[at + i]!;
    const d = Math.fround(extreme / -8);
    const scale = inverse(d);
    const q = (i: number) => Math.min(15, Math.trunc(Math.fround(Math.fround(values[at + i]! * scale) + 8.5)));
    writeF16(bytes, o, d);
    for (let i = 0; i < 16; i++) bytes[o + 2 + i] = q(i) | (q(i + 16) << 4);
  }
  return bytes;
}

function writeF16(bytes: Uint8Array, at: number, value: number): void {
  const bits = f16Bits(value);
  bytes[at] = bits & 0xff;
  bytes[at + 1] = bits >> 8;
}
