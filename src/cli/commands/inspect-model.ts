/** `preftune inspect model`: what a model is, and what training it will take. */

import { z } from "zod";
import { inspectModel, modelInspectionShape } from "../../inspection/model.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { hubOn } from "../hub.ts";
import { checkSettings } from "../settings.ts";
import { modelReportLines } from "../terminal/model-report.ts";
import { Screen } from "../terminal/screen.ts";

const schema = z.strictObject({
  ...modelInspectionShape,
  json: z.boolean().default(false).describe("print the report as one JSON object"),
});

export const inspectModelCommand: CommandDefinition<typeof schema> = {
  name: "inspect model",
  summary: "Show what a model is, and the memory and the time that training it will take",
  description:
    "Reads no weights. Memory is counted from the programs that a run would compute, time from their matrix products, each of " +
    "which is run on this machine for a moment; for DPO with a LoRA adapter on all linear layers, and of all weights.",
  schema,
  groups: {
    Model: { model: "path" },
    Estimates: {
      maxLength: "list",
      batchSize: true,
      microBatchTokens: true,
      loraRank: true,
      time: true,
      threads: true,
    },
    Report: { json: true },
  },
  word: "model",
  examples: [
    "preftune inspect model SmolLM2-135M-Instruct.gguf",
    "preftune inspect model my-model --max-length 512,2048 --batch-size 16 --json",
  ],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { json = false, ...settings } = checkSettings(schema, flags, given);
  const [report, screen] = [new Screen(io.stdout), new Screen(io.stderr)];
  const onStage = (stage: string) => screen.status(`estimating ${stage}`);
  const found = await inspectModel(settings, onStage, hubOn(screen)).finally(() => screen.clearStatus());
  if (json) report.print(JSON.stringify(found, null, 2));
  else report.print(...modelReportLines(found, report.width, report.paint));
  return 0;
}
