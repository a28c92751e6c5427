/** What the checkpoint tests share: folders that vanish after a test, and hand-made files, valid or hostile. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { onTestFinished } from "vitest";

export const TINY_GGUF = fileURLToPath(new URL("../golden/checkpoints/tiny.gguf", import.meta.url));

export function golden<T>(name: string): T {
  return JSON.parse(readFileSync(new URL(`../golden/checkpoints/${name}`, import.meta.url), "utf8")) as T;
}

/** A new folder that is removed when the running test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "preftune-checkpoints-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** A file of these bytes in a new folder. */
export function temporaryFile(name: string, bytes: Uint8Array): string {
  const path = join(temporaryFolder(), name);
  writeFileSync(path, bytes);
  return path;
}

/** The message of what `action` throws, without the temporary folder's name; fails when it throws nothing. */
export function messageOf(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return withoutFolder(`${error.name}: ${error.message}`);
  }
  throw new Error("nothing was thrown");
}

export function withoutFolder(message: string): string {
  return message.replaceAll(/\S*preftune-checkpoints-\w+/g, "");
}

/** The bytes of a safetensors file with this header, an object or raw text, followed by `data`. */
export function safetensorsBytes(
  header: object | string,
  data = new Uint8Array(0),
  claimedLength?: bigint,
): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, claimedLength ?? BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** One GGUF metadata entry: key, GGUF's number of the value's type, and the value as bytes. */
export type GgufEntry = readonly [key: string, type: number, value: Uint8Array];

interface GgufTensorEntry {
  readonly name: string;
  /** Fastest first, as in the file. */
  readonly dimensions: readonly (number | bigint)[];
  readonly type: number;
  readonly offset: number | bigint;
}

export interface GgufParts {
  readonly magic?: string;
  readonly version?: number;
  readonly tensorCount?: bigint;
  readonly metadataCount?: bigint;
  readonly metadata?: readonly GgufEntry[];
  readonly tensors?: readonly GgufTensorEntry[];
  readonly data?: Uint8Array;
  /** Where the data begins: at a multiple of so many bytes, 32 if it is not given. */
  readonly alignment?: number;
}

export function ggufBytes(parts: GgufParts): Uint8Array {
  const { metadata = [], tensors = [], data = new Uint8Array(0), alignment = 32 } = parts;
  const pieces = [
    new TextEncoder().encode(parts.magic ?? "GGUF"),
    u32(parts.version ?? 3),
    u64(parts.tensorCount ?? tensors.length),
    u64(parts.metadataCount ?? metadata.length),
    ...metadata.flatMap(([key, type, value]) => [text(key), u32(type), value]),
    ...tensors.flatMap(({ name, dimensions, type, offset }) => [
      text(name),
      u32(dimensions.length),
      ...dimensions.map(u64),
      u32(type),
      u64(offset),
    ]),
  ];
  const header = Buffer.concat(pieces);
  return Buffer.concat([header, new Uint8Array((alignment - (header.length % alignment)) % alignment), data]);
}

export function u32(value: number): Uint8Array {
  return new Uint8Array(Uint32Array.of(value).buffer);
}

export function u64(value: number | bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt(value)).buffer);
}

/** A GGUF text: length and UTF-8 bytes. */
export function text(value: string): Uint8Array {
  const bytes = new TextEncoder().encode(value);
  return Buffer.concat([u64(bytes.length), bytes]);
}

/** Numbers of GGUF's tensor type F32 and of its types of values. */
export const GGUF_TYPES = { F32: 0, UINT32: 4, FLOAT32: 6, TEXT: 8, ARRAY: 9 } as const;

export function ggufArchitecture(name: string): GgufEntry {
  return ["general.architecture", GGUF_TYPES.TEXT, text(name)];
}

/** What makes a GGUF file of a Llama that can be opened: settings, a tokenizer of two tokens, and an embedding. */
export const MINIMAL_GGUF = {
  metadata: [
    ggufArchitecture("llama"),
    ...Object.entries({
      embedding_length: 8,
      block_count: 1,
      feed_forward_length: 8,
      context_length: 16,
      "attention.head_count": 2,
    }).map(([key, value]): GgufEntry => [`llama.${key}`, GGUF_TYPES.UINT32, u32(value)]),
    ["llama.attention.layer_norm_rms_epsilon", GGUF_TYPES.FLOAT32, f32(1e-5)],
    ["tokenizer.ggml.model", GGUF_TYPES.TEXT, text("gpt2")],
    ["tokenizer.ggml.tokens", GGUF_TYPES.ARRAY, Buffer.concat([u32(GGUF_TYPES.TEXT), u64(2), text("a"), text("b")])],
    ["tokenizer.ggml.merges", GGUF_TYPES.ARRAY, Buffer.concat([u32(GGUF_TYPES.TEXT), u64(0)])],
  ] satisfies GgufEntry[] as readonly GgufEntry[],
  tensors: [{ name: "token_embd.weight", dimensions: [8, 2], type: GGUF_TYPES.F32, offset: 0 }],
  data: new Uint8Array(64),
} as const;

export function f32(value: number): Uint8Array {
  return new Uint8Array(Float32Array.of(value).buffer);
}
