/**
 * Shows code as it is: excerpt`src/objectives/dpo.ts: softplus(neg(z))` becomes, when the page is built, the first line of that file
 * with that text, and its number. Where there is no such line the build fails, so that no figure shows code that is gone.
 */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const EXCERPT = /\bexcerpt`([^`:]+): ([^`]+)`/g;
const ROOT = fileURLToPath(new URL("../../", import.meta.url));

export function excerpts(): Plugin {
  return {
    name: "excerpts",
    enforce: "pre",
    transform(code, id) {
      if (!/\.(svelte|ts)$/.test(id) || id.includes("node_modules")) return;
      const found = code.replace(EXCERPT, (_, path, text) => {
        this.addWatchFile(ROOT + path);
        return JSON.stringify(find(path, text));
      });
      return found === code ? undefined : { code: found, map: null };
    },
  };
}

function find(path: string, text: string) {
  const lines = readFileSync(ROOT + path, "utf8").split("\n");
  const index = lines.findIndex((line) => line.includes(text));
  if (index < 0) throw new Error(`${path} has no line with: ${text}`);
  return { path, line: index + 1, text: lines[index]!.trim() };
}
