// Preloaded (node --import) into a process that is measured: its last line on standard error is its peak memory in bytes.
import { writeSync } from "node:fs";

process.on("exit", () => {
  writeSync(2, `\npeak ${process.resourceUsage().maxRSS * 1024}\n`);
});
