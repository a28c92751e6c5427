/** What the tests of files of rows share: files that are gone when a test ends, their rows, and what they are refused for. */

import { writeFileSync } from "node:fs";
import { expect } from "vitest";
import { readRows } from "../../src/data/files/read.ts";
import type { RawValue } from "../../src/data/files/text-rows.ts";
import { DataError } from "../../src/errors.ts";
import { scratchFolder } from "../support/scratch.ts";

/** A folder that is removed after the tests of the calling file, with what writes a file into it and returns its path. */
export function temporaryFiles() {
  const { folder, at } = scratchFolder();
  return {
    folder,
    write(name: string, content: string | Uint8Array): string {
      writeFileSync(at(name), content);
      return at(name);
    },
    /** The message that something is refused with, by a DataError unless said. */
    async refusal(refused: Promise<unknown>, kind: new (message: string) => Error = DataError): Promise<string> {
      const error: unknown = await refused.catch((reason: unknown) => reason);
      expect(error).toBeInstanceOf(kind);
      return withoutFolder((error as Error).message, folder);
    },
  };
}

/** All rows of a file. */
export async function readAll(file: string): Promise<RawValue[]> {
  const found: RawValue[] = [];
  for await (const row of readRows(file)) found.push(row);
  return found;
}

/** A message without the folder, which is another one in every run. */
export function withoutFolder(message: string, folder: string): string {
  return message.replaceAll(`${folder}/`, "").replaceAll(folder, "FOLDER");
}
