/** Datasets from the hub: the files of one split of one configuration. */

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { DataError, HubError } from "../errors.ts";
import { configsIn, type DatasetConfig, formatOf, type Splits, splitsOf } from "./dataset-files.ts";
import { formatReference, type HubReference, looksLikeName, parseReference } from "./reference.ts";
import { type HubOptions, openSession, pageOf, stoppable } from "./session.ts";
import { openSnapshot, type Snapshot } from "./snapshot.ts";

export interface ResolvedData {
  /** On this machine, in the order in which they are to be read. */
  readonly paths: readonly string[];
  /** The name with the commit that its files are of; a local path as it is. */
  readonly reference: string;
}

/** What rows are for. Where a dataset's name has no split, that is `train`, or `validation`, or else `test`. */
export type DataPurpose = "training" | "evaluation";

const USUAL_SPLITS: Readonly<Record<DataPurpose, readonly string[]>> = {
  training: ["train"],
  evaluation: ["validation", "test"],
};

/**
 * The files on this machine for the name of a dataset, `hf:org/name` with `:config`, `:split` or both, or `hf:org/name/file`.
 * Any other text is a path, which is not looked at. Throws ConfigError for a name that is misspelled, DataError and HubError.
 */
export async function resolveDataset(
  text: string,
  purpose: DataPurpose,
  options: HubOptions = {},
): Promise<ResolvedData> {
  const reference = parseReference(text, "dataset");
  if (reference === undefined) {
    if (looksLikeName(text) && !existsSync(text)) {
      throw new DataError(`${text}: there is no such file. For the dataset of this name on the hub, write hf:${text}.`);
    }
    return { paths: [text], reference: text };
  }
  const session = openSession(options);
  return await stoppable(reference.name, session, async () => {
    const snapshot = await openSnapshot(session, reference);
    const files = reference.file === undefined ? await splitFiles(snapshot, reference, purpose) : [reference.file];
    await snapshot.fetch(files);
    const paths = files.map((file) => join(snapshot.folder, file));
    return { paths, reference: formatReference(reference, snapshot.commit) };
  });
}

/** Finds the files of a dataset on the hub for whoever reads sources: undefined for what is a path. Throws as resolveDataset. */
export function datasetFinder(purpose: DataPurpose, options: HubOptions = {}) {
  return async (text: string): Promise<readonly string[] | undefined> => {
    const { paths } = await resolveDataset(text, purpose, options);
    return parseReference(text, "dataset") === undefined ? undefined : paths;
  };
}

async function splitFiles(
  snapshot: Snapshot,
  reference: HubReference,
  purpose: DataPurpose,
): Promise<readonly string[]> {
  const configs = await configsOf(snapshot);
  const { name, parts } = reference;
  const [first, second] = parts;
  const named = first === undefined ? undefined : configNamed(first, configs, snapshot);
  if (second !== undefined && named === undefined) {
    throw new HubError(`${name}: has no configuration ${JSON.stringify(first)}. ${choiceOf(name, configs)}`);
  }
  const config = named ?? defaultConfig(name, configs, first);
  const splits = splitsOf(config, snapshot.paths);
  const filled = new Map([...splits].filter(([, files]) => files.length > 0));
  if (filled.size === 0) throw new HubError(withoutData(snapshot));
  return chosenSplit({ name, config, splits: filled, asked: named === undefined ? first : second, purpose });
}

/** The configurations of the README; where it has none, one of all files. */
async function configsOf(snapshot: Snapshot): Promise<DatasetConfig[]> {
  const readme = "README.md";
  if (!snapshot.paths.includes(readme)) return [WHOLE];
  await snapshot.fetch([readme]);
  const configs = configsIn(readFileSync(join(snapshot.folder, readme), "utf8"));
  return configs.length === 0 ? [WHOLE] : configs;
}

const WHOLE: DatasetConfig = { name: "default", isDefault: true, folder: "", patterns: undefined };

/** A configuration of this name, or a folder as one. */
function configNamed(name: string, configs: readonly DatasetConfig[], { paths }: Snapshot): DatasetConfig | undefined {
  const known = configs.find((config) => config.name === name);
  if (known) return known;
  const isFolder = paths.some((path) => path.startsWith(`${name}/`) && formatOf(path) !== undefined);
  const isSplit = configs.some((config) => config.isDefault && splitsOf(config, paths).has(name));
  return isFolder && !isSplit ? { name, isDefault: false, folder: name, patterns: undefined } : undefined;
}

function defaultConfig(name: string, configs: readonly DatasetConfig[], asked: string | undefined): DatasetConfig {
  const config = configs.find(({ isDefault }) => isDefault);
  if (config) return config;
  const what = asked === undefined ? "has several configurations" : `has no configuration ${JSON.stringify(asked)}`;
  throw new HubError(`${name}: ${what}. ${choiceOf(name, configs)}`);
}

interface Choice {
  readonly name: string;
  readonly config: DatasetConfig;
  readonly splits: Splits;
  readonly asked: string | undefined;
  readonly purpose: DataPurpose;
}

function chosenSplit({ name, config, splits, asked, purpose }: Choice): readonly string[] {
  const usual = USUAL_SPLITS[purpose].find((split) => splits.has(split));
  const only = purpose === "training" && splits.size === 1 ? [...splits.keys()][0] : undefined;
  const split = asked ?? usual ?? only;
  const files = split === undefined ? undefined : splits.get(split);
  if (files) return files;
  const what =
    asked === undefined
      ? `has no split that is usual for ${purpose}`
      : `has no configuration or split ${JSON.stringify(asked)}`;
  const choices = [...splits.keys()].map((other) => `hf:${name}:${config.name}:${other}`);
  throw new HubError(`${name}: ${what}. Give one of ${choices.join(", ")}.`);
}

function choiceOf(repo: string, configs: readonly DatasetConfig[]): string {
  return `Give one of ${configs.map(({ name }) => `hf:${repo}:${name}`).join(", ")}.`;
}

function withoutData({ reference, session, paths }: Snapshot): string {
  const page = pageOf(session, reference);
  const convertible =
    reference.revision === "refs/convert/parquet"
      ? ""
      : ` The hub may have converted it: hf:${reference.name}@refs/convert/parquet.`;
  const kinds = [...new Set(paths.flatMap((path) => /\.[^./]+$/.exec(path)?.[0] ?? []))].slice(0, 8).join(" ");
  return `${reference.name}: has no JSON, CSV or Parquet files there, only ${kinds || "none"}.${convertible} Its files are at ${page}/tree/main.`;
}
