/** Equations as markup for `{@html}`. The build puts what KaTeX makes of them in the place of these calls (vite/equations.ts). */

function unset(_source: TemplateStringsArray): string {
  throw new Error("equations are set when the page is built");
}

/** An equation within a line. */
export const tex = unset;

/** An equation on a line of its own. */
export const display = unset;
