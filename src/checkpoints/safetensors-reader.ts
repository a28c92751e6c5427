/** Reading tensors from the bytes of one safetensors file, each on demand and widened to float32 (little-endian machines, as all of Node's). */
import { CheckpointError } from "../errors.ts";
import type { ByteSource } from "./bytes.ts";
import type { StorageType, TensorInfo } from "./checkpoint.ts";
import { readSafetensorsHeader, type SafetensorsEntry } from "./safetensors-header.ts";
import { widenBF16, widenF16 } from "./widen.ts";

/** Elements of a half-precision tensor read at a time, so that widening needs no second buffer of the tensor's size. */
const SCRATCH_ELEMENTS = 2 ** 19;

/** One safetensors file, opened. Its header is checked at once; tensors are read when asked for. */
export class SafetensorsReader implements Disposable {
  readonly #file: ByteSource;
  readonly #entries: ReadonlyMap<string, SafetensorsEntry>;
  /** The tensors that can be read, by name. Integer and other dtypes (buffers such as position ids) are left out. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** The dtypes of the others, by name. */
  readonly unreadable: ReadonlyMap<string, string>;
  /** The header's `__metadata__`. */
  readonly metadata: ReadonlyMap<string, string>;

  /** Takes the bytes for its own, to dispose of. Throws CheckpointError when the header breaks a rule of the format. */
  constructor(file: ByteSource) {
    this.#file = file;
    try {
      const header = readSafetensorsHeader(this.#file);
      this.#entries = header.tensors;
      this.metadata = header.metadata;
    } catch (error) {
      this.#file[Symbol.dispose]();
      throw error;
    }
    const tensors = new Map<string, TensorInfo>();
    const unreadable = new Map<string, string>();
    for (const [name, { dtype, shape }] of this.#entries) {
      if (isReadable(dtype)) tensors.set(name, { name, shape, storage: dtype });
      else unreadable.set(name, dtype);
    }
    this.tensors = tensors;
    this.unreadable = unreadable;
  }

  get path(): string {
    return this.#file.path;
  }

  /** Whether the file holds a tensor of this name, of whatever dtype. */
  has(name: string): boolean {
    return this.#entries.has(name);
  }

  /** Reads one tensor as float32, row-major. Throws CheckpointError for an unknown name or a dtype that is not a float. */
  read(name: string): Float32Array<ArrayBuffer> {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new CheckpointError(`${this.path}: has no tensor ${JSON.stringify(name)}.`);
    const { dtype, begin, end } = entry;
    if (!isReadable(dtype)) {
      throw new CheckpointError(
        `${this.path}: tensor ${JSON.stringify(name)} has the dtype ${dtype}; weights must be F32, F16 or BF16.`,
      );
    }
    if (dtype === "F32") {
      const values = new Float32Array((end - begin) / 4);
      this.#file.readInto(new Uint8Array(values.buffer), begin);
      return values;
    }
    const values = new Float32Array((end - begin) / 2);
    this.#readHalves(dtype, begin, values);
    return values;
  }

  #readHalves(dtype: "F16" | "BF16", begin: number, values: Float32Array<ArrayBuffer>): void {
    const scratch = new Uint16Array(Math.min(values.length, SCRATCH_ELEMENTS));
    for (let at = 0; at < values.length; at += scratch.length) {
      const halves = scratch.subarray(0, Math.min(scratch.length, values.length - at));
      this.#file.readInto(new Uint8Array(halves.buffer, 0, halves.byteLength), begin + 2 * at);
      if (dtype === "F16") widenF16(halves, values.subarray(at, at + halves.length));
      else widenBF16(halves, new Uint32Array(values.buffer, 4 * at, halves.length));
    }
  }

  [Symbol.dispose](): void {
    this.#file[Symbol.dispose]();
  }
}

function isReadable(dtype: string): dtype is Extract<StorageType, "F32" | "F16" | "BF16"> {
  return dtype === "F32" || dtype === "F16" || dtype === "BF16";
}
