/** Half-precision numbers to float32: IEEE 754 binary16 (F16) and bfloat16 (BF16, the upper half of a float32). Exact. */

/** Widens binary16 bit patterns; `target` holds as many elements as `source`. */
export function widenF16(source: Uint16Array, target: Float32Array): void {
  const table = f16Values();
  for (let i = 0; i < source.length; i++) target[i] = table[source[i]!]!;
}

/** Widens bfloat16 bit patterns; `targetBits` is the float32 target seen as unsigned integers (no NaN payload is lost). */
export function widenBF16(source: Uint16Array, targetBits: Uint32Array): void {
  for (let i = 0; i < source.length; i++) targetBits[i] = source[i]! << 16;
}

let f16Table: Float32Array | undefined;

/** The value of every binary16 bit pattern, [65536]. */
export function f16Values(): Float32Array {
  if (f16Table === undefined) {
    f16Table = new Float32Array(65536);
    for (let bits = 0; bits < 65536; bits++) f16Table[bits] = f16Value(bits);
  }
  return f16Table;
}

function f16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 0x1f;
  const fraction = bits & 0x3ff;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
