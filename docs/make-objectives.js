// Writes docs/objectives.md from the objectives' definitions and from how near they came to TRL: npm run docs
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { objectivesReference } from "../dist/cli/objectives-reference.js";

const golden = new URL("../tests/golden/parity/", import.meta.url);
const files = readdirSync(golden).filter((name) => name.endsWith("-distance.json"));
const parity = files.sort().flatMap((name) => JSON.parse(readFileSync(new URL(name, golden), "utf8")));
writeFileSync(new URL("objectives.md", import.meta.url), await objectivesReference(parity));
