/** What a finished run leaves: a PEFT adapter or a Hugging Face model, with a model card. */

import type { Checkpoint } from "../../checkpoints/checkpoint.ts";
import { writeCheckpoint } from "../../checkpoints/huggingface.ts";
import { licenseOf } from "../../checkpoints/license.ts";
import { writeAdapter } from "../../checkpoints/peft.ts";
import type { TensorSource } from "../../checkpoints/safetensors-writer.ts";
import { baseModelName } from "../../hub/index.ts";
import { mergedWeights } from "../../models/merge.ts";
import type { Policy } from "../policy/policy.ts";
import { type CardContents, modelCard } from "./model-card.ts";
import { onDisk, type RunDirectory, resultKind } from "./run-directory.ts";

/** Writes the result whole or not at all, and returns its folder. */
export function writeResult(
  run: RunDirectory,
  policy: Policy,
  checkpoint: Checkpoint,
  contents: Omit<CardContents, "license">,
): string {
  const { config } = contents;
  const folder = run.resultFolder(config);
  const license = licenseOf(checkpoint.source);
  const files = { "README.md": modelCard({ ...contents, license }) };
  onDisk(folder, () => {
    if (policy.adapter && resultKind(config) === "adapter") {
      writeAdapter(folder, { ...policy.adapter(), baseModel: baseModelName(config.model) }, files);
    } else {
      const tensors = wholeWeights(policy, checkpoint);
      const { config: modelConfig, generationConfig, tokenizer } = checkpoint;
      writeCheckpoint(folder, { config: modelConfig, generationConfig, tokenizer, tensors, files });
    }
  });
  return folder;
}

/** Every weight as trained: what is trained itself as it is, what has an adapter with it merged in. */
function wholeWeights({ model, trainable, adapter }: Policy, checkpoint: Checkpoint): TensorSource[] {
  return mergedWeights(checkpoint, model, adapter?.()).map((source) => {
    const trained = trainable.views.get(source.name);
    return trained ? { ...source, read: () => trained.data } : source;
  });
}
