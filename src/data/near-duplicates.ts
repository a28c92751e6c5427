/**
 * Rows that nearly repeat an earlier one: edited, reformatted or sampled again. Two rows are alike where their prompts and completions
 * together share 80 % of their runs of three words (min-hash.ts), and so do their completions alone, each with that in its place: other
 * answers to the same prompt, and the same answers preferred the other way round, are not.
 */

import { describeOrigin, type Example, type RowOrigin } from "./example.ts";
import { hashOf } from "./hash.ts";
import { Signatures, signatureOf, signatureOfOne, union } from "./min-hash.ts";
import { plain, wordsOf } from "./repeats.ts";

/** Jaccard similarity of two rows' shingles from which they are called alike. */
export const ALIKE = 0.8;

interface Repeated {
  readonly earlier: RowOrigin;
  readonly similarity: number;
}

/** How like an earlier row a row is, in words: a similarity is an estimate. */
export function describeLikeness({ earlier, similarity }: Repeated): string {
  return `about ${Math.round(100 * similarity)} % of ${describeOrigin(earlier)}`;
}

export class NearDuplicates {
  private readonly signatures = new Signatures(2);
  private readonly origins: RowOrigin[] = [];

  /** The row among those that were kept that this one nearly repeats; or how to keep it. */
  find(examples: readonly Example[], origin: RowOrigin): Repeated | { keep(): void } {
    const answers = union(examples.flatMap(answersOf));
    const whole = union([answers, ...examples.map(({ prompt }) => signatureOfText(wordsOf(prompt), 0))]);
    const like = this.signatures.likest([whole, answers], ALIKE);
    if (like !== undefined) return { earlier: this.origins[like.place]!, similarity: like.similarity };
    const keep = () => {
      this.signatures.add([whole, answers]);
      this.origins.push(origin);
    };
    return { keep };
  }
}

/** Completions are like those in the same place, of the same label or rank. */
function answersOf({ completions, values }: Example): Int32Array[] {
  const standing = [values?.label ?? [], values?.rank ?? []].flat().join();
  return completions.map((content, i) => signatureOfText(wordsOf(content), hashOf(standing, String(i + 1))));
}

/** A text too short for a run of words is like itself alone, but for letter case and spaces. */
function signatureOfText(text: string, salt: number): Int32Array {
  return signatureOf(text, salt) ?? signatureOfOne(hashOf(String(salt), plain(text)));
}
