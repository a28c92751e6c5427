/** `preftune push`: a run's result with its model card to the hub. */

import { z } from "zod";
import { runReport } from "../../dashboard/report.ts";
import { HubError } from "../../errors.ts";
import { publishRun } from "../../training/directory/publish.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { hubOn } from "../hub.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings } from "../settings.ts";
import { Screen } from "../terminal/screen.ts";

const schema = z.strictObject({
  run: z.string().min(1).describe("the folder of a finished run, whose result is pushed"),
  repo: z.string().min(1).describe("the model's name on the hub, org/name; made if there is none"),
  private: z.boolean().default(false).describe("make it for you alone, if it is made"),
  baseModel: z
    .string()
    .min(1)
    .optional()
    .describe("name of the base model on the hub, if the run was made from a local one"),
  report: z
    .boolean()
    .default(false)
    .describe("add the run's report, linked in the card; texts of held-out rows and samples are in it"),
});

export const pushCommand: CommandDefinition<typeof schema> = {
  name: "push",
  summary: "Upload a run's result with its model card to the Hugging Face hub",
  description:
    "Needs a token that may write, in HF_TOKEN or where huggingface-cli login puts it. Paths of this machine are left out of the card.",
  schema,
  groups: { Hub: { run: "folder", repo: "org/name", private: true, baseModel: "org/name", report: true } },
  examples: [
    "preftune push --run runs/first --repo me/SmolLM2-135M-films --private",
    "preftune push --run runs/first --repo me/SmolLM2-135M-films --report",
  ],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const settings = checkSettings(schema, flags, given);
  const screen = new Screen(io.stderr);
  using interruption = watchInterrupt(() => io.stderr.write("\npreftune: stopping.\n"));
  const { signal } = interruption;
  try {
    const { page } = await publishRun({
      ...settings,
      // Without the flag it is as the account's or the organization's owner has set it.
      private: settings.private || undefined,
      report: settings.report ? () => runReport(settings.run) : undefined,
      ...hubOn(screen),
      signal,
    });
    io.stdout.write(`${page}\n`);
    return 0;
  } catch (error) {
    if (!(error instanceof HubError) || !signal.aborted) throw error;
    io.stderr.write("preftune: stopped; nothing is committed.\n");
    return interruption.exitCode ?? 1;
  } finally {
    screen.clearStatus();
  }
}
