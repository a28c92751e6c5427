/**
 * A model as one GGUF file. From a GGUF file its metadata is carried over as it stands; from a Hugging Face folder it is made of
 * config.json and the tokenizer's files.
 */

import { existsSync, mkdirSync, statSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { systemReason } from "../checkpoints/files.ts";
import { type GgufEntries, type GgufEntry, naturalEntry, readEntries, textEntry } from "../checkpoints/gguf-entries.ts";
import { partNames } from "../checkpoints/gguf-parts.ts";
import { type GgufTensorSource, writeGguf } from "../checkpoints/gguf-writer.ts";
import { holdsRows, type WritableType } from "../checkpoints/quantize.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import { CheckpointError } from "../errors.ts";
import type { LanguageModel } from "../models/model.ts";
import { ggufLayout } from "./gguf-layout.ts";
import { tokenizerEntries } from "./gguf-tokenizer.ts";

/** llama.cpp's numbers of what most tensors are stored as, `general.file_type`. */
const FILE_TYPES: Readonly<Record<WritableType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 7, BF16: 32 };

/** How the block formats pack their values: the version that ggml has had since 2023. */
const QUANTIZATION_VERSION = 2;

/** What says how the source's tensors were stored, cut up or quantized, which is not how they will be. */
const OF_THE_SOURCE_FILE = /^(general\.(file_type|quantization_version|alignment)|split\.|quantize\.)/;

interface GgufExport {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  /** The model's weights as they shall be. */
  readonly tensors: readonly TensorSource[];
  readonly storage: WritableType;
}

/**
 * Writes the file, whole or not at all. Norms, biases and learned positions stay float32; where `storage` is Q4_0 embedding and output head are Q8_0; rows
 * that are not whole blocks are float16. Throws CheckpointError for what GGUF can't express and for a file that is there already.
 */
export function exportGguf(output: string, { checkpoint, model, tensors, storage }: GgufExport): void {
  refuseExistingFile(output);
  const layout = ggufLayout(checkpoint.config, model, tensors);
  const metadata = new Map([
    ...metadataOf(checkpoint, model, layout.metadata),
    ["general.file_type", naturalEntry(FILE_TYPES[storage])],
    ["general.quantization_version", naturalEntry(QUANTIZATION_VERSION)],
  ]);
  const stored = layout.tensors.map((tensor) => ({ ...tensor, storage: storageOf(tensor, storage) }));
  try {
    mkdirSync(dirname(resolve(output)), { recursive: true });
    writeGguf(output, metadata, stored);
  } catch (error) {
    const fromSystem = error instanceof Error && "syscall" in error;
    throw fromSystem ? new CheckpointError(`${output}: can't be written (${systemReason(error)}).`) : error;
  }
}

/** Throws CheckpointError for a file that is there already. */
export function refuseExistingFile(path: string): void {
  if (existsSync(path)) throw new CheckpointError(`${path}: is there already; choose another name or remove it first.`);
}

function metadataOf(checkpoint: Checkpoint, model: LanguageModel, settings: GgufEntries): Map<string, GgufEntry> {
  if (statSync(checkpoint.source).isFile()) {
    // Of a split file the first part has the metadata, whichever was given.
    const [first] = partNames(checkpoint.source) ?? [checkpoint.source];
    return new Map([...readEntries(first!)].filter(([key]) => !OF_THE_SOURCE_FILE.test(key)));
  }
  return new Map([
    ...settings,
    ["general.name", textEntry(basename(resolve(checkpoint.source)))],
    ...tokenizerEntries(checkpoint.tokenizer, model.vocabularySize, settings),
    ...endOfTurn(checkpoint),
  ]);
}

/** The token besides the tokenizer's own that ends a generation. */
function endOfTurn({ generationConfig, config }: Checkpoint): [string, GgufEntry][] {
  const named = generationConfig?.eos_token_id ?? config.eos_token_id;
  const other = Array.isArray(named) ? named[1] : undefined;
  return typeof other === "number" ? [["tokenizer.ggml.eot_token_id", naturalEntry(other)]] : [];
}

function storageOf({ name, shape }: TensorSource, wanted: WritableType): GgufTensorSource["storage"] {
  if (shape.length < 2 || name === "position_embd.weight") return "F32";
  const isVocabulary = name === "token_embd.weight" || name === "output.weight";
  const storage = wanted === "Q4_0" && isVocabulary ? "Q8_0" : wanted;
  return holdsRows(storage, shape.at(-1)!) ? storage : "F16";
}
