/**
 * The header of a GGUF file, versions 2 and 3 (github.com/ggml-org/ggml, docs/gguf.md): magic, counts, typed metadata, and for
 * every tensor its name, dimensions (fastest first), storage type and offset. Everything in it is checked against the
 * file's size before it is believed, so that a damaged or hostile file is refused and not acted on.
 */
import { CheckpointError } from "../errors.ts";
import { type ByteSource, GET_IT_AGAIN } from "./bytes.ts";
import type { StorageType } from "./checkpoint.ts";
import { BLOCK_LAYOUTS } from "./dequantize.ts";
import { ForwardReader } from "./gguf-reader.ts";

export type MetadataValue = string | number | bigint | boolean | MetadataValue[];

export interface GgufTensor {
  readonly name: string;
  /** Row-major, slowest dimension first: GGUF's own order reversed. */
  readonly shape: readonly number[];
  readonly storage: StorageType;
  /** Byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly metadata: ReadonlyMap<string, MetadataValue>;
  /** Where each value lies in the file, the number of its type before it. */
  readonly metadataRanges: ReadonlyMap<string, { readonly begin: number; readonly end: number }>;
  readonly tensors: ReadonlyMap<string, GgufTensor>;
}

/** Far above any real model (vocabularies reach 300 thousand), far below what would exhaust memory. */
const MAX_ARRAY_LENGTH = 2 ** 24;
const MAX_ARRAY_DEPTH = 4;
/** What ggml itself allows. */
const MAX_DIMENSIONS = 4;
const DEFAULT_ALIGNMENT = 32;

/** ggml's tensor types by their number: those that preftune reads are keys of BLOCK_LAYOUTS, the others are named in errors. */
// biome-ignore format: a table of short entries
const TENSOR_TYPES = new Map<number, string>(Object.entries({
  F32: 0, F16: 1, Q4_0: 2, Q4_1: 3, Q5_0: 6, Q5_1: 7, Q8_0: 8, Q8_1: 9, Q2_K: 10, Q3_K: 11, Q4_K: 12, Q5_K: 13,
  Q6_K: 14, Q8_K: 15, IQ2_XXS: 16, IQ2_XS: 17, IQ3_XXS: 18, IQ1_S: 19, IQ4_NL: 20, IQ3_S: 21, IQ2_S: 22, IQ4_XS: 23,
  I8: 24, I16: 25, I32: 26, I64: 27, F64: 28, IQ1_M: 29, BF16: 30, TQ1_0: 34, TQ2_0: 35, MXFP4: 39, NVFP4: 40,
}).map(([name, number]) => [number, name]));

/** Reads and checks a file's header. Throws CheckpointError naming what is wrong and the key or tensor. */
export function readGgufHeader(file: ByteSource): GgufHeader {
  const reader = new ForwardReader(file);
  checkMagicAndVersion(reader);
  const tensorCount = reader.count("tensors", 24);
  const metadataCount = reader.count("metadata entries", 13);
  const metadata = new Map<string, MetadataValue>();
  const metadataRanges = new Map<string, { begin: number; end: number }>();
  for (let i = 0; i < metadataCount; i++) {
    const key = reader.string("a metadata key");
    if (metadata.has(key))
      throw new CheckpointError(
        `${file.path}: the metadata key ${JSON.stringify(key)} is there twice. ${GET_IT_AGAIN}`,
      );
    const begin = reader.position;
    metadata.set(key, readValue(reader, reader.uint32(), key, 0));
    metadataRanges.set(key, { begin, end: reader.position });
  }
  const raw: RawTensor[] = [];
  for (let i = 0; i < tensorCount; i++) raw.push(readTensorInfo(reader));
  const alignment = alignmentOf(file, metadata);
  const dataStart = Math.ceil(reader.position / alignment) * alignment;
  return { metadata, metadataRanges, tensors: placeTensors(file, raw, dataStart, alignment) };
}

function checkMagicAndVersion(reader: ForwardReader): void {
  const { path } = reader.file;
  if (reader.file.size < 24) {
    throw new CheckpointError(`${path}: is ${reader.file.size} bytes long, too short for a GGUF file.`);
  }
  const magic = reader.bytes(4, "the magic number").toString("latin1");
  if (magic !== "GGUF") {
    throw new CheckpointError(
      `${path}: begins with ${JSON.stringify(magic)} instead of "GGUF", so it is not a GGUF file.`,
    );
  }
  const version = reader.uint32();
  if (version === 2 || version === 3) return;
  if (version > 0 && (version & 0xffff) === 0) {
    throw new CheckpointError(`${path}: is a big-endian GGUF file; convert the model again to little-endian.`);
  }
  throw new CheckpointError(
    `${path}: is GGUF version ${version}; versions 2 and 3 can be read. Convert the model again with a current llama.cpp.`,
  );
}

/** GGUF's value types of fixed size by their number: bytes and how to read them. */
const FIXED_SIZE_TYPES: ReadonlyMap<number, readonly [bytes: number, read: (bytes: Buffer) => MetadataValue]> = new Map(
  [
    [0, [1, (bytes: Buffer) => bytes.readUInt8()]],
    [1, [1, (bytes: Buffer) => bytes.readInt8()]],
    [2, [2, (bytes: Buffer) => bytes.readUInt16LE()]],
    [3, [2, (bytes: Buffer) => bytes.readInt16LE()]],
    [4, [4, (bytes: Buffer) => bytes.readUInt32LE()]],
    [5, [4, (bytes: Buffer) => bytes.readInt32LE()]],
    [6, [4, (bytes: Buffer) => bytes.readFloatLE()]],
    [7, [1, (bytes: Buffer) => bytes.readUInt8() !== 0]],
    [10, [8, (bytes: Buffer) => asNumber(bytes.readBigUInt64LE())]],
    [11, [8, (bytes: Buffer) => asNumber(bytes.readBigInt64LE())]],
    [12, [8, (bytes: Buffer) => bytes.readDoubleLE()]],
  ],
);
const TEXT_TYPE = 8;
const ARRAY_TYPE = 9;

