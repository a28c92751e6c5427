/** From files of rows to token ids, as examples.ts makes them of rows wherever they are. */

import type { Needs } from "./derive.ts";
import {
  checkLimits,
  type ExampleOptions,
  examplesOf,
  type LoadedPreferences,
  type LoadedPrompt,
  promptsOf,
  type RowOptions,
  type VisitedExample,
  visitEach,
} from "./examples.ts";
import type { Ledger } from "./ledger.ts";
import type { GivenSource } from "./source-settings.ts";
import { openSources, type SourceOptions } from "./sources.ts";

export type { LoadedPreferences, VisitedExample } from "./examples.ts";

interface Files extends SourceOptions {
  /** Files of rows, folders, globs or `-`, read one after the other, or mixed where they have weights. */
  readonly files: string | readonly GivenSource[];
}

export type LoadOptions = RowOptions & Files;
export type PreferenceOptions = ExampleOptions & Files;

/** Loads preference pairs as token ids. Throws DataError as examples.ts says, and when no row can be used. */
export async function loadPreferences(options: PreferenceOptions): Promise<LoadedPreferences> {
  return loadExamples({ rows: "pairs" }, options);
}

/** Loads the examples that a method needs as token ids. Throws as loadPreferences. */
export async function loadExamples(needs: Needs, options: PreferenceOptions): Promise<LoadedPreferences> {
  checkLimits(options);
  return examplesOf(needs, await openSources(options.files, options), options);
}

/** Hands every example to `visit` in the order of the rows, keeping none; weights count for nothing. Throws as loadPreferences. */
export async function visitExamples(
  needs: Needs,
  options: PreferenceOptions,
  visit: (example: VisitedExample) => void,
): Promise<Ledger> {
  checkLimits(options);
  return visitEach(needs, await openSources(options.files, options), options, visit);
}

/** Loads prompts alone, for generation; `system` takes the place of a conversation's own system message. Throws as loadPreferences. */
export async function loadPrompts(
  options: LoadOptions & { readonly system?: string | undefined },
): Promise<{ prompts: LoadedPrompt[]; ledger: Ledger }> {
  return promptsOf(await openSources(options.files, options), options);
}
