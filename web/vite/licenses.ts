/**
 * Puts `licenses.txt` beside the pages: whose work is in them, and under which terms. A package that gets into a page without being
 * listed here fails the build.
 */

import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";

const PACKAGES = [
  "@bufbuild/protobuf",
  "@fontsource-variable/source-sans-3",
  "@fontsource/source-serif-4",
  "@huggingface/jinja",
  "@huggingface/tokenizers",
  "clsx",
  "katex",
  "onnxruntime-web",
  "svelte",
  "uplot",
  "zod",
];
const MODULES = fileURLToPath(new URL("../../node_modules/", import.meta.url));

export function licenses(): Plugin {
  return {
    name: "licenses",
    apply: "build",
    generateBundle(_, bundle) {
      const modules = Object.values(bundle).flatMap((file) => (file.type === "chunk" ? file.moduleIds : []));
      const used = modules.flatMap((id) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(id)?.[1] ?? []);
      const missing = used.find((name) => !PACKAGES.includes(name));
      if (missing) throw new Error(`${missing} is in a page: list it in web/vite/licenses.ts`);
      const source = PACKAGES.map(describe).join(`\n${"-".repeat(80)}\n\n`);
      this.emitFile({ type: "asset", fileName: "licenses.txt", source });
    },
  };
}

function describe(name: string): string {
  const folder = `${MODULES}${name}/`;
  const { version, license, repository, homepage } = JSON.parse(readFileSync(`${folder}package.json`, "utf8"));
  const place = homepage ?? repository?.url ?? repository ?? "";
  const file = readdirSync(folder).find((entry) => /^licen[sc]e(\.\w+)?$/i.test(entry));
  const text = file ? `\n${readFileSync(folder + file, "utf8").trim()}\n` : "";
  return `${name} ${version}, ${license}\n${place}\n${text}`;
}
