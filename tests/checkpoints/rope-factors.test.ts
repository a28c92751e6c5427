import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fitLlama3Scaling } from "../../src/checkpoints/rope-factors.ts";

describe("Llama 3's RoPE scaling is recovered from the divisors that a GGUF file holds", () => {
  /** transformers' llama3 rule, as llama.cpp's converter applies it. */
  function divisors(
    factor: number,
    low: number,
    high: number,
    original: number,
    theta: number,
    headDim: number,
  ): Float32Array {
    return Float32Array.from({ length: headDim / 2 }, (_, i) => {
      const wavelength = 2 * Math.PI * theta ** ((2 * i) / headDim);
      if (wavelength < original / high) return 1;
      if (wavelength > original / low) return factor;
      const smooth = (original / wavelength - low) / (high - low);
      return 1 / ((1 - smooth) / factor + smooth);
    });
  }

  test.each([
    ["Llama 3.1 8B", 8, 128],
    ["Llama 3.2 1B", 32, 64],
    ["Llama 3.2 3B", 32, 128],
  ])("%s", (_, factor, headDim) => {
    expect(fitLlama3Scaling(divisors(factor, 1, 4, 8192, 500000, headDim), 500000, headDim)).toEqual({
      rope_type: "llama3",
      factor,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8192,
    });
  });

  test("any parameters are recovered up to the scale that cancels", () => {
    const parameters = fc.record({
      factor: fc.integer({ min: 2, max: 64 }),
      high: fc.integer({ min: 3, max: 16 }),
      original: fc.integer({ min: 1024, max: 32768 }),
    });
    fc.assert(
      fc.property(parameters, ({ factor, high, original }) => {
        const stored = divisors(factor, 1, high, original, 500000, 128);
        const fitted = fitLlama3Scaling(stored, 500000, 128) as Record<string, number>;
        const again = divisors(
          fitted.factor!,
          fitted.low_freq_factor!,
          fitted.high_freq_factor!,
          fitted.original_max_position_embeddings!,
          500000,
          128,
        );
        for (const [i, value] of again.entries()) expect(Math.abs(value - stored[i]!)).toBeLessThan(2e-4 * value);
      }),
    );
  });

  test("divisors of 1 are no scaling; others that no parameters give are refused", () => {
    expect(fitLlama3Scaling(new Float32Array(32).fill(1), 10000, 64)).toBeNull();
    expect(
      fitLlama3Scaling(
        Float32Array.from({ length: 32 }, (_, i) => 1 + i),
        10000,
        64,
      ),
    ).toBeUndefined();
    expect(fitLlama3Scaling(new Float32Array(16).fill(8), 10000, 64)).toBeUndefined();
  });
});
