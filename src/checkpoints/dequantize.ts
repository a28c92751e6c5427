/**
 * GGUF's block formats to float32, bit for bit as ggml's reference (ggml-quants.c) and the `gguf` Python package have them.
 * A block holds `blockValues` consecutive values of a row as small integers q under shared float16 scales:
 *
 *   Q4_0, Q5_0, Q8_0:  x = d q            (q centred on 0)
 *   Q4_1, Q5_1:        x = d q + m
 *   Q4_K, Q5_K:        x = (d s) q - (dmin m)   8 sub-blocks of 32, 6-bit s and m each
 *   Q6_K:              x = (d s) q              16 sub-blocks of 16, 8-bit s each
 *
 * Every product and sum is rounded to float32. Where one rounding of the double result is the same (a float16 times an
 * integer of few bits is exact in double and so is rounded once) it is left to the store into the Float32Array.
 */
import type { StorageType } from "./checkpoint.ts";
import { f16Values, widenBF16, widenF16 } from "./widen.ts";

interface BlockLayout {
  /** Values in a block. */
  readonly blockValues: number;
  /** Bytes of a block. */
  readonly blockBytes: number;
  /** Writes the values of all whole blocks of `bytes` into `out`. */
  readonly dequantize: (bytes: Uint8Array<ArrayBuffer>, out: Float32Array<ArrayBuffer>) => void;
}

/** How each storage type packs its values. */
export const BLOCK_LAYOUTS: Readonly<Record<StorageType, BlockLayout>> = {
  F32: { blockValues: 1, blockBytes: 4, dequantize: copyF32 },
  F16: { blockValues: 1, blockBytes: 2, dequantize: (bytes, out) => widenF16(halvesOf(bytes), out) },
  BF16: { blockValues: 1, blockBytes: 2, dequantize: (bytes, out) => widenBF16(halvesOf(bytes), bitsOf(out)) },
  Q4_0: { blockValues: 32, blockBytes: 18, dequantize: dequantizeQ4_0 },
  Q4_1: { blockValues: 32, blockBytes: 20, dequantize: dequantizeQ4_1 },
  Q5_0: { blockValues: 32, blockBytes: 22, dequantize: dequantizeQ5_0 },
  Q5_1: { blockValues: 32, blockBytes: 24, dequantize: dequantizeQ5_1 },
  Q8_0: { blockValues: 32, blockBytes: 34, dequantize: dequantizeQ8_0 },
  Q4_K: { blockValues: 256, blockBytes: 144, dequantize: dequantizeQ4_K },
  Q5_K: { blockValues: 256, blockBytes: 176, dequantize: dequantizeQ5_K },
  Q6_K: { blockValues: 256, blockBytes: 210, dequantize: dequantizeQ6_K },
};

function copyF32(bytes: Uint8Array<ArrayBuffer>, out: Float32Array<ArrayBuffer>): void {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(bytes);
}

function halvesOf(bytes: Uint8Array<ArrayBuffer>): Uint16Array {
  return new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2);
}

function bitsOf(values: Float32Array<ArrayBuffer>): Uint32Array {
  return new Uint32Array(values.buffer, values.byteOffset, values.length);
}

/** [d: f16][q: 16 bytes], value i in the low half of byte i, value i + 16 in its high half. */
function dequantizeQ4_0(bytes: Uint8Array, out: Float32Array): void {
  const f16 = f16Values();
  for (let at = 0, o = 0; at < bytes.length; at += 18, o += 32) {
    const d = f16[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 2 + i]!;
      out[o + i] = d * ((q & 15) - 8);
      out[o + i + 16] = d * ((q >> 4) - 8);
    }
  }
}

/** [d: f16][m: f16][q: 16 bytes], nibbles as in Q4_0. */
function dequantizeQ4_1(bytes: Uint8Array, out: Float32Array): void {
  const f16 = f16Values();
  for (let at = 0, o = 0; at < bytes.length; at += 20, o += 32) {
    const d = f16[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = f16[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 4 + i]!;
      out[o + i] = d * (q & 15) + m;
      out[o + i + 16] = d * (q >> 4) + m;
    }
  }
}

/** [d: f16][high bits: u32][q: 16 bytes], nibbles as in Q4_0, bit i of the word is value i's fifth. */
function dequantizeQ5_0(bytes: Uint8Array, out: Float32Array): void {
  const f16 = f16Values();
  for (let at = 0, o = 0; at < bytes.length; at += 22, o += 32) {
    const d = f16[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const high = bytes[at + 2]! | (bytes[at + 3]! << 8) | (bytes[at + 4]! << 16) | (bytes[at + 5]! << 24);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 6 + i]!;
      out[o + i] = d * (((q & 15) | (((high >>> i) & 1) << 4)) - 16);
      out[o + i + 16] = d * (((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) - 16);
    }
  }
}

