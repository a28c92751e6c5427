/** Models out: a run's result, or a model with or without an adapter, in the forms that other programs load. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { refuseTaken } from "../checkpoints/folders.ts";
import { writeCheckpoint } from "../checkpoints/huggingface.ts";
import { type LoraAdapter, readAdapter, writeAdapter } from "../checkpoints/peft.ts";
import type { WritableType } from "../checkpoints/quantize.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import { commandLine } from "../command-line.ts";
import { ConfigError, RunError } from "../errors.ts";
import { findModel, type HubOptions, resolveAdapter } from "../hub/index.ts";
import { type LanguageModel, modelFor } from "../models/index.ts";
import { mergedWeights, refuseForeignAdapter } from "../models/merge.ts";
import { parseSettings } from "../parse-settings.ts";
import { readRunConfig, resultKind } from "../training/directory/run-directory.ts";
import { availableMemory } from "../training/memory/available-memory.ts";
import { refuseLargeModel } from "../training/memory/memory-limit.ts";
import { exportedCard } from "./card.ts";
import { exportGguf, refuseExistingFile } from "./gguf.ts";
import { removeLeftovers } from "./leftovers.ts";
import { checkMerge, type MergeCheck } from "./merge-check.ts";
import { exportOnnx } from "./onnx.ts";

const path = z.string().min(1);

export const exportSchema = z.strictObject({
  run: path.optional().describe("the folder of a finished run, whose result is exported"),
  model: path.optional().describe("a model: a Hugging Face folder, a .gguf file, or a name on the hub"),
  adapter: path.optional().describe("a PEFT adapter to merge into the model"),
  format: z
    .enum(["hf", "peft", "gguf", "onnx"])
    .default("hf")
    .describe("a Hugging Face folder, the adapter alone, a GGUF file, or a folder for transformers.js"),
  dtype: z
    .enum(["f32", "f16", "bf16", "q8_0", "q4_0"])
    .optional()
    .describe("what weights are stored as; q8_0 and q4_0 for gguf; f32 if not given"),
  output: path.describe("the folder to write, or the .gguf file"),
  force: z.boolean().default(false).describe("merge even where the weights take more memory than there is"),
});

export type ExportOptions = z.input<typeof exportSchema>;
type Settings = z.output<typeof exportSchema>;
type Format = Settings["format"];
type Dtype = NonNullable<Settings["dtype"]>;

const STORAGE = { f32: "F32", f16: "F16", bf16: "BF16", q8_0: "Q8_0", q4_0: "Q4_0" } as const satisfies Record<
  Dtype,
  WritableType
>;

/** What each format can store weights as. */
const DTYPES: Readonly<Record<Format, readonly Dtype[]>> = {
  hf: ["f32", "f16", "bf16"],
  peft: ["f32"],
  gguf: ["f32", "f16", "bf16", "q8_0", "q4_0"],
  onnx: ["f32", "f16"],
};

const INSTEAD_OF_MERGING =
  "Merge it on a machine with more memory; --format peft exports the adapter alone, which needs none.";

export interface Exported {
  readonly output: string;
  /** How far the merged model is from the model with its adapter, where one was merged. */
  readonly merge?: MergeCheck;
}

