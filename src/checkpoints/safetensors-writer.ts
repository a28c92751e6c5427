/**
 * Writing float32 tensors as safetensors: one file, or shards with `model.safetensors.index.json` in Hugging Face's naming.
 * Every file is written under a temporary name and renamed into place; the index comes last, so it never names a missing shard.
 */
import { join } from "node:path";
import { type ByteSink, writeFileWhole } from "./files.ts";

/** A tensor whose values are asked for once, when its turn to be written comes. */
export interface TensorSource {
  readonly name: string;
  /** Row-major, slowest dimension first. */
  readonly shape: readonly number[];
  /** The values, as many as the shape says. */
  readonly read: () => Float32Array;
}

/** What Hugging Face libraries shard at, so that a file stays easy to move. */
const DEFAULT_MAX_SHARD_BYTES = 5_000_000_000;

/** Writes one safetensors file of float32 tensors with the metadata `format: pt`, whole or not at all. */
export function writeSafetensorsFile(path: string, tensors: readonly TensorSource[]): void {
  writeFileWhole(path, (write) => {
    write(headerOf(tensors));
    for (const tensor of tensors) writeValues(write, tensor);
  });
}

/**
 * Writes a model's weights into a folder: `model.safetensors`, or shards of at most `maxShardBytes` with an index beside
 * them. A tensor larger than the limit gets a shard of its own.
 */
export function writeSafetensors(
  folder: string,
  tensors: readonly TensorSource[],
  options: { maxShardBytes?: number } = {},
): void {
  const shards = assignShards(tensors, options.maxShardBytes ?? DEFAULT_MAX_SHARD_BYTES);
  if (shards.length <= 1) {
    writeSafetensorsFile(join(folder, "model.safetensors"), tensors);
    return;
  }
  const weightMap = new Map<string, string>();
  const digits = (n: number) => String(n).padStart(5, "0");
  for (const [i, shard] of shards.entries()) {
    const file = `model-${digits(i + 1)}-of-${digits(shards.length)}.safetensors`;
    writeSafetensorsFile(join(folder, file), shard);
    for (const { name } of shard) weightMap.set(name, file);
  }
  const elements = tensors.reduce((sum, { shape }) => sum + elementCount(shape), 0);
  const index = {
    metadata: { total_parameters: elements, total_size: 4 * elements },
    weight_map: Object.fromEntries(weightMap),
  };
  writeFileWhole(join(folder, "model.safetensors.index.json"), (write) =>
    write(new TextEncoder().encode(`${JSON.stringify(index, null, 2)}\n`)),
  );
}

function assignShards(tensors: readonly TensorSource[], maxShardBytes: number): TensorSource[][] {
  const shards: TensorSource[][] = [];
  let room = 0;
  for (const tensor of tensors) {
    const bytes = 4 * elementCount(tensor.shape);
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
function headerOf(tensors: readonly TensorSource[]): Uint8Array {
  const entries = new Map<string, unknown>([["__metadata__", { format: "pt" }]]);
  let offset = 0;
  for (const { name, shape } of tensors) {
    if (entries.has(name)) throw new RangeError(`tensor ${JSON.stringify(name)} can't be written twice`);
    const end = offset + 4 * elementCount(shape);
    entries.set(name, { dtype: "F32", shape, data_offsets: [offset, end] });
    offset = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(" ".charCodeAt(0));
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true);
  header.set(json, 8);
  return header;
}

function writeValues(write: ByteSink, { name, shape, read }: TensorSource): void {
  const values = read();
  if (values.length !== elementCount(shape)) {
    throw new RangeError(
      `tensor ${JSON.stringify(name)} has ${values.length} values for the shape [${shape.join(", ")}]`,
    );
  }
  write(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
}

function elementCount(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}
