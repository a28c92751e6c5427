/** A GGUF file, or the parts of one that was split, presented as the Hugging Face checkpoint that it was converted from. */
import { existsSync } from "node:fs";
import { CheckpointError } from "../errors.ts";
import type { ByteSource, FilesElsewhere } from "./bytes.ts";
import type { Checkpoint, JsonObject, TensorInfo, TokenizerFiles } from "./checkpoint.ts";
import { BLOCK_LAYOUTS } from "./dequantize.ts";
import { RandomAccessFile } from "./files.ts";
import { type GgufArchitecture, ggufArchitectures, huggingFaceTensor } from "./gguf-architectures.ts";
import { type GgufHeader, type GgufTensor, readGgufHeader } from "./gguf-header.ts";
import type { TensorLayout } from "./gguf-layouts.ts";
import { GgufMetadata } from "./gguf-metadata.ts";
import { partEnding, partNames } from "./gguf-parts.ts";
import { GgufSettings } from "./gguf-settings.ts";
import { ggufTokenizer } from "./gguf-tokenizer.ts";

/** Values dequantized from one read: a few MB, so that quantized bytes never take a tensor's size in memory. */
const CHUNK_VALUES = 2 ** 20;

/**
 * Opens a GGUF file; of a split one any part opens all. Throws CheckpointError before any weight is read where the file or its
 * architecture is not supported, or a part is missing.
 */
export function openGguf(path: string, elsewhere: FilesElsewhere = new Map()): Checkpoint {
  const files: ByteSource[] = [];
  const open = (part: string): GgufPart => {
    const file = elsewhere.get(part) ?? new RandomAccessFile(part);
    files.push(file);
    return { file, header: readGgufHeader(file) };
  };
  const has = (part: string) => elsewhere.has(part) || existsSync(part);
  try {
    return new GgufCheckpoint(path, openParts(path, has, open));
  } catch (error) {
    for (const file of files) file[Symbol.dispose]();
    throw error;
  }
}

interface GgufPart {
  readonly file: ByteSource;
  readonly header: GgufHeader;
}

/** The file alone, or all parts of a split one, the first first: it has the settings. */
function openParts(
  path: string,
  has: (path: string) => boolean,
  open: (path: string) => GgufPart,
): readonly GgufPart[] {
  const given = open(path);
  const count = new GgufMetadata(path, given.header.metadata).natural("split.count") ?? 1;
  if (count <= 1) return [given];
  const names = partNames(path);
  if (names?.length !== count) {
    throw new CheckpointError(
      `${path}: is one of ${count} parts, but its name does not say which; give it the name that it had, which ends in ${partEnding(1, count)}.`,
    );
  }
  const missing = names.find((name) => !has(name));
  if (missing !== undefined) {
    throw new CheckpointError(
      `${path}: is one of ${count} parts, and the part ${missing} is missing. Copy or download it too.`,
    );
  }
  const parts = names.map((name) => (name === path ? given : open(name)));
  checkParts(parts, count);
  return parts;
}

function checkParts(parts: readonly GgufPart[], count: number): void {
  const seen = new Set<string>();
  for (const [i, { file, header }] of parts.entries()) {
    const metadata = new GgufMetadata(file.path, header.metadata);
    const [no, own] = [metadata.natural("split.no"), metadata.natural("split.count")];
    if (no !== i || own !== count) {
      throw new CheckpointError(
        `${file.path}: says that it is part ${no === undefined ? "?" : no + 1} of ${own ?? "?"}, not ${i + 1} of ${count}; the parts are not of one model.`,
      );
    }
    for (const name of header.tensors.keys()) {
      if (seen.has(name))
        throw new CheckpointError(`${file.path}: tensor ${JSON.stringify(name)} is in another part too.`);
      seen.add(name);
    }
  }
  const first = parts[0]!;
  const expected = new GgufMetadata(first.file.path, first.header.metadata).natural("split.tensors.count");
  if (expected !== undefined && expected !== seen.size) {
    throw new CheckpointError(`${first.file.path}: the parts have ${seen.size} tensors together, not ${expected}.`);
  }
}

/** A tensor as a file has it, and how it lies there. */
interface StoredTensor {
  readonly file: ByteSource;
  readonly tensor: GgufTensor;
  readonly layout: TensorLayout | undefined;
}

class GgufCheckpoint implements Checkpoint {
  readonly source: string;
  readonly config: JsonObject;
  readonly generationConfig: JsonObject;
  readonly tokenizer: TokenizerFiles;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #parts: readonly GgufPart[];
  /** By Hugging Face name. */
  readonly #stored = new Map<string, StoredTensor>();

