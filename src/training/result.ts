/** What a finished run leaves: a PEFT adapter or a Hugging Face model, with a model card. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { writeCheckpoint } from "../checkpoints/huggingface.ts";
import { writeAdapter } from "../checkpoints/peft.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import { mergedWeights } from "../models/merge.ts";
import type { TrainingConfig } from "./config.ts";
import type { Metrics } from "./observer.ts";
import type { Policy } from "./policy.ts";
import { type RunDirectory, resultKind } from "./run-directory.ts";

/** Writes the result whole or not at all, and returns its folder. */
export function writeResult(
  run: RunDirectory,
  policy: Policy,
  checkpoint: Checkpoint,
  { config, before, after }: { config: TrainingConfig; before?: Metrics | undefined; after?: Metrics | undefined },
): string {
  const folder = run.resultFolder(config);
  const files = { "README.md": modelCard(config, before, after) };
  if (policy.adapter && resultKind(config) === "adapter") {
    writeAdapter(folder, { ...policy.adapter(), baseModel: config.model }, files);
  } else {
    const tensors = wholeWeights(policy, checkpoint);
    const { config: modelConfig, generationConfig, tokenizer } = checkpoint;
    writeCheckpoint(folder, { config: modelConfig, generationConfig, tokenizer, tensors, files });
  }
  return folder;
}

/** Every weight as trained: what is trained itself as it is, what has an adapter with it merged in. */
function wholeWeights({ model, trainable, adapter }: Policy, checkpoint: Checkpoint): TensorSource[] {
  return mergedWeights(checkpoint, model, adapter?.()).map((source) => {
    const trained = trainable.views.get(source.name);
    return trained ? { ...source, read: () => trained.data } : source;
  });
}

const TITLES: Readonly<Record<string, string>> = {
  adapter: "Adapter tuned on preferences",
  model: "Model tuned on preferences",
  reward: "Reward model of preferences",
  sft: "Fine-tuned on texts",
};

const HOW_TO_READ =
  "Loaded by transformers' `AutoModelForSequenceClassification`, its one logit is the reward: only differences between completions of the same " +
  "prompt mean something. It is read at a text's last token, so a completion must stand there with its end token and nothing after it " +
  "(many chat templates write a newline there: leave it out).";

function modelCard(config: TrainingConfig, before: Metrics | undefined, after: Metrics | undefined): string {
  const header = [
    "---",
    `base_model: ${JSON.stringify(config.model)}`,
    ...(resultKind(config) === "adapter" ? ["library_name: peft"] : ["library_name: transformers"]),
    ...(config.method === "reward" ? ["pipeline_tag: text-classification"] : []),
    `tags: [preftune, ${config.method}${config.method === "sft" ? "" : ", preference-tuning"}]`,
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
    `# ${TITLES[config.method] ?? TITLES[resultKind(config)]}`,
    "",
    `Tuned by preftune from \`${config.model}\` on \`${config.data.join("`, `")}\`.`,
    ...(config.sftFirst
      ? ["", "It was fine-tuned on the preferred completions first, and that is its reference."]
      : []),
    "",
    ...(config.method === "reward" ? [HOW_TO_READ, ""] : []),
    ...Object.entries(settings).map(([key, value]) => `- ${key}: ${value}`),
    ...(table.length > 0 ? ["", "| metric | before | after |", "|---|---|---|", ...table] : []),
    "",
  ].join("\n");
}
