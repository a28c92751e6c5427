/**
 * Writing a GGUF file, version 3 (github.com/ggml-org/ggml, docs/gguf.md): the header, then every tensor's data at a multiple
 * of 32 bytes. Tensors are asked for and encoded one at a time, and the file is there whole or not at all.
 */
import { writeFileWhole } from "./files.ts";
import { type GgufEntries, joined, textBytes, uint32, uint64 } from "./gguf-entries.ts";
import { encodedBytes, encodeInto, type WritableType } from "./quantize.ts";
import { elementCount, type TensorSource, valuesOf } from "./safetensors-writer.ts";

/** A tensor under its GGUF name, in Hugging Face's order of dimensions. */
export interface GgufTensorSource extends TensorSource {
  /** Rows must be whole blocks of it. */
  readonly storage: WritableType;
}

const VERSION = 3;
/** GGUF's default, for which no metadata is needed. */
const ALIGNMENT = 32;

/** ggml's numbers of the types. */
const TYPE_NUMBERS: Readonly<Record<WritableType, number>> = { F32: 0, F16: 1, Q4_0: 2, Q8_0: 8, BF16: 30 };

/** Writes a model. Throws CheckpointError for a value that its storage type can't hold, and then writes nothing. */
export function writeGguf(path: string, metadata: GgufEntries, tensors: readonly GgufTensorSource[]): void {
  writeFileWhole(path, (write) => {
    const header = headerOf(metadata, tensors);
    write(header);
    write(padding(header.length));
    for (const tensor of tensors) {
      encodeInto(write, tensor.name, valuesOf(tensor), tensor.storage);
      write(padding(bytesOf(tensor)));
    }
  });
}

function headerOf(metadata: GgufEntries, tensors: readonly GgufTensorSource[]): Uint8Array {
  const magic = new TextEncoder().encode("GGUF");
  const entries = [...metadata].flatMap(([key, { bytes }]) => [textBytes(key), bytes]);
  let offset = 0;
  const infos = tensors.flatMap((tensor) => {
    const { name, shape, storage } = tensor;
    const begin = offset;
    offset += bytesOf(tensor) + padding(bytesOf(tensor)).length;
    const dimensions = shape.toReversed().map(uint64);
    return [textBytes(name), uint32(shape.length), ...dimensions, uint32(TYPE_NUMBERS[storage]), uint64(begin)];
  });
  return joined([magic, uint32(VERSION), uint64(tensors.length), uint64(metadata.size), ...entries, ...infos]);
}

function bytesOf({ shape, storage }: GgufTensorSource): number {
  return encodedBytes(storage, elementCount(shape));
}

/** Zeros up to the next multiple of the alignment. */
function padding(length: number): Uint8Array {
  return new Uint8Array((ALIGNMENT - (length % ALIGNMENT)) % ALIGNMENT);
}