  constructor(source: string, parts: readonly GgufPart[]) {
    this.source = source;
    this.#parts = parts;
    const metadata = new GgufMetadata(source, parts[0]!.header.metadata);
    const architecture = architectureOf(metadata);
    const fileOf = new Map(
      parts.flatMap(({ file, header }) => [...header.tensors.values()].map((tensor) => [tensor, file] as const)),
    );
    const all = new Map([...fileOf.keys()].map((tensor) => [tensor.name, tensor]));
    const settings = new GgufSettings(metadata, architecture.name, all, (tensor) =>
      dequantizeTensor(fileOf.get(tensor)!, tensor),
    );
    this.config = architecture.config(settings);
    this.generationConfig = generationConfigOf(metadata);
    this.tokenizer = ggufTokenizer(metadata);
    const tensors = new Map<string, TensorInfo>();
    for (const [tensor, file] of fileOf) {
      const known = huggingFaceTensor(source, architecture, this.config, tensor.name);
      if (known === undefined) continue;
      const { name, layout } = known;
      refuseOtherRows(source, tensor, layout);
      const shape = layout?.transposes ? tensor.shape.toReversed() : tensor.shape;
      tensors.set(name, { name, shape, storage: tensor.storage });
      this.#stored.set(name, { file, tensor, layout });
    }
    this.tensors = tensors;
  }

  read(name: string): Float32Array<ArrayBuffer> {
    const stored = this.#stored.get(name);
    if (stored === undefined) throw new CheckpointError(`${this.source}: has no tensor ${JSON.stringify(name)}.`);
    const { file, tensor, layout } = stored;
    const values = dequantizeTensor(file, tensor);
    const [rows = 1, columns = 1] = tensor.shape;
    return layout ? layout.restore(values, rows, columns) : values;
  }

  [Symbol.dispose](): void {
    for (const { file } of this.#parts) file[Symbol.dispose]();
  }
}

function refuseOtherRows(source: string, { name, shape }: GgufTensor, layout: TensorLayout | undefined): void {
  if (layout?.rows === undefined || layout.rows === shape[0]) return;
  throw new CheckpointError(
    `${source}: tensor ${JSON.stringify(name)} has ${shape[0]} rows where the heads have ${layout.rows} together.`,
  );
}

function architectureOf(metadata: GgufMetadata): GgufArchitecture & { readonly name: string } {
  const name = metadata.require("general.architecture", metadata.text("general.architecture"));
  const architecture = Object.hasOwn(ggufArchitectures, name) ? ggufArchitectures[name] : undefined;
  if (architecture) return { ...architecture, name };
  throw new CheckpointError(
    `${metadata.source}: the architecture ${JSON.stringify(name)} is not supported in GGUF files (supported: ${Object.keys(ggufArchitectures).join(", ")})`,
  );
}

/** Tokens that end a text, a turn or a message wherever they are, as llama.cpp has it: many a chat model's file names its end of text alone. */
const ENDS: ReadonlySet<string> = new Set([
  "<|endoftext|>",
  "<|end_of_text|>",
  "<|im_end|>",
  "<|eot_id|>",
  "<|eom_id|>",
  "<|end|>",
  "<end_of_turn>",
]);

/** What ends a generation: the tokens that the file names for it, and those that end texts by what they say. */
function generationConfigOf(metadata: GgufMetadata): JsonObject {
  const token = (name: string) => metadata.natural(`tokenizer.ggml.${name}_token_id`);
  const named = [token("eos"), token("eot"), token("eom")].filter((id) => id !== undefined);
  const known = (metadata.texts("tokenizer.ggml.tokens") ?? []).flatMap((text, id) => (ENDS.has(text) ? [id] : []));
  const ends = [...new Set([...named, ...known])];
  const config: JsonObject = {};
  const [bos, pad] = [token("bos"), token("padding")];
  if (bos !== undefined) config.bos_token_id = bos;
  if (ends.length > 0) config.eos_token_id = ends.length === 1 ? ends[0]! : ends;
  if (pad !== undefined) config.pad_token_id = pad;
  return config;
}

/** Reads a tensor as float32 in the file's own row order, a chunk of whole blocks at a time. */
function dequantizeTensor(file: ByteSource, tensor: GgufTensor): Float32Array<ArrayBuffer> {
  const { blockValues, blockBytes, dequantize } = BLOCK_LAYOUTS[tensor.storage];
  const values = new Float32Array(((tensor.end - tensor.begin) / blockBytes) * blockValues);
  const scratch = new Uint8Array((Math.min(values.length, CHUNK_VALUES) / blockValues) * blockBytes);
  for (let position = tensor.begin, at = 0; position < tensor.end; position += scratch.length, at += CHUNK_VALUES) {
    const bytes = scratch.subarray(0, Math.min(scratch.length, tensor.end - position));
    file.readInto(bytes, position);
    dequantize(bytes, values.subarray(at, at + CHUNK_VALUES));
  }
  return values;
}
