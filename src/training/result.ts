/** What a finished run leaves: a PEFT adapter or a Hugging Face model, with a model card. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { writeCheckpoint } from "../checkpoints/huggingface.ts";
import { writeAdapter } from "../checkpoints/peft.ts";
import type { TrainingConfig } from "./config.ts";
import type { Metrics } from "./observer.ts";
import type { Policy } from "./policy.ts";
import type { RunDirectory } from "./run-directory.ts";

/** Writes the result whole or not at all, and returns its folder. */
export function writeResult(
  run: RunDirectory,
  policy: Policy,
  checkpoint: Checkpoint,
  { config, before, after }: { config: TrainingConfig; before?: Metrics | undefined; after?: Metrics | undefined },
): string {
  const folder = run.resultFolder(config.tuning);
  const files = { "README.md": modelCard(config, before, after) };
  if (policy.adapter) {
    writeAdapter(folder, { ...policy.adapter(), baseModel: config.model }, files);
  } else {
    const tensors = [...policy.trainable.views].map(([name, { dims, data }]) => ({
      name,
      shape: dims,
      read: () => data,
    }));
    const { config: modelConfig, generationConfig, tokenizer } = checkpoint;
    writeCheckpoint(folder, { config: modelConfig, generationConfig, tokenizer, tensors, files });
  }
  return folder;
}

function modelCard(config: TrainingConfig, before: Metrics | undefined, after: Metrics | undefined): string {
  const header = [
    "---",
    `base_model: ${JSON.stringify(config.model)}`,
    ...(config.tuning === "lora" ? ["library_name: peft"] : ["library_name: transformers"]),
    `tags: [preftune, ${config.method}, preference-tuning]`,
    "---",
  ];
  const { method, loss, objective, tuning, learningRate, batchSize, epochs, seed } = config;
  const settings = { method, loss: loss.join(", "), ...objective, tuning, learningRate, batchSize, epochs, seed };
  // Two training steps are of different pairs: only evaluations are before and after of the same.
  const keys = Object.keys(after ?? {}).filter((key) => key.startsWith("eval_") && before?.[key] !== undefined);
  const table = keys.map((key) => `| ${key} | ${before![key]!.toPrecision(4)} | ${after![key]!.toPrecision(4)} |`);
  return [
    ...header,
    "",
    `# ${config.tuning === "lora" ? "Adapter" : "Model"} tuned on preferences`,
    "",
    `Tuned by preftune from \`${config.model}\` on \`${config.data.join("`, `")}\`.`,
    "",
    ...Object.entries(settings).map(([key, value]) => `- ${key}: ${value}`),
    ...(table.length > 0 ? ["", "| metric | before | after |", "|---|---|---|", ...table] : []),
    "",
  ].join("\n");
}
