import { describe, expect, test } from "vitest";
import { preTokenizerNames, preTokenizerOf } from "../../src/checkpoints/gguf-pre-tokenizers.ts";
import { canExplode } from "../../src/text/repetition.ts";

describe("an expression whose work can double with every character is told by its form", () => {
  test.each([
    "(a+)+",
    "(a*)*b",
    "(?:a|a)*$",
    "(a|b?)+",
    "((a+))*",
    "(?i:x{1,})+y",
    "(a{2,5}){10,20}",
    "(?:(?:\\p{L}+)\\s?)*",
  ])("%s", (pattern) => expect(canExplode(pattern)).toBe(true));

  test.each([
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)?\\p{L}+",
    "\\s+(?!\\S)|\\s+",
    "[(a+)+]+",
    "\\(a+\\)+",
    "(ab)+",
    "(?:[sdmt]|ll|ve|re)",
    "(?:a|b){1,3}",
    " ?[^(\\s|[.,!?…])]+",
    "\\p{N}{1,3}",
  ])("but %s is harmless", (pattern) => expect(canExplode(pattern)).toBe(false));

  test("every tokenizer that is known by name is harmless", () => {
    const patterns = preTokenizerNames().flatMap((name) =>
      [...JSON.stringify(preTokenizerOf(name)).matchAll(/"Regex":("(?:[^"\\]|\\.)*")/g)].map(([, regex]) =>
        JSON.parse(regex!),
      ),
    );
    expect(patterns.length).toBeGreaterThan(10);
    expect(patterns.filter(canExplode)).toEqual([]);
  });
});
