/** Files for a test, gone when it ends. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

/** A folder that is removed after the tests of the calling file; the function writes a file into it and returns its path. */
export function temporaryFiles(): { folder: string; write: (name: string, content: string | Uint8Array) => string } {
  const folder = mkdtempSync(join(tmpdir(), "preftune-data-"));
  afterAll(() => rmSync(folder, { recursive: true }));
  return {
    folder,
    write(name, content) {
      const path = join(folder, name);
      writeFileSync(path, content);
      return path;
    },
  };
}

/** A message without the folder, which is another one in every run. */
export function withoutFolder(message: string, folder: string): string {
  return message.replaceAll(`${folder}/`, "").replaceAll(folder, "FOLDER");
}
