/** Hugging Face model folders: opened for reading, and written whole or not at all. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import type { FilesElsewhere } from "./bytes.ts";
import type { Checkpoint, Json, JsonObject, TokenizerFiles } from "./checkpoint.ts";
import { RandomAccessFile, readWholeFile, writeFileWhole } from "./files.ts";
import { writeFolderWhole } from "./folders.ts";
import { openModelFiles } from "./model-files.ts";
import { type FloatType, type SafetensorsOptions, type TensorSource, writeSafetensors } from "./safetensors-writer.ts";

/** Opens a model folder. Throws CheckpointError when a file is missing, broken, or disagrees with another. */
export function openFolder(folder: string, elsewhere: FilesElsewhere = new Map()): Checkpoint {
  const path = (name: string) => join(folder, name);
  return openModelFiles({
    source: folder,
    path,
    names: () => readdirSync(folder),
    has: (name) => elsewhere.has(path(name)) || existsSync(path(name)),
    read: (name) => readWholeFile(path(name)),
    open: (name) => elsewhere.get(path(name)) ?? new RandomAccessFile(path(name)),
  });
}

/** A model on its way into a folder. */
export interface FolderContents {
  readonly config: JsonObject;
  readonly generationConfig?: JsonObject;
  readonly tokenizer: TokenizerFiles;
  readonly tensors: readonly TensorSource[];
  /** Further text files by name, a model card for instance. */
  readonly files?: Readonly<Record<string, string>>;
}

/** PyTorch's names of the storage types. */
const DTYPES: Readonly<Record<FloatType, string>> = { F32: "float32", F16: "float16", BF16: "bfloat16" };

/**
 * Writes a Hugging Face model folder, whole or not at all, its weights in float32 where no other storage type is asked for.
 * Throws CheckpointError when `folder` exists and is not empty, or for a weight that the storage type can't hold.
 */
export function writeCheckpoint(folder: string, contents: FolderContents, options: SafetensorsOptions = {}): void {
  const dtype = DTYPES[options.storage ?? "F32"];
  const { config, generationConfig, tokenizer, tensors, files = {} } = contents;
  const { chat_template: _, ...tokenizerConfig } = tokenizer.config;
  const withTemplate = tokenizer.chatTemplate === undefined ? tokenizer.config : tokenizerConfig;
  writeFolderWhole(folder, (temporary) => {
    const writeText = (name: string, text: string) =>
      writeFileWhole(join(temporary, name), (write) => write(new TextEncoder().encode(text)));
    const writeJson = (name: string, value: Json) => writeText(name, `${JSON.stringify(value, null, 2)}\n`);
    writeJson("config.json", { ...config, dtype, torch_dtype: dtype });
    if (generationConfig !== undefined) writeJson("generation_config.json", generationConfig);
    writeJson("tokenizer.json", tokenizer.tokenizer);
    writeJson("tokenizer_config.json", withTemplate);
    if (tokenizer.chatTemplate !== undefined) writeText("chat_template.jinja", tokenizer.chatTemplate);
    for (const [name, text] of Object.entries(files)) writeText(name, text);
    writeSafetensors(temporary, tensors, options);
  });
}
