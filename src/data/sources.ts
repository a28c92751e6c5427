/**
 * Where rows come from, as it is given: files, folders, globs, standard input (`-`), each perhaps with a weight in the mixture of all,
 * `a.jsonl:0.7`; or as an object, which may say more. One that is given is one source, of however many files.
 */

import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { globSync } from "tinyglobby";
import { ConfigError, DataError } from "../errors.ts";
import { parseColumns } from "./columns.ts";
import type { OpenSource } from "./examples.ts";
import { onPath } from "./files/file-error.ts";
import { readRows } from "./files/read.ts";
import { nameOf, STDIN } from "./files/standard-input.ts";
import { shapeNamed } from "./shapes/registry.ts";
import type { GivenSource } from "./source-settings.ts";

/** A source as it can be given on a command line. */
export function formatSource(source: GivenSource): string {
  if (typeof source === "string") return source;
  return source.weight === undefined ? source.path : `${source.path}:${source.weight}`;
}

export interface SourceOptions {
  /** For sources that say nothing else. */
  readonly format?: string | undefined;
  readonly columns?: readonly string[] | undefined;
  /** Finds the files of a source that is no path of this machine's; undefined where it is one. */
  readonly find?: ((path: string) => Promise<readonly string[] | undefined>) | undefined;
}

/** The sources with their files. Throws ConfigError, and DataError for files that are not there. */
export async function openSources(
  given: string | readonly GivenSource[],
  { format, columns = [], find }: SourceOptions = {},
): Promise<OpenSource[]> {
  const objects = (typeof given === "string" ? [given] : given).map(parseSource);
  checkWeights(objects);
  const sources: OpenSource[] = [];
  for (const [i, { path, weight, ...own }] of objects.entries()) {
    const shape = own.format ?? format;
    if (shape !== undefined) shapeNamed(shape);
    sources.push({
      name: nameAmong(objects, i),
      files: (await find?.(path)) ?? filesOf(path),
      ...(weight !== undefined && { weight }),
      ...(shape !== undefined && { format: shape }),
      columns: parseColumns(own.columns ?? columns),
      read: readRows,
    });
  }
  return sources;
}

/** Throws ConfigError where rows that are each to be counted once have weights. */
export function refuseWeights(given: string | readonly GivenSource[], flag: string): void {
  const weighted = [given]
    .flat()
    .map((one) => parseSource(one as GivenSource))
    .find(({ weight }) => weight !== undefined);
  if (weighted === undefined) return;
  throw new ConfigError(
    `${flag} has a weight for ${weighted.path}: its rows are each used once. Leave the weight out.`,
  );
}

function parseSource(given: GivenSource): Exclude<GivenSource, string> {
  if (typeof given !== "string") return given;
  const [, path, weight] = /^(.+):(-?(?:\d+\.?\d*|\.\d+)(?:e[-+]?\d+)?)$/is.exec(given) ?? [];
  if (path === undefined || existsSync(given)) return { path: given };
  if (Number(weight) > 0) return { path, weight: Number(weight) };
  throw new ConfigError(`${given}: a source's weight must be above 0. Leave the source out if none of it is wanted.`);
}

function checkWeights(sources: readonly { path: string; weight?: number | undefined }[]): void {
  const without = sources.find(({ weight }) => weight === undefined);
  const weighted = sources.find(({ weight }) => weight !== undefined);
  if (weighted && without) {
    throw new ConfigError(
      `${weighted.path} has a weight and ${without.path} has none. Give every source one, as in ${without.path}:0.5, or none.`,
    );
  }
  if (sources.filter(({ path }) => path === STDIN).length > 1) {
    throw new ConfigError("- is given twice, and standard input can be read once.");
  }
}

/** The last part of its path without endings, or where others have that too, all of it. */
function nameAmong(sources: readonly { readonly path: string }[], index: number): string {
  const short = ({ path }: { readonly path: string }) =>
    path === STDIN
      ? nameOf(path)
      : basename(path)
          // The commit of a dataset on the hub, which a resumed run names.
          .replace(/@[0-9a-f]{40}/, "")
          .replace(/(?<=.)\.(?:jsonl?|ndjson|csv|tsv|parquet)?(?:\.(?:gz|zst))?$/i, "");
  const own = sources[index]!;
  const name = short(own);
  const alike = sources.filter((other) => short(other) === name);
  if (alike.length === 1) return name;
  const same = alike.filter(({ path }) => path === own.path);
  return same.length === 1 ? own.path : `${own.path} (${same.indexOf(own) + 1})`;
}

const rowFile = /\.(?:jsonl?|ndjson|csv|tsv|parquet)(?:\.(?:gz|zst))?$/i;

/** Files that describe a dataset to other programs. */
const descriptions = /^(?:dataset_infos?|dataset_dict|state|metadata|croissant)\.json$/i;

function filesOf(path: string): readonly string[] {
  if (path === STDIN) return [path];
  const found = onPath(path, () => statSync(path, { throwIfNoEntry: false }));
  if (found?.isDirectory()) return filesIn(path);
  if (found || !/[*?[\]{}]/.test(path)) return [path];
  const matches = globSync(path, { absolute: isAbsolute(path), expandDirectories: false }).sort();
  if (matches.length > 0) return matches;
  throw new DataError(`${path}: no file has a name like that. Check the path.`);
}

/** A folder's own files of rows, in the order of their names. Throws DataError for one that has none, or several splits. */
function filesIn(folder: string): readonly string[] {
  const names = onPath(folder, () => readdirSync(folder)).filter((name) => !name.startsWith("."));
  const files = names.filter((name) => rowFile.test(name) && !descriptions.test(name)).sort();
  if (files.length === 0) {
    const inner = names.find((name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory());
    const hint =
      inner === undefined ? "" : ` It has the folder ${inner}: name that, or a glob such as ${folder}/**/*.parquet.`;
    throw new DataError(`${folder}: the folder has no files of rows (JSONL, JSON, CSV, TSV, Parquet).${hint}`);
  }
  const splits = new Set(
    files.flatMap((name) => /^(train|valid|val|dev|test|eval)/i.exec(name)?.[1]?.toLowerCase() ?? []),
  );
  if (splits.size > 1) {
    const [first] = splits;
    throw new DataError(
      `${folder}: the folder has files of several splits (${[...splits].join(", ")}). Name one's, as in ${folder}/${first}*`,
    );
  }
  return files.map((name) => join(folder, name));
}
