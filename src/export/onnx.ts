/**
 * A model as the folder that transformers.js loads: config.json, the tokenizer's files and onnx/model.onnx, with the values of
 * large models in files beside it. Such a file is at most 2 GB, what a browser can hold in one piece.
 */

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Checkpoint, Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { writeFileWhole } from "../checkpoints/files.ts";
import { writeFolderWhole } from "../checkpoints/folders.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { encodedBytes, encodeInto } from "../checkpoints/quantize.ts";
import { elementCount, type TensorSource, valuesOf } from "../checkpoints/safetensors-writer.ts";
import { CheckpointError } from "../errors.ts";
import type { LanguageModel } from "../models/model.ts";
import { evaluateNode } from "../runtime/interpreter.ts";
import { stopTokens } from "../sampling/stop.ts";
import { type BoundInput, emitOnnx, onnxFused, optimize } from "../tensor/index.ts";
import { tokenizerFromFiles } from "../text/tokenizer.ts";
import { cachedDecoder } from "./onnx-program.ts";

interface OnnxExport {
  readonly checkpoint: Checkpoint;
  readonly model: LanguageModel;
  readonly tensors: readonly TensorSource[];
  readonly storage: "F32" | "F16";
  readonly card: string;
  /** Values of together at most so many bytes stand in the model's file itself; 64 MiB if not given. */
  readonly inlineBytes?: number;
  /** The largest file of values beside it; 2 GB if not given. */
  readonly maxFileBytes?: number;
}

const INLINE_BYTES = 2 ** 26;
const MAX_FILE_BYTES = 2e9;
/** Offsets are multiples of a page, so that a runtime can map the file. */
const PAGE = 4096;

/** transformers.js's names of the types, and the names of the files that it looks for. */
const KINDS = {
  F32: { dtype: "fp32", file: "model.onnx" },
  F16: { dtype: "fp16", file: "model_fp16.onnx" },
} as const;

/** Writes the folder, whole or not at all. Throws CheckpointError for a reward model, and when the folder exists and is not empty. */
export function exportOnnx(output: string, options: OnnxExport): void {
  const { checkpoint, model, tensors, storage, card } = options;
  if (model.scores === "reward") {
    throw new CheckpointError("ONNX: reward models can't be written, only language models. Use --format hf.");
  }
  const positions = exportedPositions(checkpoint.config, model);
  const tableRows = positions + firstPosition(checkpoint.config);
  const sources = [...tensors, ...rotarySources(model, tableRows)];
  const { dtype, file } = KINDS[storage];
  const total = sources.reduce((bytes, { shape }) => bytes + encodedBytes(storage, elementCount(shape)), 0);
  const { inlineBytes = INLINE_BYTES, maxFileBytes = MAX_FILE_BYTES } = options;
  const isSmall = total <= inlineBytes;
  const placed = isSmall ? inline(sources, storage) : place(sources, storage, `${file}_data`, maxFileBytes);
  const program = cachedDecoder(model, cacheShape(checkpoint.config, model), tableRows);
  const optimized = optimize(program, { fused: onnxFused, fold: evaluateNode });
  const { model: bytes } = emitOnnx(optimized, { bound: placed.bound });
  writeFolderWhole(output, (folder) => {
    const write = (name: string, data: Uint8Array) => writeFileWhole(join(folder, name), (sink) => sink(data));
    const writeText = (name: string, text: string) => write(name, new TextEncoder().encode(text));
    const writeJson = (name: string, value: Json) => writeText(name, `${JSON.stringify(value, null, 2)}\n`);
    mkdirSync(join(folder, "onnx"));
    write(join("onnx", file), bytes);
    for (const { name, parts } of placed.files) writeParts(join(folder, "onnx", name), parts, storage);
    writeJson("config.json", configOf(checkpoint, { dtype, positions, dataFiles: placed.files.length }));
    writeJson("generation_config.json", generationConfigOf(checkpoint));
    writeJson("tokenizer.json", checkpoint.tokenizer.tokenizer);
    writeJson("tokenizer_config.json", tokenizerConfigOf(checkpoint));
    writeText("README.md", card);
  });
}

/**
 * How many positions the exported model has. LongRoPE turns by other angles where a sequence is longer than those of the first training;
 * a table has one of the two, that for the shorter, so the model ends where they do.
 */
export function exportedPositions(config: JsonObject, model: LanguageModel): number {
  const { maxPositions } = model;
  const scaling = config.rope_parameters ?? config.rope_scaling;
  const inScaling = isJsonObject(scaling) ? scaling.original_max_position_embeddings : undefined;
  const original = Number(config.original_max_position_embeddings ?? inScaling ?? maxPositions);
  if (!(original < maxPositions)) return maxPositions;
  const [short, long] = [model.rotaryTables(original).cos, model.rotaryTables(maxPositions).cos];
  return short.every((x, i) => x === long[i]) ? maxPositions : original;
}

