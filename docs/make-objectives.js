// Writes docs/objectives.md from the objectives' definitions and from how near they came to TRL: npm run docs
import { readFileSync, writeFileSync } from "node:fs";
import { objectivesReference } from "../dist/cli/objectives-reference.js";

const golden = new URL("../tests/golden/parity/", import.meta.url);
const suites = ["objectives", "sft", "reward"];
const parity = suites.flatMap((suite) => JSON.parse(readFileSync(new URL(`distance-${suite}.json`, golden), "utf8")));
writeFileSync(new URL("objectives.md", import.meta.url), await objectivesReference(parity));
