/** `preftune inspect data`: what is in files of rows, before anything is trained on them. */

import { z } from "zod";
import { dataInspectionShape, inspectData } from "../../inspection/data.ts";
import { dataReportPage } from "../../inspection/page.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { lengthFlags, rowFlags } from "../flag-groups.ts";
import { fetchNamed, hubOn } from "../hub.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings } from "../settings.ts";
import { dataReportLines } from "../terminal/data-report.ts";
import { formatCount } from "../terminal/numbers.ts";
import { Screen } from "../terminal/screen.ts";
import { WholeFile } from "../whole-file.ts";

const schema = z.strictObject({
  ...dataInspectionShape,
  json: z.boolean().default(false).describe("print the report as one JSON object"),
  html: z.string().min(1).optional().describe("write the report to this file as a page that needs nothing else"),
});

export const inspectDataCommand: CommandDefinition<typeof schema> = {
  name: "inspect data",
  summary: "Show rows as the model will see them, and what is wrong with them",
  description:
    "Reads all rows once and trains nothing: what is used, shortened and dropped, the first rows with their special and scored " +
    "tokens, how long rows are, and duplicates, contradictions, leaks, cut and broken texts, each with the lines and what to do.",
  schema,
  groups: {
    "Model and data": {
      model: "path",
      data: "files",
      evalData: "files",
      method: "name",
      ...rowFlags,
      pairs: true,
      score: true,
      limit: true,
      drop: "kinds",
      chat: true,
    },
    Length: lengthFlags,
    Report: { show: true, examples: true, json: true, html: "file" },
  },
  word: "data",
  examples: [
    "preftune inspect data pairs.jsonl --model SmolLM2-135M-Instruct.gguf --chat",
    "preftune inspect data --data train.jsonl --eval-data held-out.jsonl --model my-model --html report.html",
  ],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { json = false, html, ...settings } = checkSettings(schema, flags, given);
  const [report, screen] = [new Screen(io.stdout), new Screen(io.stderr)];
  // Begun first: where it can't be written, nothing is read for it.
  using page = html === undefined ? undefined : new WholeFile("--html", html);
  using interruption = watchInterrupt(() => {
    page?.[Symbol.dispose]();
    screen.clearStatus();
    process.exit(interruption.exitCode);
  });
  const hub = hubOn(screen);
  const onRows = (rows: number) => screen.status(`${formatCount(rows)} rows read`);
  const found = await inspectData(await fetchNamed(settings, hub), onRows, hub).finally(() => screen.clearStatus());
  page?.write(dataReportPage(found));
  page?.complete();
  if (json) report.print(JSON.stringify(found, null, 2));
  else report.print(...dataReportLines(found, report.width, report.paint), ...(html === undefined ? [] : ["", html]));
  return 0;
}
