// Writes docs/cli.md from the command line's own definitions: npm run docs
import { writeFileSync } from "node:fs";
import { cliReference } from "../dist/cli/reference.js";

writeFileSync(new URL("cli.md", import.meta.url), cliReference());
