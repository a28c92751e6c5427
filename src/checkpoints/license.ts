/** Under which license a model stands, where its files say so. */

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { readEntries } from "./gguf-entries.ts";

/** The license's name as the hub writes it: of a folder from its model card, of a GGUF file from its metadata. */
export function licenseOf(source: string): string | undefined {
  if (!existsSync(source)) return undefined;
  const license = statSync(source).isFile() ? readEntries(source).get("general.license")?.value : cardLicense(source);
  return typeof license === "string" ? license : undefined;
}

function cardLicense(folder: string): unknown {
  const card = join(folder, "README.md");
  if (!existsSync(card)) return undefined;
  const [, header] = /^---\r?\n(.*?)\r?\n---/s.exec(readFileSync(card, "utf8")) ?? [];
  try {
    return (parse(header ?? "") as { license?: unknown } | null)?.license;
  } catch {
    return undefined; // A card whose header is not YAML says nothing.
  }
}