/** Writes the model, whole or not at all. Throws ConfigError, CheckpointError, HubError, RunError. */
export async function exportModel(options: ExportOptions, hub: HubOptions = {}): Promise<Exported> {
  const settings = parseSettings(exportSchema, options);
  const dtype = dtypeOf(settings);
  const source = sourceOf(settings);
  if (settings.format === "gguf") refuseExistingFile(settings.output);
  else refuseTaken(settings.output);
  removeLeftovers(settings.output);
  const found = await findModel(source.model, hub);
  using checkpoint = found.checkpoint;
  const model = modelFor(checkpoint);
  const adapter =
    source.adapter === undefined ? undefined : readAdapter((await resolveAdapter(source.adapter, hub)).path);
  const { output, format, force } = settings;
  if (format === "peft") {
    exportAdapter(output, model, source, adapter);
    return { output };
  }
  // Without an adapter there is never more than one weight in memory.
  if (adapter && !force) refuseLargeModel(model, source.model, availableMemory(), INSTEAD_OF_MERGING);
  await found.fetchWeights();
  const weights = mergedWeights(checkpoint, model, adapter);
  // The check has them all in memory anyway, and merging takes as long as the rest.
  const tensors = adapter ? weights.map(remembered) : weights;
  const merge = adapter ? await checkMerge(checkpoint, model, adapter, tensors) : undefined;
  const write = WRITERS[format];
  write(output, { checkpoint, model, tensors, dtype, card: exportedCard({ ...source, format, dtype, merge }) });
  return { output, ...(merge && { merge }) };
}

/** The tensor, read once and then kept. */
function remembered(tensor: TensorSource): TensorSource {
  let values: Float32Array | undefined;
  return {
    ...tensor,
    read: () => {
      values ??= tensor.read();
      return values;
    },
  };
}

type Writer = (output: string, contents: Contents) => void;

interface Contents {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly tensors: readonly TensorSource[];
  readonly dtype: Dtype;
  readonly card: string;
}

function writeFolder(output: string, { checkpoint, tensors, dtype, card }: Contents): void {
  const { config, generationConfig, tokenizer } = checkpoint;
  const storage = STORAGE[dtype as "f32" | "f16" | "bf16"];
  writeCheckpoint(output, { config, generationConfig, tokenizer, tensors, files: { "README.md": card } }, { storage });
}

function writeGgufFile(output: string, { checkpoint, model, tensors, dtype }: Contents): void {
  exportGguf(output, { checkpoint, model, tensors, storage: STORAGE[dtype] });
}

function writeOnnxFolder(output: string, { dtype, ...contents }: Contents): void {
  exportOnnx(output, { ...contents, storage: STORAGE[dtype as "f32" | "f16"] });
}

const WRITERS: Readonly<Record<Exclude<Format, "peft">, Writer>> = {
  hf: writeFolder,
  gguf: writeGgufFile,
  onnx: writeOnnxFolder,
};

function exportAdapter(output: string, model: LanguageModel, source: Source, adapter: LoraAdapter | undefined): void {
  if (!adapter) {
    throw new ConfigError(
      `--format peft exports an adapter, and ${source.model} has none: all of its weights are its own. Use --format hf.`,
    );
  }
  refuseForeignAdapter(model, adapter);
  const card = source.card === undefined ? undefined : { "README.md": source.card };
  writeAdapter(output, { ...adapter, baseModel: adapter.baseModel ?? source.model }, card);
}

function dtypeOf({ format, dtype = "f32" }: Settings): Dtype {
  if (DTYPES[format].includes(dtype)) return dtype;
  throw new ConfigError(`--dtype ${dtype} can't be stored in --format ${format} (${DTYPES[format].join(", ")} can).`);
}

/** What is exported: a model, the adapter on it, and the model card that a run has written for its result. */
interface Source {
  readonly model: string;
  readonly adapter?: string | undefined;
  readonly card?: string | undefined;
}

function sourceOf({ run, model, adapter }: Settings): Source {
  if (run !== undefined && (model !== undefined || adapter !== undefined)) {
    throw new ConfigError("Give either --run, or --model and --adapter, not both.");
  }
  if (run !== undefined) return resultOf(run);
  if (model === undefined) throw new ConfigError("Give --run, or --model (with --adapter, where there is one).");
  return { model, adapter, card: cardIn(adapter) };
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
  const card = cardIn(result);
  return kind === "adapter" ? { model: config.model, adapter: result, card } : { model: result, card };
}

function cardIn(folder: string | undefined): string | undefined {
  const file = join(folder ?? "", "README.md");
  return folder !== undefined && existsSync(file) ? readFileSync(file, "utf8") : undefined;
}
