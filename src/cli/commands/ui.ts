/** `preftune ui`: the dashboard of run directories, in the browser. */

import { existsSync, statSync } from "node:fs";
import { z } from "zod";
import { openBrowser } from "../../dashboard/open-browser.ts";
import { ConfigError } from "../../errors.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings } from "../settings.ts";

const schema = z.strictObject({
  runs: z
    .string()
    .min(1)
    .default("runs")
    .describe("the folder of runs, or one run; one that is not there yet is waited for"),
  port: z.number().int().min(1).max(65535).optional().describe("port on this machine; a free one if not given"),
  open: z.boolean().default(true).describe("open it in the browser (--no-open: print the address alone)"),
});

export const uiCommand: CommandDefinition<typeof schema> = {
  name: "ui",
  summary: "Watch runs in the browser, live, and compare them",
  description:
    "Shows every run below a folder: charts, samples, held-out rows, settings. Runs that go on or begin meanwhile appear by themselves. " +
    "Only this machine can reach it, and only by the address that is printed. Ctrl-C ends it; runs go on.",
  schema,
  groups: { Dashboard: { runs: "folder", port: true, open: true } },
  word: "runs",
  examples: ["preftune ui", "preftune ui runs/sweep --port 4000 --no-open"],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { runs, port, open } = schema.parse(checkSettings(schema, flags, given));
  if (existsSync(runs) && !statSync(runs).isDirectory()) {
    throw new ConfigError(`${runs} is a file. Give the folder of runs, or of one run.`);
  }
  using interruption = watchInterrupt(() => io.stdout.write("\n"));
  const { signal } = interruption;
  // The server's libraries would make every other command begin a tenth later.
  const { startDashboard } = await import("../../dashboard/server.ts");
  await using dashboard = await startDashboard({ folder: runs, port });
  io.stdout.write(`${runs} is shown at\n\n  ${dashboard.url}\n\nCtrl-C ends it.\n`);
  if (!existsSync(runs)) io.stdout.write(`${runs} is not there yet: runs appear as they begin.\n`);
  if (open) openBrowser(dashboard.url);
  if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve));
  return 0;
}
