/** A GGUF file presented as the Hugging Face checkpoint that it was converted from. */
import { CheckpointError } from "../errors.ts";
import type { Checkpoint, JsonObject, TensorInfo, TokenizerFiles } from "./checkpoint.ts";
import { BLOCK_LAYOUTS } from "./dequantize.ts";
import { RandomAccessFile } from "./files.ts";
import { type GgufTensor, readGgufHeader } from "./gguf-header.ts";
import { huggingFaceName, interleavedHeads, llamaConfig, ROPE_FACTORS, separateHalves } from "./gguf-llama.ts";
import { GgufMetadata } from "./gguf-metadata.ts";
import { ggufTokenizer } from "./gguf-tokenizer.ts";

/** Values dequantized from one read: a few MB, so that quantized bytes never take a tensor's size in memory. */
const CHUNK_VALUES = 2 ** 20;

/** Opens a GGUF file of the Llama architecture. Throws CheckpointError before any weight is read when it is not supported. */
export function openGguf(path: string): Checkpoint {
  const file = new RandomAccessFile(path);
  try {
    return new GgufCheckpoint(file);
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

class GgufCheckpoint implements Checkpoint {
  readonly source: string;
  readonly config: JsonObject;
  readonly generationConfig: JsonObject;
  readonly tokenizer: TokenizerFiles;
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  readonly #file: RandomAccessFile;
  /** Tensors as the file has them, by Hugging Face name. */
  readonly #stored = new Map<string, GgufTensor>();

  constructor(file: RandomAccessFile) {
    this.#file = file;
    this.source = file.path;
    const header = readGgufHeader(file);
    const metadata = new GgufMetadata(file.path, header.metadata);
    refuseOtherArchitectures(metadata);
    const ropeFactors = header.tensors.get(ROPE_FACTORS);
    this.config = llamaConfig(metadata, header.tensors, ropeFactors && dequantizeTensor(file, ropeFactors));
    this.generationConfig = generationConfigOf(metadata);
    this.tokenizer = ggufTokenizer(metadata);
    const tensors = new Map<string, TensorInfo>();
    for (const tensor of header.tensors.values()) {
      if (tensor.name === ROPE_FACTORS) continue;
      const name = huggingFaceName(file.path, tensor.name);
      tensors.set(name, { name, shape: tensor.shape, storage: tensor.storage });
      this.#stored.set(name, tensor);
    }
    this.tensors = tensors;
  }

  read(name: string): Float32Array<ArrayBuffer> {
    const tensor = this.#stored.get(name);
    if (tensor === undefined) throw new CheckpointError(`${this.source}: has no tensor ${JSON.stringify(name)}.`);
    const values = dequantizeTensor(this.#file, tensor);
    const heads = interleavedHeads(tensor.name, this.config);
    if (heads === undefined) return values;
    const [rows = 0, columns = 1] = tensor.shape;
    if (rows !== heads * Number(this.config.head_dim)) {
      throw new CheckpointError(
        `${this.source}: tensor ${JSON.stringify(tensor.name)} has ${rows} rows where ${heads} heads of ${this.config.head_dim} are expected.`,
      );
    }
    return separateHalves(values, heads, columns);
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

function refuseOtherArchitectures(metadata: GgufMetadata): void {
  const architecture = metadata.require("general.architecture", metadata.text("general.architecture"));
  if (architecture !== "llama") {
    throw new CheckpointError(
      `${metadata.source}: the architecture ${JSON.stringify(architecture)} is not supported in GGUF files; "llama" is.`,
    );
  }
  const parts = metadata.natural("split.count") ?? 1;
  if (parts > 1) {
    throw new CheckpointError(
      `${metadata.source}: is one of ${parts} parts; join them first with llama.cpp's llama-gguf-split --merge.`,
    );
  }
}

/** What ends a generation: the end-of-text token and, where the file names another, the end-of-turn token. */
function generationConfigOf(metadata: GgufMetadata): JsonObject {
  const token = (name: string) => metadata.natural(`tokenizer.ggml.${name}_token_id`);
  const ends = [...new Set([token("eos"), token("eot")].filter((id) => id !== undefined))];
  const config: JsonObject = {};
  const [bos, pad] = [token("bos"), token("padding")];
  if (bos !== undefined) config.bos_token_id = bos;
  if (ends.length > 0) config.eos_token_id = ends.length === 1 ? ends[0]! : ends;
  if (pad !== undefined) config.pad_token_id = pad;
  return config;
}

/** Reads a tensor as float32 in the file's own row order, a chunk of whole blocks at a time. */
function dequantizeTensor(file: RandomAccessFile, tensor: GgufTensor): Float32Array<ArrayBuffer> {
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
