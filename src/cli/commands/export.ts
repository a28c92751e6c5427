/** `preftune export`: a model with its adapter merged in, as a Hugging Face folder that needs nothing of preftune. */

import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { writeCheckpoint } from "../../checkpoints/huggingface.ts";
import { openCheckpoint } from "../../checkpoints/open.ts";
import { readAdapter } from "../../checkpoints/peft.ts";
import { ConfigError, RunError } from "../../errors.ts";
import { modelFor } from "../../models/index.ts";
import { mergedWeights } from "../../models/merge.ts";
import { readRunConfig, resultKind } from "../../training/run-directory.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { checkSettings } from "../settings.ts";
import { commandLine } from "../shell.ts";

const schema = z.strictObject({
  run: z.string().min(1).optional().describe("the folder of a finished run, whose result is exported"),
  model: z.string().min(1).optional().describe("a model: a Hugging Face folder or a .gguf file"),
  adapter: z.string().min(1).optional().describe("a PEFT adapter to merge into the model"),
  output: z.string().min(1).describe("the folder to write"),
});

export const exportCommand: CommandDefinition<typeof schema> = {
  name: "export",
  summary: "Write a run's result, or a model with an adapter, as one Hugging Face folder",
  description:
    "Weights are merged and written in float32, as safetensors. Give --run, or --model with or without --adapter.",
  schema,
  groups: { Files: { run: "folder", model: "path", adapter: "folder", output: "folder" } },
  examples: [
    "preftune export --run runs/first --output my-model",
    "preftune export --model SmolLM2-135M-Instruct.gguf --adapter runs/first/adapter --output my-model",
  ],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { output, ...sources } = checkSettings(schema, flags, given);
  const source = sourceOf(sources);
  using checkpoint = await openCheckpoint(source.model);
  const model = modelFor(checkpoint);
  const adapter = source.adapter === undefined ? undefined : readAdapter(source.adapter);
  const { config, generationConfig, tokenizer } = checkpoint;
  const tensors = mergedWeights(checkpoint, model, adapter);
  writeCheckpoint(output, { config, generationConfig, tokenizer, tensors });
  io.stdout.write(`${output}\n`);
  return 0;
}

interface Source {
  readonly model: string;
  readonly adapter?: string | undefined;
}

function sourceOf({ run, model, adapter }: { run?: string; model?: string; adapter?: string }): Source {
  if (run !== undefined && (model !== undefined || adapter !== undefined)) {
    throw new ConfigError("Give either --run, or --model and --adapter, not both.");
  }
  if (run !== undefined) return resultOf(run);
  if (model === undefined) throw new ConfigError("Give --run, or --model (with --adapter, where there is one).");
  return { model, adapter };
}

/** The model that a run has made. Throws RunError for a run that has not come to its end. */
function resultOf(run: string): Source {
  const config = readRunConfig(run);
  const kind = resultKind(config);
  const result = join(run, kind);
  if (!existsSync(result)) {
    const resume = commandLine("preftune", config.method, "--resume", "--output", run);
    throw new RunError(`${run} has no result yet. Finish the run with: ${resume}`);
  }
  return kind === "adapter" ? { model: config.model, adapter: result } : { model: result };
}
