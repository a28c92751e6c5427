/** Arrays of millions of numbers, compared bit for bit: `toEqual` looks at every number by itself, which takes seconds. */

import { createHash } from "node:crypto";
import type { Value } from "../../src/runtime/runtime.ts";

/** A digest of each array's bytes: `expect(digests(a)).toEqual(digests(b))` names the arrays that differ. */
export function digests(values: Readonly<Record<string, Value>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([name, { data }]) => {
      const { buffer, byteOffset, byteLength } = data as Float32Array;
      return [
        name,
        createHash("sha256")
          .update(new Uint8Array(buffer, byteOffset, byteLength))
          .digest("hex"),
      ];
    }),
  );
}