function readValue(reader: ForwardReader, type: number, key: string, depth: number): MetadataValue {
  if (type === TEXT_TYPE) return reader.string(key);
  if (type === ARRAY_TYPE) return readArray(reader, key, depth);
  const fixed = FIXED_SIZE_TYPES.get(type);
  if (fixed === undefined) {
    throw new CheckpointError(
      `${reader.file.path}: the metadata key ${JSON.stringify(key)} has the unknown value type ${type}. ${GET_IT_AGAIN}`,
    );
  }
  const [bytes, read] = fixed;
  return read(reader.bytes(bytes, key));
}

function readArray(reader: ForwardReader, key: string, depth: number): MetadataValue[] {
  const where = `${reader.file.path}: the metadata array ${JSON.stringify(key)}`;
  if (depth >= MAX_ARRAY_DEPTH)
    throw new CheckpointError(`${where} nests deeper than ${MAX_ARRAY_DEPTH} levels. ${GET_IT_AGAIN}`);
  const type = reader.uint32();
  const length = reader.count(`elements of ${JSON.stringify(key)}`, 1);
  if (length > MAX_ARRAY_LENGTH)
    throw new CheckpointError(
      `${where} claims ${length} elements; at most ${MAX_ARRAY_LENGTH} are read. ${GET_IT_AGAIN}`,
    );
  const values: MetadataValue[] = [];
  for (let i = 0; i < length; i++) values.push(readValue(reader, type, key, depth + 1));
  return values;
}

function asNumber(value: bigint): number | bigint {
  return BigInt.asIntN(54, value) === value ? Number(value) : value;
}

interface RawTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly storage: StorageType;
  readonly offset: number;
}

function readTensorInfo(reader: ForwardReader): RawTensor {
  const name = reader.string("a tensor name");
  const where = `${reader.file.path}: tensor ${JSON.stringify(name)}`;
  const dimensions = reader.uint32();
  if (dimensions > MAX_DIMENSIONS) {
    throw new CheckpointError(
      `${where} claims ${dimensions} dimensions; GGUF allows ${MAX_DIMENSIONS}. ${GET_IT_AGAIN}`,
    );
  }
  const shape = Array.from({ length: dimensions }, () => reader.uint64(`a dimension of ${name}`)).reverse();
  const type = reader.uint32();
  const storage = TENSOR_TYPES.get(type) ?? `type ${type}`;
  if (!isReadable(storage)) {
    throw new CheckpointError(
      `${where} is stored as ${storage}; preftune reads ${Object.keys(BLOCK_LAYOUTS).join(", ")}. Use another quantization of the model.`,
    );
  }
  return { name, shape, storage, offset: reader.uint64(`the offset of ${name}`) };
}

function isReadable(storage: string): storage is StorageType {
  return Object.hasOwn(BLOCK_LAYOUTS, storage);
}

/** Turns offsets into byte ranges of the file: each aligned, whole, inside the file, and none over another. */
function placeTensors(
  file: ByteSource,
  raw: readonly RawTensor[],
  dataStart: number,
  alignment: number,
): Map<string, GgufTensor> {
  const tensors = new Map<string, GgufTensor>();
  for (const { name, shape, storage, offset } of raw) {
    const where = `${file.path}: tensor ${JSON.stringify(name)}`;
    const { blockValues, blockBytes } = BLOCK_LAYOUTS[storage];
    const values = shape.reduce((product, dimension) => product * dimension, 1);
    if ((shape.at(-1) ?? 1) % blockValues !== 0) {
      throw new CheckpointError(
        `${where} has rows of ${shape.at(-1)} values, not a multiple of ${storage}'s blocks of ${blockValues}. ${GET_IT_AGAIN}`,
      );
    }
    if (offset % alignment !== 0)
      throw new CheckpointError(`${where} begins at ${offset}, not a multiple of ${alignment}. ${GET_IT_AGAIN}`);
    const begin = dataStart + offset;
    const end = begin + (values / blockValues) * blockBytes;
    if (end > file.size) {
      throw new CheckpointError(`${where} ends at byte ${end}, past the file's end at ${file.size}. ${GET_IT_AGAIN}`);
    }
    if (tensors.has(name)) throw new CheckpointError(`${where} is there twice. ${GET_IT_AGAIN}`);
    tensors.set(name, { name, shape, storage, begin, end });
  }
  refuseOverlaps(file, tensors);
  return tensors;
}

function refuseOverlaps(file: ByteSource, tensors: ReadonlyMap<string, GgufTensor>): void {
  const inOrder = [...tensors.values()].sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (const [i, tensor] of inOrder.entries()) {
    const next = inOrder[i + 1];
    if (next !== undefined && next.begin < tensor.end) {
      throw new CheckpointError(
        `${file.path}: tensors ${JSON.stringify(tensor.name)} and ${JSON.stringify(next.name)} overlap. ${GET_IT_AGAIN}`,
      );
    }
  }
}

function alignmentOf(file: ByteSource, metadata: ReadonlyMap<string, MetadataValue>): number {
  const alignment = metadata.get("general.alignment") ?? DEFAULT_ALIGNMENT;
  if (typeof alignment !== "number" || !Number.isSafeInteger(alignment) || alignment < 8 || alignment % 8 !== 0) {
    throw new CheckpointError(`${file.path}: general.alignment is ${String(alignment)}; it must be a multiple of 8.`);
  }
  return alignment;
}
