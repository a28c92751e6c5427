/** `preftune export`: a run's result, or a model with its adapter merged in, in a form that needs nothing of preftune. */

import { mergeSentence } from "../../export/card.ts";
import { exportModel, exportSchema } from "../../export/export.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { hubOn } from "../hub.ts";
import { checkSettings } from "../settings.ts";
import { Screen } from "../terminal/screen.ts";

export const exportCommand: CommandDefinition<typeof exportSchema> = {
  name: "export",
  summary: "Write a run's result, or a model with an adapter, for other programs to load",
  description:
    "Give --run, or --model with or without --adapter. An adapter is merged in float32 and the merged model compared with it; --format peft writes the adapter alone.",
  schema: exportSchema,
  groups: {
    Files: { run: "folder", model: "path", adapter: "folder", output: "path" },
    Format: { format: true, dtype: true },
    Machine: { force: true },
  },
  examples: [
    "preftune export --run runs/first --output my-model",
    "preftune export --run runs/first --format gguf --dtype q8_0 --output my-model.gguf",
    "preftune export --model SmolLM2-135M-Instruct.gguf --adapter runs/first/adapter --dtype bf16 --output my-model",
  ],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const hub = hubOn(new Screen(io.stderr));
  const { output, merge } = await exportModel(checkSettings(exportSchema, flags, given), hub);
  if (merge) io.stderr.write(`${mergeSentence(merge)}\n`);
  io.stdout.write(`${output}\n`);
  return 0;
}
