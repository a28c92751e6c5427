/**
 * Writing tensors as safetensors, in float32 or narrowed to half precision: one file, or shards with `model.safetensors.index.json` in Hugging Face's naming.
 * Every file is written under a temporary name and renamed into place; the index comes last, so it never names a missing shard.
 */
import { join } from "node:path";
import { type ByteSink, writeFileWhole } from "./files.ts";
import { encodedBytes, encodeInto } from "./quantize.ts";

/** A tensor whose values are asked for once, when its turn to be written comes. */
export interface TensorSource {
  readonly name: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  /** The values, as many as the shape says. */
  readonly read: () => Float32Array;
}

/** The storage types that a safetensors file of ours may have, all of its tensors the same. */
export type FloatType = "F32" | "F16" | "BF16";

export interface SafetensorsOptions {
  /** F32 where it is not given. */
  readonly storage?: FloatType | undefined;
  readonly maxShardBytes?: number | undefined;
}

/** What Hugging Face libraries shard at, so that a file stays easy to move. */
const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

/**
 * Writes one safetensors file with the metadata `format: pt`, whole or not at all. Throws CheckpointError for a value that the
 * storage type can't hold.
 */
export function writeSafetensorsFile(path: string, tensors: readonly TensorSource[], storage: FloatType = "F32"): void {
  writeFileWhole(path, (write) => {
    write(headerOf(tensors, storage));
    for (const tensor of tensors) writeValues(write, tensor, storage);
  });
}

/**
 * Writes a model's weights into a folder: `model.safetensors`, or shards of at most `maxShardBytes` with an index beside
 * them. A tensor larger than the limit gets a shard of its own. Throws as writeSafetensorsFile.
 */
export function writeSafetensors(
  folder: string,
  tensors: readonly TensorSource[],
  options: SafetensorsOptions = {},
): void {
  const { storage = "F32", maxShardBytes = DEFAULT_MAX_SHARD_BYTES } = options;
  const shards = assignShards(tensors, storage, maxShardBytes);
  if (shards.length <= 1) {
    writeSafetensorsFile(join(folder, "model.safetensors"), tensors, storage);
    return;
  }
  const weightMap = new Map<string, string>();
  const digits = (n: number) => String(n).padStart(5, "0");
  for (const [i, shard] of shards.entries()) {
    const file = `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
    writeSafetensorsFile(join(folder, file), shard, storage);
    for (const { name } of shard) weightMap.set(name, file);
  }
  const elements = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const index = {
    metadata: { total_parameters: elements, total_size: encodedBytes(storage, elements) },
    weight_map: Object.fromEntries(weightMap),
  };
  writeFileWhole(join(folder, "model.safetensors.index.json"), (write) =>
    write(new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`)),
  );
}

function assignShards(tensors: readonly TensorSource[], storage: FloatType, maxShardBytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = encodedBytes(storage, elementCount(tensor.shape));
    if (shards.length === 0 || bytes > room) {
      shards.push([]);
      room = maxShardBytes;
    }
    shards.at(-1)!.push(tensor);
    room -= bytes;
  }
  return shards;
}

/** Length prefix and JSON, padded with spaces so that the data begins at a multiple of 8 bytes. */
function headerOf(tensors: readonly TensorSource[], storage: FloatType): Uint8Array {
  const entries = new Map<string, unknown>([["__metadata__", { format: "pt" }]]);
  let offset = 0;
  for (const { name, shape } of tensors) {
    if (entries.has(name)) throw new RangeError(`tensor ${JSON.stringify(name)} can't be written twice`);
    const end = offset + encodedBytes(storage, elementCount(shape));
    entries.set(name, { dtype: storage, shape, data_offsets: [offset, end] });
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(" ".charCodeAt(0));
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return header;
}

function writeValues(write: ByteSink, tensor: TensorSource, storage: FloatType): void {
  encodeInto(write, tensor.name, valuesOf(tensor), storage);
}

/** The values of a tensor, as many as its shape says. */
export function valuesOf({ name, shape, read }: TensorSource): Float32Array {
  const values = read();
  if (values.length !== elementCount(shape)) {
    throw new RangeError(
      `tensor ${JSON.stringify(name)} has ${values.length} values for the shape [${shape.join(", ")}]`,
    );
  }
  return values;
}

/** How many values a tensor of this shape has. */
export function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
