/**
 * Sets equations when the page is built: tex`...` (in a line) and display`...` (on its own) become the markup that KaTeX
 * makes of them, with MathML for screen readers. The reader's browser loads no typesetter, and TeX that is wrong fails the build.
 */

import katex from "katex";
import type { Plugin } from "vite";

const EQUATION = /\b(tex|display)`((?:[^`\\]|\\[\s\S])*)`/g;

export function equations(): Plugin {
  return {
    name: "equations",
    enforce: "pre",
    transform(code, id) {
      if (!/\.(svelte|svelte\.ts|ts)$/.test(id) || id.includes("node_modules") || !EQUATION.test(code)) return;
      return {
        code: code.replace(EQUATION, (_, kind, source) => JSON.stringify(set(source, kind === "display"))),
        map: null,
      };
    },
  };
}

/** Blackboard letters would have every reader load a font of 28 kB for the one that stands for an expectation. */
const MACROS = { "\\mathbb": "\\mathrm" };

function set(source: string, displayMode: boolean): string {
  return katex.renderToString(source, {
    displayMode,
    output: "htmlAndMathml",
    strict: "error",
    throwOnError: true,
    macros: { ...MACROS },
  });
}
