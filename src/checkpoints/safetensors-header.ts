/**
 * The header of a safetensors file: 8 bytes of length (little-endian), then JSON that gives every tensor a dtype, a shape
 * and a byte range. Checked as the format's description (github.com/huggingface/safetensors, "Format") demands, because a
 * header is the part of a downloaded file that a reader acts on: at most 100 MB, unique keys, byte ranges of exactly
 * the size that dtype and shape ask for, which together cover the rest of the file without gap or overlap.
 */
import { CheckpointError } from "../errors.ts";
import { type ByteSource, GET_IT_AGAIN } from "./bytes.ts";
import type { Json, JsonObject } from "./checkpoint.ts";
import { describeJson, isJsonObject, parseJsonObject } from "./json.ts";

/** The format's own limit, so that a reader never parses an arbitrarily large header. */
const MAX_HEADER_BYTES = 100_000_000;

/** Bits an element, of every dtype that the format names; preftune widens only the first three. */
// biome-ignore format: a table of short entries, one kind a line
const DTYPE_BITS: Readonly<Record<string, number>> = {
  F32: 32, F16: 16, BF16: 16,
  F64: 64, C64: 64, F8_E5M2: 8, F8_E4M3: 8, F8_E8M0: 8, F6_E2M3: 6, F6_E3M2: 6, F4: 4,
  BOOL: 8, U8: 8, I8: 8, U16: 16, I16: 16, U32: 32, I32: 32, U64: 64, I64: 64,
};

export interface SafetensorsEntry {
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Byte range in the file. */
  readonly begin: number;
  readonly end: number;
}

interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<string, SafetensorsEntry>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** Reads and checks a file's header. Throws CheckpointError naming the rule that is broken and the tensor. */
export function readSafetensorsHeader(file: ByteSource): SafetensorsHeader {
  const bytes = headerBytes(file);
  const dataStart = 8 + bytes.length;
  const json = parseJsonObject(bytes, `${file.path}: the safetensors header`, { uniqueKeys: true });
  const tensors = new Map<string, SafetensorsEntry>();
  let metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(json)) {
    if (name === "__metadata__") metadata = parseMetadata(file.path, value);
    else tensors.set(name, parseEntry(file.path, name, value, dataStart));
  }
  checkCoverage(file, tensors, dataStart);
  return { tensors, metadata };
}

function headerBytes(file: ByteSource): Uint8Array {
  if (file.size < 8) {
    throw new CheckpointError(`${file.path}: is ${file.size} bytes long, too short for a safetensors file.`);
  }
  const prefix = new DataView(new ArrayBuffer(8));
  file.readInto(new Uint8Array(prefix.buffer), 0);
  const length = prefix.getBigUint64(0, true);
  if (length > MAX_HEADER_BYTES) {
    throw new CheckpointError(
      `${file.path}: claims a header of ${length} bytes; safetensors allows ${MAX_HEADER_BYTES}. Is it a safetensors file?`,
    );
  }
  if (Number(length) > file.size - 8) {
    throw new CheckpointError(
      `${file.path}: claims a header of ${length} bytes, but only ${file.size - 8} follow. ` +
        "The file is incomplete or not a safetensors file.",
    );
  }
  const bytes = new Uint8Array(Number(length));
  file.readInto(bytes, 8);
  if (bytes[0] !== "{".charCodeAt(0)) {
    throw new CheckpointError(`${file.path}: its header does not begin with "{", so it is not a safetensors file.`);
  }
  return bytes;
}

function parseMetadata(path: string, value: Json): Map<string, string> {
  const bad = `${path}: "__metadata__" in the safetensors header must map text to text, not `;
  if (!isJsonObject(value)) throw new CheckpointError(`${bad}${describeJson(value)}.`);
  const metadata = new Map<string, string>();
  for (const [key, text] of Object.entries(value)) {
    if (typeof text !== "string") throw new CheckpointError(`${bad}${JSON.stringify(key)} to ${describeJson(text)}.`);
    metadata.set(key, text);
  }
  return metadata;
}

function parseEntry(path: string, name: string, value: Json, dataStart: number): SafetensorsEntry {
  const where = `${path}: tensor ${JSON.stringify(name)}`;
  if (!isJsonObject(value)) throw new CheckpointError(`${where} must be an object, not ${describeJson(value)}.`);
  const { dtype, shape } = value;
  const bits = typeof dtype === "string" && Object.hasOwn(DTYPE_BITS, dtype) ? DTYPE_BITS[dtype] : undefined;
  if (typeof dtype !== "string" || bits === undefined) {
    throw new CheckpointError(`${where} has an unknown dtype (${describeJson(dtype)}). ${GET_IT_AGAIN}`);
  }
  const dimensions = naturalNumbers(shape);
  if (dimensions === undefined) {
    throw new CheckpointError(
      `${where} has the shape ${JSON.stringify(shape)}; it must be an array of whole numbers >= 0.`,
    );
  }
  const { begin, end } = byteRange(where, value);
  const size = (dimensions.reduce((product, dimension) => product * dimension, 1) * bits) / 8;
  if (size !== end - begin) {
    throw new CheckpointError(
      `${where} is ${dtype} of shape [${dimensions.join(", ")}], ${size} bytes, but its data_offsets span ${end - begin}. ${GET_IT_AGAIN}`,
    );
  }
  return { dtype, shape: dimensions, begin: dataStart + begin, end: dataStart + end };
}

function byteRange(where: string, entry: JsonObject): { begin: number; end: number } {
  const [begin, end, ...rest] = naturalNumbers(entry.data_offsets) ?? [];
  if (begin === undefined || end === undefined || rest.length > 0 || begin > end) {
    throw new CheckpointError(
      `${where} has the data_offsets ${JSON.stringify(entry.data_offsets)}; they must be [begin, end] in bytes, begin <= end.`,
    );
  }
  return { begin, end };
}

function naturalNumbers(value: Json | undefined): number[] | undefined {
  const natural = (item: Json): item is number => Number.isSafeInteger(item) && Number(item) >= 0;
  return Array.isArray(value) && value.every(natural) ? value : undefined;
}

/** The byte ranges must follow one another without gap or overlap from the header's end to the file's. */
function checkCoverage(file: ByteSource, tensors: ReadonlyMap<string, SafetensorsEntry>, dataStart: number): void {
  const inOrder = [...tensors].sort(([, a], [, b]) => a.begin - b.begin || a.end - b.end);
  let covered = dataStart;
  let previous = "";
  for (const [name, { begin, end }] of inOrder) {
    if (begin < covered) {
      throw new CheckpointError(
        `${file.path}: tensors ${JSON.stringify(previous)} and ${JSON.stringify(name)} overlap. ${GET_IT_AGAIN}`,
      );
    }
    if (begin > covered) {
      throw new CheckpointError(
        `${file.path}: ${begin - covered} bytes before tensor ${JSON.stringify(name)} belong to no tensor. ${GET_IT_AGAIN}`,
      );
    }
    if (end > file.size) {
      throw new CheckpointError(
        `${file.path}: tensor ${JSON.stringify(name)} ends at byte ${end}, past the file's end at ${file.size}. ` +
          GET_IT_AGAIN,
      );
    }
    covered = end;
    previous = name;
  }
  if (covered < file.size) {
    throw new CheckpointError(
      `${file.path}: the last ${file.size - covered} bytes belong to no tensor. ${GET_IT_AGAIN}`,
    );
  }
}
