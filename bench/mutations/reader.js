// Reads mutated files of one run, number FROM to TO, and says on standard output what it begins and what was wrong.
//   node bench/mutations/reader.js DIST SEED FROM TO FOLDER
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { mutated, randomFrom } from "./mutate.js";
import { targetsOf, verdictOf, writeTarget } from "./targets.js";

const [dist, seed, from, to, folder] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(dist, path)).href);
const library = Object.assign(
  {},
  ...(await Promise.all(
    [
      "checkpoints/open.js",
      "checkpoints/peft.js",
      "models/index.js",
      "text/tokenizer.js",
      "data/load.js",
      "data/files/read.js",
      "errors.js",
    ].map(load),
  )),
);
const targets = targetsOf(library);
const isRefusal = (error) => error instanceof library.PreftuneError;
const say = (message) => process.stdout.write(`${JSON.stringify(message)}\n`);

for (const [i, target] of targets.entries()) {
  const home = join(folder, String(i));
  mkdirSync(home, { recursive: true });
  writeTarget(home, target);
}
for (let number = Number(from); number < Number(to); number++) {
  const i = number % targets.length;
  const target = targets[i];
  const home = join(folder, String(i));
  const path = join(home, target.mutated);
  const bytes = mutated(target.files[target.mutated], randomFrom(Number(seed) * 1_000_003 + number), target.isText);
  writeFileSync(path, bytes);
  say({ begin: number, target: target.name });
  const start = performance.now();
  const wrong = await verdictOf(target, home, isRefusal);
  const milliseconds = performance.now() - start;
  say({ end: number, target: target.name, wrong, milliseconds, peak: process.resourceUsage().maxRSS / 1000 });
}
process.exit();
