/**
 * What every model file format looks like from inside preftune: a Hugging Face folder, whatever it really was.
 * A GGUF file presents its metadata as the `config.json`, `tokenizer.json` and `tokenizer_config.json` that transformers
 * would have, and its tensors under Hugging Face names and in Hugging Face layout.
 */

export type Json = string | number | boolean | null | Json[] | { [key: string]: Json };
export type JsonObject = { [key: string]: Json };

/** Storage type of a tensor in its file; every tensor is float32 once read. */
export type StorageType =
  | "F32"
  | "F16"
  | "BF16"
  | "Q4_0"
  | "Q4_1"
  | "Q5_0"
  | "Q5_1"
  | "Q8_0"
  | "Q4_K"
  | "Q5_K"
  | "Q6_K";

export interface TensorInfo {
  readonly name: string;
  /** Row-major, slowest dimension first, as PyTorch has it. */
  readonly shape: readonly number[];
  readonly storage: StorageType;
}

/** The files that make a tokenizer, already parsed. */
export interface TokenizerFiles {
  /** The folder or file that they are from, for messages. */
  readonly source?: string;
  /** Contents of `tokenizer.json`. */
  readonly tokenizer: JsonObject;
  /** Contents of `tokenizer_config.json`, `{}` where the file is absent. */
  readonly config: JsonObject;
  /** The chat template: `chat_template.jinja`, else `tokenizer_config.json`'s `chat_template`; absent for base models. */
  readonly chatTemplate?: string;
}

/** A model opened for reading. Weights are read one at a time, on demand, and widened to float32. */
export interface Checkpoint extends Disposable {
  /** The folder or file as the user named it, for messages. */
  readonly source: string;
  /** Contents of `config.json`. */
  readonly config: JsonObject;
  /** Contents of `generation_config.json` where there is one. */
  readonly generationConfig?: JsonObject;
  readonly tokenizer: TokenizerFiles;
  /** Every tensor of the checkpoint by its Hugging Face name. */
  readonly tensors: ReadonlyMap<string, TensorInfo>;
  /** Types of tensors that can't be read, by name, where there are any: buffers, which no model needs, or quantized weights. */
  readonly unreadable?: ReadonlyMap<string, string>;
  /** Reads one tensor as float32, row-major. Throws CheckpointError for a name that is not there or a file that ends early. */
  read(name: string): Float32Array<ArrayBuffer>;
}
