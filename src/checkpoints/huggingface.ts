/**
 * Hugging Face model folders: `config.json`, the tokenizer's files, and safetensors, single or sharded. Reading checks that
 * the index and the shards agree; writing makes a folder that is whole or absent.
 */
import { existsSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import { CheckpointError } from "../errors.ts";
import type { Checkpoint, Json, JsonObject, TensorInfo, TokenizerFiles } from "./checkpoint.ts";
import { readWholeFile, writeFileWhole } from "./files.ts";
import { writeFolderWhole } from "./folders.ts";
import { isJsonObject, readJsonFile } from "./json.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { type FloatType, type SafetensorsOptions, type TensorSource, writeSafetensors } from "./safetensors-writer.ts";

/** Opens a model folder. Throws CheckpointError when a file is missing, broken, or disagrees with another. */
export function openFolder(folder: string): Checkpoint {
  const path = (name: string) => join(folder, name);
  if (!existsSync(path("config.json"))) {
    throw new CheckpointError(
      existsSync(path("adapter_config.json"))
        ? `${folder}: holds a LoRA adapter; give the model that it belongs to, and this folder as the adapter.`
        : `${folder}: has no config.json, so it is not a Hugging Face model folder.`,
    );
  }
  const config = readJsonFile(path("config.json"));
  const generationConfig = existsSync(path("generation_config.json"))
    ? readJsonFile(path("generation_config.json"))
    : undefined;
  const tokenizer = readTokenizerFiles(folder);
  const shards = openShards(folder);
  return new FolderCheckpoint(folder, config, generationConfig, tokenizer, shards);
}

class FolderCheckpoint implements Checkpoint {
  readonly source: string;
  readonly config: JsonObject;
  readonly generationConfig?: JsonObject;
  readonly tokenizer: TokenizerFiles;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #shards: readonly SafetensorsFile[];

  constructor(
    source: string,
    config: JsonObject,
    generationConfig: JsonObject | undefined,
    tokenizer: TokenizerFiles,
    shards: readonly SafetensorsFile[],
  ) {
    this.source = source;
    this.config = config;
    this.generationConfig = generationConfig;
    this.tokenizer = tokenizer;
    this.#shards = shards;
    this.tensors = new Map(shards.flatMap((shard) => [...shard.tensors]));
  }

  read(name: string): Float32Array<ArrayBuffer> {
    const shard = this.#shards.find((file) => file.has(name));
    if (shard === undefined) throw new CheckpointError(`${this.source}: has no tensor ${JSON.stringify(name)}.`);
    return shard.read(name);
  }

  [Symbol.dispose](): void {
    for (const shard of this.#shards) shard[Symbol.dispose]();
  }
}

function readTokenizerFiles(folder: string): TokenizerFiles {
  const path = (name: string) => join(folder, name);
  if (!existsSync(path("tokenizer.json"))) {
    throw new CheckpointError(
      `${folder}: has no tokenizer.json. Save the tokenizer with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) into it.`,
    );
  }
  const config = existsSync(path("tokenizer_config.json")) ? readJsonFile(path("tokenizer_config.json")) : {};
  const chatTemplate = existsSync(path("chat_template.jinja"))
    ? new TextDecoder().decode(readWholeFile(path("chat_template.jinja")))
    : templateInConfig(config.chat_template);
  return { source: folder, tokenizer: readJsonFile(path("tokenizer.json")), config, chatTemplate };
}

/** `tokenizer_config.json` holds one template as text, or several as `{name, template}` of which "default" is meant. */
function templateInConfig(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const entry = value.find((item) => isJsonObject(item) && item.name === "default");
  return isJsonObject(entry) && typeof entry.template === "string" ? entry.template : undefined;
}

function openShards(folder: string): SafetensorsFile[] {
  const single = join(folder, "model.safetensors");
  const index = join(folder, "model.safetensors.index.json");
  if (existsSync(single)) return [new SafetensorsFile(single)];
  if (existsSync(index)) return openIndexed(folder, index);
  if (readdirSync(folder).some((name) => /^pytorch_model.*\.bin(\.index\.json)?$/.test(name))) {
    throw new CheckpointError(
      `${folder}: holds its weights as pytorch_model.bin, which can run code when it is read. Convert it to safetensors: load it with ` +
        "transformers and call model.save_pretrained(folder).",
    );
  }
  throw new CheckpointError(`${folder}: has neither model.safetensors nor model.safetensors.index.json.`);
}

function openIndexed(folder: string, indexPath: string): SafetensorsFile[] {
  const weightMap = readJsonFile(indexPath).weight_map;
  if (!isJsonObject(weightMap)) throw new CheckpointError(`${indexPath}: has no "weight_map" object.`);
  const shards = new Map<string, SafetensorsFile>();
  try {
    for (const [tensor, file] of Object.entries(weightMap)) {
      if (typeof file !== "string" || file !== basename(file)) {
        throw new CheckpointError(
          `${indexPath}: tensor ${JSON.stringify(tensor)} must name a file of the folder, not ${JSON.stringify(file)}.`,
        );
      }
      if (!existsSync(join(folder, file))) {
        throw new CheckpointError(
          `${folder}: the shard ${file}, which the index names, is missing. Copy or download it too.`,
        );
      }
      const shard = shards.get(file) ?? new SafetensorsFile(join(folder, file));
      shards.set(file, shard);
      if (!shard.has(tensor)) {
        throw new CheckpointError(
          `${indexPath}: places tensor ${JSON.stringify(tensor)} in ${file}, but it is not there.`,
        );
      }
    }
    for (const [file, shard] of shards) refuseUnlisted(indexPath, weightMap, file, shard);
  } catch (error) {
    for (const shard of shards.values()) shard[Symbol.dispose]();
    throw error;
  }
  return [...shards.values()];
}

function refuseUnlisted(indexPath: string, weightMap: JsonObject, file: string, shard: SafetensorsFile): void {
  for (const tensor of shard.tensors.keys()) {
    if (!Object.hasOwn(weightMap, tensor) || weightMap[tensor] !== file) {
      throw new CheckpointError(
        `${indexPath}: does not place tensor ${JSON.stringify(tensor)} in ${file}, where it is.`,
      );
    }
  }
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
