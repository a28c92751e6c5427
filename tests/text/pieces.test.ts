/** The pieces of a text: one a token, which join to it to the letter and never hold a part of a character. */

import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { TokenPieces, trimPieces } from "../../src/text/pieces.ts";
import { type Tokenizer, tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { sharedMissing } from "../support/shared.ts";
import { byteFiles, smollm2, stories260K } from "./tokenizers.ts";

const bytes = tokenizerFromFiles(byteFiles({}));

/** The text of tokens after a context, and the pieces that it is of. */
function piecesOf(tokenizer: Tokenizer, ids: Int32Array, context: ArrayLike<number> = []) {
  const text = tokenizer.decodeAfter(Array.from(context), ids, { skipSpecialTokens: true });
  return { text, pieces: new TokenPieces(tokenizer).of(ids, text) };
}

const encode = (tokenizer: Tokenizer, text: string) => tokenizer.encode(text, { addSpecialTokens: false });

describe("a token a byte", () => {
  it("a character is the piece of its last byte", () => {
    const { pieces } = piecesOf(bytes, encode(bytes, "né 😀!"));
    expect(pieces).toEqual(["n", "", "é", " ", "", "", "", "😀", "!"]);
  });

  it("bytes that are no character are told where the text goes on, at the latest at its end", () => {
    const start = [...encode(bytes, "😀")].slice(0, 2);
    const { text, pieces } = piecesOf(bytes, Int32Array.from([...start, ...encode(bytes, "a"), ...start]));
    expect(text).toBe("\ufffda\ufffd");
    expect(pieces).toEqual(["", "", "\ufffda", "", "\ufffd"]);
  });

  it("a token that ends the text is an empty piece", () => {
    const { text, pieces } = piecesOf(bytes, Int32Array.from([...encode(bytes, "ab"), bytes.eosId!]));
    expect(text).toBe("ab");
    expect(pieces).toEqual(["a", "b", ""]);
  });

  it("no tokens have no pieces", () => {
    expect(piecesOf(bytes, new Int32Array(0)).pieces).toEqual([]);
  });
});

describe.each<[string, () => Tokenizer | Promise<Tokenizer>, boolean]>([
  ["a token a byte", () => bytes, false],
  ["SmolLM2's byte-level BPE, where ../shared is", smollm2, sharedMissing],
  ["a SentencePiece vocabulary with byte fallback, where ../shared is", stories260K, sharedMissing],
])("%s", (_, open, missing) => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    if (!missing) tokenizer = await open();
  });

  it.skipIf(missing)("pieces join to the text and hold whole characters", () => {
    fc.assert(
      fc.property(fc.string({ unit: "grapheme" }), fc.string({ unit: "grapheme" }), (before, after) => {
        const context = encode(tokenizer, before);
        const ids = encode(tokenizer, after);
        const { text, pieces } = piecesOf(tokenizer, ids, context);
        expect(pieces).toHaveLength(ids.length);
        expect(pieces.join("")).toBe(text);
        for (const piece of pieces) expect(piece).not.toMatch(/\p{Surrogate}/u);
      }),
      { numRuns: 200 },
    );
  });

  it.skipIf(missing)("pieces of any tokens join to what they decode to", () => {
    const tokens = fc.array(fc.nat({ max: tokenizer.vocabSize - 1 }), { maxLength: 30 });
    fc.assert(
      fc.property(tokens, tokens, (context, ids) => {
        const { text, pieces } = piecesOf(tokenizer, Int32Array.from(ids), context);
        expect(pieces).toHaveLength(ids.length);
        expect(pieces.join("")).toBe(text);
      }),
      { numRuns: 200 },
    );
  });

  it.skipIf(missing)("words have the space before them, also at the start of a completion", () => {
    const [context, ids] = [encode(tokenizer, "Once upon"), encode(tokenizer, "Once upon a time there was")];
    const { text, pieces } = piecesOf(tokenizer, ids.subarray(context.length), context);
    expect(text).toBe(" a time there was");
    const ends = pieces.map((__, i) => pieces.slice(0, i + 1).join(""));
    for (const word of [" a", " a time", " a time there"]) expect(ends).toContain(word);
  });
});

describe("without the white space around the text", () => {
  it.each([
    [
      ["  ", " a", " b ", "\n", ""],
      ["", "a", " b", "", ""],
    ],
    [
      [" ", "\n"],
      ["", ""],
    ],
    [["ab"], ["ab"]],
    [[], []],
  ])("%j becomes %j", (pieces, trimmed) => {
    expect(trimPieces(pieces)).toEqual(trimmed);
  });

  it("as many pieces join to the trimmed text", () => {
    fc.assert(
      fc.property(fc.array(fc.string({ unit: fc.constantFrom(" ", "\n", "a", "\u00a0", "") })), (pieces) => {
        const trimmed = trimPieces(pieces);
        expect(trimmed).toHaveLength(pieces.length);
        expect(trimmed.join("")).toBe(pieces.join("").trim());
      }),
    );
  });
});
