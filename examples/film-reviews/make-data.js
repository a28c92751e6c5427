// Writes the generated files of this folder again: `npm run build && node examples/film-reviews/make-data.js`.

import { mkdirSync, writeFileSync } from "node:fs";
import { exampleFiles } from "../../dist/demo/example-files.js";

mkdirSync(new URL("model/", import.meta.url), { recursive: true });
for (const [path, text] of Object.entries(exampleFiles())) {
  writeFileSync(new URL(path, import.meta.url), text);
  console.log(`examples/film-reviews/${path}: ${text.length} characters`);
}