/** [d: f16][m: f16][high bits: u32][q: 16 bytes], bits as in Q5_0. */
function dequantizeQ5_1(bytes: Uint8Array, out: Float32Array): void {
  const f16 = f16Values();
  for (let at = 0, o = 0; at < bytes.length; at += 24, o += 32) {
    const d = f16[bytes[at]! | (bytes[at + 1]! << 8)]!;
    const m = f16[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
    const high = bytes[at + 4]! | (bytes[at + 5]! << 8) | (bytes[at + 6]! << 16) | (bytes[at + 7]! << 24);
    for (let i = 0; i < 16; i++) {
      const q = bytes[at + 8 + i]!;
      out[o + i] = d * ((q & 15) | (((high >>> i) & 1) << 4)) + m;
      out[o + i + 16] = d * ((q >> 4) | (((high >>> (i + 16)) & 1) << 4)) + m;
    }
  }
}

/** [d: f16][q: 32 signed bytes]. */
function dequantizeQ8_0(bytes: Uint8Array, out: Float32Array): void {
  const f16 = f16Values();
  for (let at = 0, o = 0; at < bytes.length; at += 34, o += 32) {
    const d = f16[bytes[at]! | (bytes[at + 1]! << 8)]!;
    for (let i = 0; i < 32; i++) out[o + i] = d * ((bytes[at + 2 + i]! << 24) >> 24);
  }
}

/** [d: f16][dmin: f16][s and m: 12 bytes][q: 128 bytes], sub-blocks 2j and 2j + 1 in the low and high halves of 32 bytes. */
function dequantizeQ4_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 144, o += 256) {
    for (let j = 0; j < 8; j++) {
      const { scale, offset } = subBlockScale(bytes, at, j);
      const shift = 4 * (j & 1);
      const nibbles = at + 16 + 32 * (j >> 1);
      for (let i = 0; i < 32; i++) {
        out[o + 32 * j + i] = scale * ((bytes[nibbles + i]! >> shift) & 15) - offset;
      }
    }
  }
}

/** [d: f16][dmin: f16][s and m: 12 bytes][fifth bits: 32 bytes][q: 128 bytes], bit j of byte i is sub-block j's value i. */
function dequantizeQ5_K(bytes: Uint8Array, out: Float32Array): void {
  for (let at = 0, o = 0; at < bytes.length; at += 176, o += 256) {
    for (let j = 0; j < 8; j++) {
      const { scale, offset } = subBlockScale(bytes, at, j);
      const shift = 4 * (j & 1);
      const nibbles = at + 48 + 32 * (j >> 1);
      for (let i = 0; i < 32; i++) {
        const q = ((bytes[nibbles + i]! >> shift) & 15) | (((bytes[at + 16 + i]! >> j) & 1) << 4);
        out[o + 32 * j + i] = scale * q - offset;
      }
    }
  }
}

/**
 * The float32 factors d s and dmin m of sub-block j in a Q4_K or Q5_K block at `at`. Twelve bytes hold 6 bits of each: bytes
 * 0 to 3 and 4 to 7 the s and m of sub-blocks 0 to 3, with the top bits of sub-blocks 4 to 7 above them; bytes 8 to 11 those' low bits.
 */
function subBlockScale(bytes: Uint8Array, at: number, j: number): { scale: number; offset: number } {
  const f16 = f16Values();
  const d = f16[bytes[at]! | (bytes[at + 1]! << 8)]!;
  const dmin = f16[bytes[at + 2]! | (bytes[at + 3]! << 8)]!;
  const packed = at + 4 + (j & 3);
  const s = j < 4 ? bytes[packed]! & 63 : (bytes[packed + 8]! & 15) | ((bytes[packed]! >> 2) & 48);
  const m = j < 4 ? bytes[packed + 4]! & 63 : (bytes[packed + 8]! >> 4) | ((bytes[packed + 4]! >> 2) & 48);
  return { scale: Math.fround(d * s), offset: Math.fround(dmin * m) };
}

/**
 * [low 4 bits: 128 bytes][high 2 bits: 64 bytes][s: 16 signed bytes][d: f16]. Each half of 128 values has 64 bytes of low and 32 of
 * high bits: group g of 32 values takes nibble g / 2 of bytes 32 (g mod 2) on, and bits 2g of every high byte.
 */
function dequantizeQ6_K(bytes: Uint8Array, out: Float32Array): void {
  const f16 = f16Values();
  for (let at = 0, o = 0; at < bytes.length; at += 210, o += 256) {
    const d = f16[bytes[at + 208]! | (bytes[at + 209]! << 8)]!;
    for (let k = 0; k < 16; k++) {
      const scale = Math.fround(d * ((bytes[at + 192 + k]! << 24) >> 24));
      const half = k >> 3;
      const group = (k >> 1) & 3;
      const within = 16 * (k & 1);
      const low = at + 64 * half + 32 * (group & 1) + within;
      const high = at + 128 + 32 * half + within;
      for (let i = 0; i < 16; i++) {
        const q = ((bytes[low + i]! >> (4 * (group >> 1))) & 15) | (((bytes[high + i]! >> (2 * group)) & 3) << 4);
        out[o + 16 * k + i] = scale * (q - 32);
      }
    }
  }
}
