/**
 * A Hugging Face model as a set of named files, on disk or in memory: `config.json`, the tokenizer's files, and safetensors,
 * single or sharded. Reading checks that the index and the shards agree.
 */
import { CheckpointError } from "../errors.ts";
import { type ByteSource, bytesInMemory } from "./bytes.ts";
import type { Checkpoint, Json, JsonObject, TensorInfo, TokenizerFiles } from "./checkpoint.ts";
import { isJsonObject, parseJsonObject } from "./json.ts";
import { SafetensorsReader } from "./safetensors-reader.ts";

/** The files of a model. */
interface ModelFiles {
  /** The folder as the user named it, for messages. */
  readonly source: string;
  /** What messages call a file. */
  path(name: string): string;
  names(): readonly string[];
  has(name: string): boolean;
  /** The bytes of a small file. Throws CheckpointError where it can't be read. */
  read(name: string): Uint8Array;
  /** Opens a file of any size. Throws CheckpointError where it can't be read. */
  open(name: string): ByteSource;
}

/** Files in memory, by name; `source` is what messages call them together. */
export function filesInMemory(source: string, files: Readonly<Record<string, Uint8Array>>): ModelFiles {
  const path = (name: string) => `${source}/${name}`;
  const read = (name: string): Uint8Array => {
    if (!Object.hasOwn(files, name)) throw new CheckpointError(`${source}: has no ${name}.`);
    return files[name]!;
  };
  return {
    source,
    path,
    names: () => Object.keys(files),
    has: (name) => Object.hasOwn(files, name),
    read,
    open: (name) => bytesInMemory(path(name), read(name)),
  };
}

/** Opens a model. Throws CheckpointError when a file is missing, broken, or disagrees with another. */
export function openModelFiles(files: ModelFiles): Checkpoint {
  const { source } = files;
  if (!files.has("config.json")) {
    throw new CheckpointError(
      files.has("adapter_config.json")
        ? `${source}: holds a LoRA adapter; give the model that it belongs to, and this folder as the adapter.`
        : `${source}: has no config.json, so it is not a Hugging Face model folder.`,
    );
  }
  const config = readJson(files, "config.json");
  refuseRun(source, config);
  const generationConfig = files.has("generation_config.json") ? readJson(files, "generation_config.json") : undefined;
  const tokenizer = readTokenizerFiles(files);
  const shards = openShards(files);
  return new FilesCheckpoint(source, config, generationConfig, tokenizer, shards);
}

/** A run's folder has a config.json too, which names the method of training. */
function refuseRun(source: string, { model_type, method, model, tuning }: JsonObject): void {
  if (model_type !== undefined || typeof method !== "string") return;
  const give =
    tuning === "lora" && method !== "reward"
      ? `the model that it tunes (${String(model)}), and ${source}/adapter as the adapter`
      : `what comes of it, ${source}/model`;
  throw new CheckpointError(`${source}: is the folder of a run, not of a model. Give ${give}.`);
}

function readJson(files: ModelFiles, name: string): JsonObject {
  return parseJsonObject(files.read(name), `${files.path(name)}: the file`);
}

class FilesCheckpoint implements Checkpoint {
  readonly source: string;
  readonly config: JsonObject;
  readonly generationConfig?: JsonObject;
  readonly tokenizer: TokenizerFiles;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly unreadable: ReadonlyMap<string, string>;
  readonly #shards: readonly SafetensorsReader[];

  constructor(
    source: string,
    config: JsonObject,
    generationConfig: JsonObject | undefined,
    tokenizer: TokenizerFiles,
    shards: readonly SafetensorsReader[],
  ) {
    this.source = source;
    this.config = config;
    this.generationConfig = generationConfig;
    this.tokenizer = tokenizer;
    this.#shards = shards;
    this.tensors = new Map(shards.flatMap((shard) => [...shard.tensors]));
    this.unreadable = new Map(shards.flatMap((shard) => [...shard.unreadable]));
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

function readTokenizerFiles(files: ModelFiles): TokenizerFiles {
  const { source } = files;
  if (!files.has("tokenizer.json")) {
    throw new CheckpointError(
      `${source}: has no tokenizer.json. Save the tokenizer with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) into it.`,
    );
  }
  const config = files.has("tokenizer_config.json") ? readJson(files, "tokenizer_config.json") : {};
  const chatTemplate = files.has("chat_template.jinja")
    ? new TextDecoder().decode(files.read("chat_template.jinja"))
    : templateInConfig(config.chat_template);
  return { source, tokenizer: readJson(files, "tokenizer.json"), config, chatTemplate };
}

/** `tokenizer_config.json` holds one template as text, or several as `{name, template}` of which "default" is meant. */
function templateInConfig(value: Json | undefined): string | undefined {
  if (typeof value === "string") return value;
  if (!Array.isArray(value)) return undefined;
  const entry = value.find((item) => isJsonObject(item) && item.name === "default");
  return isJsonObject(entry) && typeof entry.template === "string" ? entry.template : undefined;
}

const SINGLE = "model.safetensors";
const INDEX = "model.safetensors.index.json";

function openShards(files: ModelFiles): SafetensorsReader[] {
  const { source } = files;
  if (files.has(SINGLE)) return [new SafetensorsReader(files.open(SINGLE))];
  if (files.has(INDEX)) return openIndexed(files);
  if (files.names().some((name) => /^pytorch_model.*\.bin(\.index\.json)?$/.test(name))) {
    throw new CheckpointError(
      `${source}: holds its weights as pytorch_model.bin, which can run code when it is read. Convert it to safetensors: load it with ` +
        "transformers and call model.save_pretrained(folder).",
    );
  }
  throw new CheckpointError(`${source}: has neither model.safetensors nor model.safetensors.index.json.`);
}

function openIndexed(files: ModelFiles): SafetensorsReader[] {
  const indexPath = files.path(INDEX);
  const weightMap = readJson(files, INDEX).weight_map;
  if (!isJsonObject(weightMap)) throw new CheckpointError(`${indexPath}: has no "weight_map" object.`);
  const shards = new Map<string, SafetensorsReader>();
  try {
    for (const [tensor, file] of Object.entries(weightMap)) {
      if (typeof file !== "string" || /[/\\]/.test(file)) {
        throw new CheckpointError(
          `${indexPath}: tensor ${JSON.stringify(tensor)} must name a file of the folder, not ${JSON.stringify(file)}.`,
        );
      }
      if (!files.has(file)) {
        throw new CheckpointError(
          `${files.source}: the shard ${file}, which the index names, is missing. Copy or download it too.`,
        );
      }
      const shard = shards.get(file) ?? new SafetensorsReader(files.open(file));
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

function refuseUnlisted(indexPath: string, weightMap: JsonObject, file: string, shard: SafetensorsReader): void {
  for (const tensor of shard.tensors.keys()) {
    if (!Object.hasOwn(weightMap, tensor) || weightMap[tensor] !== file) {
      throw new CheckpointError(
        `${indexPath}: does not place tensor ${JSON.stringify(tensor)} in ${file}, where it is.`,
      );
    }
  }
}
