/** Texts and numbers as the terminal shows them: widths in cells, line breaks, units. */

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as numbers from "../../src/cli/terminal/numbers.ts";
import { clip, printable, textWidth, wrap } from "../../src/cli/terminal/text.ts";

describe("text in cells", () => {
  test.each([
    ["plain", 5],
    ["naïve", 5],
    ["nai\u0308ve", 5],
    ["日本語", 6],
    ["한국어", 6],
    ["👍🏽", 2],
    ["👨‍👩‍👧", 2],
    ["❤️", 2],
    ["…│—", 3],
    ["", 0],
  ])("%s takes %i", (text, width) => {
    expect(textWidth(text)).toBe(width);
  });

  test("a wrapped text has no line wider than asked, and loses nothing but white space", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme", maxLength: 80 }), fc.integer({ min: 2, max: 30 }), (text, width) => {
        const lines = wrap(text, width);
        for (const line of lines) expect(textWidth(line)).toBeLessThanOrEqual(width);
        expect(lines.join("").replace(/\s/g, "")).toBe(printable(text).replace(/\s/g, ""));
      }),
    );
  });

  test("lines break between words, and keep their own breaks", () => {
    expect(wrap("A film that I would\nsee again.", 12)).toEqual(["A film that", "I would", "see again."]);
    expect(wrap("extraordinarily", 6)).toEqual(["extrao", "rdinar", "ily"]);
    expect(wrap("one\n\ntwo", 10)).toEqual(["one", "", "two"]);
  });

  test("a clipped line fits, and says that something is missing", () => {
    expect(clip("a long line", 6)).toBe("a lon…");
    expect(clip("a long line", 11)).toBe("a long line");
    expect(clip("日本語", 4)).toBe("日…");
    expect(clip("x", 0)).toBe("");
  });

  test("what a model writes can't steer the terminal", () => {
    expect(printable("a\u001b[31mred\u0007\r\nb\tc\u202e")).toBe("a\ufffd[31mred\ufffd\nb  c\ufffd");
  });
});

describe("numbers", () => {
  test("as people read them", () => {
    expect([812, 260_032, 4_884_480, 134_515_008, 1.24e9].map(numbers.formatMagnitude)).toEqual([
      "812",
      "260K",
      "4.9M",
      "135M",
      "1.2B",
    ]);
    expect([1.2e9, 345e6, 2e5].map(numbers.formatBytes)).toEqual(["1.2 GB", "345 MB", "1 MB"]);
    expect([0.4, 59.6, 250, 3599, 3600, 7502].map(numbers.formatDuration)).toEqual([
      "0 s",
      "1 min 00 s",
      "4 min 10 s",
      "59 min 59 s",
      "1 h 00 min",
      "2 h 05 min",
    ]);
    expect([0.0041, 0.062, 0.39, 2.412, 12.44, 150.2].map(numbers.formatRate)).toEqual([
      "0.0041",
      "0.062",
      "0.39",
      "2.41",
      "12.4",
      "150",
    ]);
    expect([0.1134, -0.02, -0.0001, 0].map((x) => numbers.formatSigned(x))).toEqual([
      "+0.113",
      "-0.020",
      "0.000",
      "0.000",
    ]);
    expect([5e-5, 1e-6, 0.1, 0.001].map(numbers.formatSetting)).toEqual(["5e-5", "1e-6", "0.1", "0.001"]);
  });
});
