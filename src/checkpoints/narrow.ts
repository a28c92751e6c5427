/**
 * Float32 to half precision, rounded to the nearest value and where two are as near to the even one, as PyTorch, NumPy and
 * ggml do: IEEE 754 binary16 (F16), and bfloat16 (BF16, the upper half of a float32). What is beyond binary16 becomes infinity.
 */

/** The first magnitude that binary16 rounds to infinity: halfway between its largest number, 65504, and 65536. */
export const F16_OVERFLOW = 65520;

const scratch = new Float32Array(1);
const scratchBits = new Uint32Array(scratch.buffer);

/** The binary16 bit pattern of one number, rounded to float32 first. */
export function f16Bits(value: number): number {
  scratch[0] = value;
  return f16OfBits(scratchBits[0]!);
}

/** Narrows float32 bit patterns to binary16's; `target` holds as many elements as `source`. */
export function narrowF16(source: Uint32Array, target: Uint16Array): void {
  for (let i = 0; i < source.length; i++) target[i] = f16OfBits(source[i]!);
}

/** Narrows float32 bit patterns to bfloat16's; a NaN stays one. */
export function narrowBF16(source: Uint32Array, target: Uint16Array): void {
  for (let i = 0; i < source.length; i++) {
    const bits = source[i]!;
    const notANumber = (bits & 0x7fffffff) > 0x7f800000;
    target[i] = notANumber ? (bits >>> 16) | 0x40 : (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
  }
}

function f16OfBits(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x47800000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    // A normal number: the exponent's bias goes from 127 to 15; rounding up may carry into the exponent, as it should.
    const rebased = magnitude - 0x38000000;
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  return sign | subnormalF16(magnitude);
}

/** Below 2^-14 binary16 counts multiples of 2^-24. */
function subnormalF16(magnitude: number): number {
  const dropped = 126 - (magnitude >>> 23);
  if (dropped > 24) return 0;
  const significand = (magnitude & 0x7fffff) | 0x800000;
  const kept = significand >>> dropped;
  const rest = significand & ((1 << dropped) - 1);
  const half = 1 << (dropped - 1);
  return rest > half || (rest === half && (kept & 1) === 1) ? kept + 1 : kept;
}
