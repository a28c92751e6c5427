/** Safetensors files on disk. */
import { RandomAccessFile } from "./files.ts";
import { SafetensorsReader } from "./safetensors-reader.ts";

/** Opens the file at `path`. Throws CheckpointError when it can't be opened, or its header breaks a rule of the format. */
export class SafetensorsFile extends SafetensorsReader {
  constructor(path: string) {
    super(new RandomAccessFile(path));
  }
}
