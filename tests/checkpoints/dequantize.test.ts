/** Golden numbers: tests/reference/checkpoints_dequantize.py (the `gguf` Python package). */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { StorageType } from "../../src/checkpoints/checkpoint.ts";
import { BLOCK_LAYOUTS } from "../../src/checkpoints/dequantize.ts";
import { golden } from "./fixtures.ts";

interface Golden {
  readonly types: Record<string, { blocks: string; values: string }>;
  readonly f16: string;
  readonly bf16: string;
}

const reference = golden<Golden>("dequantize.json");

function dequantize(storage: StorageType, bytes: Uint8Array): Float32Array<ArrayBuffer> {
  const { blockBytes, blockValues, dequantize } = BLOCK_LAYOUTS[storage];
  const out = new Float32Array((bytes.length / blockBytes) * blockValues);
  dequantize(Uint8Array.from(bytes), out);
  return out;
}

/** Float32 values as bit patterns, so that 0 and -0 differ. */
function bits(values: Float32Array<ArrayBuffer>): number[] {
  return [...new Uint32Array(values.buffer)];
}

describe("a quantized block gives the gguf package's float32 values bit for bit", () => {
  test.each(Object.entries(reference.types))("%s", (storage, { blocks, values }) => {
    const expected = new Float32Array(Uint8Array.from(Buffer.from(values, "base64")).buffer);
    expect(bits(dequantize(storage as StorageType, Buffer.from(blocks, "base64")))).toEqual(bits(expected));
  });

  test("every quantized type that can be read has golden blocks", () => {
    expect(Object.keys(reference.types).sort()).toEqual(
      Object.keys(BLOCK_LAYOUTS)
        .filter((t) => t.startsWith("Q"))
        .sort(),
    );
  });
});

describe("half precision is widened exactly", () => {
  test.each([
    ["F16", reference.f16],
    ["BF16", reference.bf16],
  ] as const)("every %s number", (storage, digest) => {
    const patterns = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const numbers = dequantize(storage, new Uint8Array(patterns.buffer)).filter((value) => !Number.isNaN(value));
    expect(createHash("sha256").update(new Uint8Array(numbers.buffer)).digest("hex")).toBe(digest);
  });

  test.each(["F16", "BF16"] as const)("a NaN of %s stays a NaN", (storage) => {
    expect(dequantize(storage, Uint8Array.of(0xc1, 0xff))[0]).toBeNaN();
  });
});
