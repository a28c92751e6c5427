/** `preftune report`: a run as one page that needs nothing else. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { runReport } from "../../dashboard/report.ts";
import { readRunConfig } from "../../training/directory/run-directory.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { checkSettings } from "../settings.ts";
import { WholeFile } from "../whole-file.ts";

const schema = z.strictObject({
  run: z.string().min(1).describe("the folder of a run, ended or not"),
  output: z.string().min(1).optional().describe("the page to write; report.html in the run's folder if not given"),
});

export const reportCommand: CommandDefinition<typeof schema> = {
  name: "report",
  summary: "Write a run's charts, samples and settings as one HTML page",
  description:
    "The page holds all it shows and asks for nothing else, so it can be sent or kept. Files of this machine are named in it without their folders.",
  schema,
  groups: { Report: { run: "folder", output: "file" } },
  word: "run",
  examples: ["preftune report runs/first", "preftune report runs/first --output first.html"],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const settings = checkSettings(schema, flags, given);
  const { run: folder, output = join(folder, "report.html") } = settings;
  // What has metrics but no settings is shown as well; a model's folder, which has settings of its own, is no run.
  const has = (name: string) => existsSync(join(folder, name));
  if (has("config.json") && !has("metrics.jsonl")) readRunConfig(folder);
  const page = await runReport(folder);
  using file = new WholeFile("--output", output);
  file.write(page);
  file.complete();
  io.stdout.write(`${output}\n`);
  return 0;
}