/** transformers.js counts positions from 0, and those of Gemma 3 from 1, which turns all of its tokens by one step more. */
function firstPosition({ model_type: family }: JsonObject): number {
  return family === "gemma3_text" || family === "gemma3" ? 1 : 0;
}

function rotarySources(model: LanguageModel, rows: number): TensorSource[] {
  const { cos, sin, width } = model.rotaryTables(rows);
  if (width === 0) return [];
  return Object.entries({ cos, sin }).map(([name, values]) => ({
    name: `rotary.${name}`,
    shape: [rows, width],
    read: () => values,
  }));
}

/** How the cache of a layer is made: heads of keys and values, and their width. */
export function cacheShape(config: JsonObject, model: LanguageModel): { heads: number; headDim: number } {
  const headDim = typeof config.head_dim === "number" ? config.head_dim : model.hiddenSize / model.attentionHeads;
  return { heads: model.cacheWidth / headDim, headDim };
}

interface DataFile {
  readonly name: string;
  readonly parts: readonly { readonly source: TensorSource; readonly offset: number }[];
}

interface Placed {
  readonly bound: ReadonlyMap<string, BoundInput>;
  readonly files: readonly DataFile[];
}

/** All values in the model. */
function inline(sources: readonly TensorSource[], storage: "F32" | "F16"): Placed {
  const type = typeOf(storage);
  const bound = new Map(
    sources.map((source) => {
      const pieces: Uint8Array[] = [];
      encodeInto((bytes) => pieces.push(bytes), source.name, valuesOf(source), storage);
      return [source.name, { type, values: Buffer.concat(pieces) }];
    }),
  );
  return { bound, files: [] };
}

/** All values in files beside the model, which are named as transformers.js looks for them. */
function place(sources: readonly TensorSource[], storage: "F32" | "F16", name: string, maxFileBytes: number): Placed {
  const type = typeOf(storage);
  const bound = new Map<string, BoundInput>();
  const files: { name: string; parts: { source: TensorSource; offset: number }[] }[] = [];
  let end = Number.POSITIVE_INFINITY;
  for (const source of sources) {
    const length = encodedBytes(storage, elementCount(source.shape));
    let offset = Math.ceil(end / PAGE) * PAGE;
    if (offset + length > maxFileBytes) {
      files.push({ name: files.length === 0 ? name : `${name}_${files.length}`, parts: [] });
      offset = 0;
    }
    const file = files.at(-1)!;
    file.parts.push({ source, offset });
    bound.set(source.name, { type, values: { location: file.name, offset, length } });
    end = offset + length;
  }
  return { bound, files };
}

const typeOf = (storage: "F32" | "F16"): BoundInput["type"] => (storage === "F32" ? "float32" : "float16");

function writeParts(path: string, parts: DataFile["parts"], storage: "F32" | "F16"): void {
  writeFileWhole(path, (write) => {
    let position = 0;
    for (const { source, offset } of parts) {
      write(new Uint8Array(offset - position));
      encodeInto(write, source.name, valuesOf(source), storage);
      position = offset + encodedBytes(storage, elementCount(source.shape));
    }
  });
}

/** What transformers.js needs to know besides: which file to load, and how many files of values it has. */
function configOf(
  { config }: Checkpoint,
  { dtype, positions, dataFiles }: { dtype: string; positions: number; dataFiles: number },
): JsonObject {
  const hints = { dtype, ...(dataFiles > 0 && { use_external_data_format: dataFiles }) };
  const length: JsonObject =
    typeof config.max_position_embeddings === "number" ? { max_position_embeddings: positions } : {};
  return { ...config, ...length, dtype: "float32", torch_dtype: "float32", "transformers.js_config": hints };
}

/** A generation ends where preftune's does: at the configuration's end tokens, and at the tokenizer's own. */
function generationConfigOf(checkpoint: Checkpoint): JsonObject {
  const ends = [...stopTokens(checkpoint, tokenizerFromFiles(checkpoint.tokenizer))];
  return { ...checkpoint.generationConfig, ...(ends.length > 0 && { eos_token_id: ends }) };
}

/** transformers.js reads the chat template here, and a tokenizer's class to know what it adds to a text. */
function tokenizerConfigOf({ tokenizer: { config, chatTemplate } }: Checkpoint): JsonObject {
  const settings = { tokenizer_class: "PreTrainedTokenizerFast", ...config };
  return chatTemplate === undefined ? settings : { ...settings, chat_template: chatTemplate };
}
