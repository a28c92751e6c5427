// Writes docs/objectives.md from the objectives' definitions and from how near they came to TRL: npm run docs
import { readFileSync, writeFileSync } from "node:fs";
import { objectivesReference } from "../dist/cli/objectives-reference.js";

const parity = new URL("../tests/golden/parity/objectives-distance.json", import.meta.url);
const text = await objectivesReference(JSON.parse(readFileSync(parity, "utf8")));
writeFileSync(new URL("objectives.md", import.meta.url), text);
