/** From files of rows to token ids, as examples.ts makes them of rows wherever they are. */

import { statSync } from "node:fs";
import { ConfigError } from "../errors.ts";
import type { Needs } from "./derive.ts";
import {
  type ExampleOptions,
  examplesOf,
  type LoadedPreferences,
  type LoadedPrompt,
  type OpenSource,
  promptsOf,
  type RowOptions,
  visitEach,
} from "./examples.ts";
import { nameOf, STDIN } from "./files/standard-input.ts";
import type { Ledger } from "./ledger.ts";
import type { GivenSource } from "./source-settings.ts";
import { openSources, type SourceOptions } from "./sources.ts";
import type { VisitedExample } from "./tokenize.ts";
import { checkLimits } from "./truncate.ts";

export type { LoadedPreferences } from "./examples.ts";

interface Files extends SourceOptions {
  /** Files of rows, folders, globs or `-`, read one after the other, or mixed where they have weights. */
  readonly files: string | readonly GivenSource[];
}

type LoadOptions = RowOptions & Files;
export type PreferenceOptions = ExampleOptions & Files;

/** Loads preference pairs as token ids. Throws DataError as examples.ts says, and when no row can be used. */
export async function loadPreferences(options: PreferenceOptions): Promise<LoadedPreferences> {
  return loadExamples({ rows: "pairs" }, options);
}

/** Loads the examples that a method needs as token ids. Throws as loadPreferences. */
export async function loadExamples(needs: Needs, options: PreferenceOptions): Promise<LoadedPreferences> {
  return examplesOf(needs, await openExamples(options), options);
}

/** Hands every example to `visit` in the order of the rows, keeping none; weights count for nothing. Throws as loadPreferences. */
export async function visitExamples(
  needs: Needs,
  options: PreferenceOptions,
  visit: (example: VisitedExample) => void,
): Promise<Omit<LoadedPreferences, "examples">> {
  return visitEach(needs, await openExamples(options), options, visit);
}

async function openExamples(options: PreferenceOptions): Promise<OpenSource[]> {
  checkLimits(options);
  const sources = await openSources(options.files, options);
  const once = sources.flatMap(({ files }) => files).find((file) => !canBeReadAgain(file));
  if (once !== undefined && options.drop?.includes("opposites")) {
    throw new ConfigError(
      `--drop opposites reads all rows before it knows which to leave out, and ${nameOf(once)} can be read once. Write its rows into a file, and give that.`,
    );
  }
  return sources;
}

function canBeReadAgain(file: string): boolean {
  return file !== STDIN && statSync(file, { throwIfNoEntry: false })?.isFile() !== false;
}

/** Loads prompts alone, for generation; `system` takes the place of a conversation's own system message. Throws as loadPreferences. */
export async function loadPrompts(
  options: LoadOptions & { readonly system?: string | undefined },
): Promise<{ prompts: LoadedPrompt[]; ledger: Ledger }> {
  return promptsOf(await openSources(options.files, options), options);
}
