/** Golden numbers: tests/reference/checkpoints_quantize.py (NumPy and the `gguf` Python package). */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { encodedBytes, encodeInto, holdsRows, type WritableType } from "../../src/checkpoints/quantize.ts";
import { golden, messageOf } from "./fixtures.ts";

const reference = golden<{ values: string; types: Record<"Q8_0" | "Q4_0", string>; f16: string; bf16: string }>(
  "quantize.json",
);
const values = new Float32Array(Uint8Array.from(Buffer.from(reference.values, "base64")).buffer);

function encode(type: WritableType, numbers: Float32Array): Buffer {
  const pieces: Uint8Array[] = [];
  encodeInto((bytes) => pieces.push(bytes.slice()), "w", numbers, type);
  return Buffer.concat(pieces);
}

describe("a quantized block is the gguf package's byte for byte", () => {
  test.each(["Q8_0", "Q4_0"] as const)("%s", (type) => {
    expect(encode(type, values).toString("hex")).toBe(Buffer.from(reference.types[type], "base64").toString("hex"));
  });

  test("whatever lies before it in the tensor", () => {
    const long = new Float32Array(2 ** 20 + values.length).fill(1);
    long.set(values, 2 ** 20);
    const alone = encode("Q8_0", values);
    expect(encode("Q8_0", long).subarray(-alone.length)).toEqual(alone);
  });
});

describe("rows of whole blocks", () => {
  test.each([
    ["F32", 1],
    ["F16", 1],
    ["BF16", 1],
    ["Q8_0", 32],
    ["Q4_0", 32],
  ] as const)("%s holds multiples of %i values, in as many bytes as it says", (type, block) => {
    const fitting = Array.from({ length: 65 }, (_, width) => width).filter((width) => holdsRows(type, width));
    expect(fitting).toEqual(Array.from({ length: Math.floor(64 / block) + 1 }, (_, i) => i * block));
    for (const count of fitting) expect(encode(type, new Float32Array(count)).length).toBe(encodedBytes(type, count));
  });
});

describe("float32 is narrowed to the nearest, ties to even", () => {
  const patterns = Uint32Array.from({ length: 2 ** 20 }, (_, i) => (i * 4099) % 2 ** 32);
  const numbers = new Float32Array(patterns.buffer).filter((value) => !Number.isNaN(value));
  const digest = (bytes: Buffer) => createHash("sha256").update(bytes).digest("hex");

  test("BF16, infinities too", () => {
    expect(digest(encode("BF16", numbers))).toBe(reference.bf16);
  });

  test("F16, beyond it infinity", () => {
    const inRange = numbers.filter((value) => Math.abs(value) < 65520);
    const halves = new Uint16Array(numbers.length);
    const narrow = new Uint16Array(Uint8Array.from(encode("F16", inRange)).buffer);
    let next = 0;
    numbers.forEach((value, i) => {
      halves[i] = Math.abs(value) < 65520 ? narrow[next++]! : value < 0 ? 0xfc00 : 0x7c00;
    });
    expect(digest(Buffer.from(halves.buffer))).toBe(reference.f16);
  });

  test.each(["F16", "BF16"] as const)("a NaN of %s stays a NaN", (type) => {
    const [low, high] = encode(type, Float32Array.of(Number.NaN));
    expect((high! << 8) | (low! & 0x7fff)).toBeGreaterThan(type === "F16" ? 0x7c00 : 0x7f80);
  });
});

describe("what a type can't hold is refused with the weight's name", () => {
  const withOne = (value: number) => Float32Array.from({ length: 32 }, (_, i) => (i === 3 ? value : 1));

  test("a number beyond float16, as itself or as a block's scale", () => {
    expect(messageOf(() => encode("F16", withOne(65520)))).toMatchInlineSnapshot(
      `"CheckpointError: The weight "w" holds 65520, which is beyond what F16 can store. Export it as bf16 or f32."`,
    );
    expect(() => encode("Q4_0", withOne(-8 * 65520))).toThrow("beyond what Q4_0 can store");
    expect(() => encode("Q8_0", withOne(127 * 65520))).toThrow("beyond what Q8_0 can store");
    expect(encode("F16", withOne(65519.99)).length).toBe(64);
  });

  test("a number that is none, in block formats", () => {
    expect(messageOf(() => encode("Q4_0", withOne(Number.NaN)))).toMatchInlineSnapshot(
      `"CheckpointError: The weight "w" holds NaN, which Q4_0 can't store. The model is damaged, or its training diverged."`,
    );
    expect(() => encode("Q8_0", withOne(Number.POSITIVE_INFINITY))).toThrow("can't store");
  });
});
