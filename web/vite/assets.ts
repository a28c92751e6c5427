/** Puts beside the pages what they load when a reader asks for it: the engine's files, and the embedded example. */

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import type { Plugin } from "vite";
import { engineFiles } from "../../src/runtime/web.ts";

const EXAMPLE = fileURLToPath(new URL("../../examples/film-reviews/", import.meta.url));
const EXAMPLE_FILES = [
  "model/config.json",
  "model/generation_config.json",
  "model/tokenizer.json",
  "model/tokenizer_config.json",
  "model/chat_template.jinja",
  "model/model.safetensors",
  "preferences.jsonl",
  "preferences-eval.jsonl",
];

export function assets(): Plugin {
  const engine = dirname(createRequire(import.meta.url).resolve("onnxruntime-web"));
  return {
    name: "assets",
    apply: "build",
    generateBundle() {
      const emit = (fileName: string, path: string) =>
        this.emitFile({ type: "asset", fileName, source: readFileSync(path) });
      for (const name of new Set(Object.values(engineFiles).flat())) emit(`engine/${name}`, `${engine}/${name}`);
      for (const name of EXAMPLE_FILES) emit(`film-reviews/${name}`, EXAMPLE + name);
    },
  };
}
