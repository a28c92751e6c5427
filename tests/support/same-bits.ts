/** Arrays of millions of numbers, compared bit for bit: `toEqual` looks at every number by itself, which takes seconds. */

import { createHash } from "node:crypto";
import type { Value } from "../../src/runtime/runtime.ts";

/** A digest of each array's bytes: `expect(digests(a)).toEqual(digests(b))` names the arrays that differ. */
export function digests(values: Readonly<Record<string, Value>>): Record<string, string> {
  const digest = ({ data }: Value) => createHash("sha256").update(bytesOf(data as Float32Array));
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, digest(value).digest("hex")]));
}

/** Whether two arrays hold the very same bits. */
export function sameBits(a: Float32Array, b: Float32Array): boolean {
  return bytesOf(a).equals(bytesOf(b));
}

function bytesOf({ buffer, byteOffset, byteLength }: Float32Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
