/** A model's files from where a page is served. */

import { CheckpointError } from "../errors.ts";

const NEEDED = ["config.json", "tokenizer.json", "model.safetensors"];
const OPTIONAL = ["tokenizer_config.json", "generation_config.json", "chat_template.jinja"];

/**
 * Fetches the files of a model folder, by name; `folder` is relative to the page or worker. Throws CheckpointError where one that
 * every model has can't be fetched.
 */
export async function fetchModel(folder: string): Promise<Record<string, Uint8Array>> {
  const base = new URL(folder.endsWith("/") ? folder : `${folder}/`, globalThis.location.href);
  const files = await Promise.all(
    [...NEEDED, ...OPTIONAL].map(async (name) => {
      const response = await fetch(new URL(name, base));
      if (response.ok) return [[name, new Uint8Array(await response.arrayBuffer())] as const];
      if (OPTIONAL.includes(name) && response.status === 404) return [];
      throw new CheckpointError(
        `${new URL(name, base)} can't be fetched (${response.status} ${response.statusText}). Is the model's folder there?`,
      );
    }),
  );
  return Object.fromEntries(files.flat());
}
