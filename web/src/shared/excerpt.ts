/** Lines of source files. The build puts what is there in the place of these calls (vite/excerpts.ts). */

export interface Excerpt {
  /** From the repository's root. */
  readonly path: string;
  /** Counted from 1. */
  readonly line: number;
  readonly text: string;
}

/** The first line of a file that has a text: excerpt`src/objectives/dpo.ts: softplus(neg(z))`. */
export function excerpt(_query: TemplateStringsArray): Excerpt {
  throw new Error("excerpts are taken when the page is built");
}
