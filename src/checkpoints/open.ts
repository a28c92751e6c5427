/** One way in for every model file format: a Hugging Face folder or a GGUF file, told apart by what is there. */
import { statSync } from "node:fs";
import { CheckpointError } from "../errors.ts";
import type { FilesElsewhere } from "./bytes.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { RandomAccessFile, systemReason } from "./files.ts";
import { openGguf } from "./gguf.ts";
import { openFolder } from "./huggingface.ts";

/** Opens a model for reading; no weight is read yet. Throws CheckpointError when it is missing, damaged or not supported. */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  return openModel(path);
}

/** As openCheckpoint, of files some of which may be elsewhere. */
export function openModel(path: string, elsewhere?: FilesElsewhere): Checkpoint {
  if (elsewhere?.has(path)) return openGguf(path, elsewhere);
  let isFolder: boolean;
  try {
    isFolder = statSync(path).isDirectory();
  } catch (error) {
    throw new CheckpointError(
      `${path}: can't be opened (${systemReason(error)}). Give a model folder or a .gguf file.`,
    );
  }
  if (isFolder) return openFolder(path, elsewhere);
  if (path.endsWith(".gguf") || beginsWithGguf(path)) return openGguf(path, elsewhere);
  throw new CheckpointError(
    path.endsWith(".safetensors")
      ? `${path}: holds weights only; give the folder that it is in, which has config.json and tokenizer.json too.`
      : `${path}: is neither a model folder nor a GGUF file.`,
  );
}

function beginsWithGguf(path: string): boolean {
  const file = new RandomAccessFile(path);
  try {
    const magic = new Uint8Array(Math.min(4, file.size));
    file.readInto(magic, 0);
    return new TextDecoder("latin1").decode(magic) === "GGUF";
  } finally {
    file[Symbol.dispose]();
  }
}
