/**
 * Which files of a dataset's repository are which split of which configuration: by `configs` in the front matter of its README,
 * or else by the names of files and folders. The rules are those of Hugging Face's datasets 5.0 (`data_files.py`).
 */

import { parse as parseYaml } from "yaml";

/** Files by split, in the order in which splits are listed. */
export type Splits = ReadonlyMap<string, readonly string[]>;

/** A configuration as the README has it. */
export interface DatasetConfig {
  readonly name: string;
  readonly isDefault: boolean;
  /** Folder that `patterns` are relative to. */
  readonly folder: string;
  /** Patterns of files by split; undefined where the names of the files decide. */
  readonly patterns: ReadonlyMap<string, readonly string[]> | undefined;
}

/** The configurations in a README, none where it has no front matter that says so. */
export function configsIn(readme: string): DatasetConfig[] {
  const [, header] = /^\uFEFF?---\s*\n(.*?)\n---\s*(?:\n|$)/s.exec(readme) ?? [];
  let configs: unknown;
  try {
    configs = (parseYaml(header ?? "") as { configs?: unknown } | null)?.configs;
  } catch {
    return []; // A README is for people; what machines can't read of it, they do without.
  }
  if (!Array.isArray(configs)) return [];
  const entries = configs.filter(isObject).filter(({ config_name: name }) => typeof name === "string");
  return entries.map((entry) => ({
    name: entry.config_name as string,
    isDefault: entry.default === true || entry.config_name === "default" || entries.length === 1,
    folder: typeof entry.data_dir === "string" ? entry.data_dir.replace(/^\.?\/|\/$/g, "") : "",
    patterns: entry.data_files === undefined ? undefined : patternsBySplit(entry.data_files),
  }));
}

/** `data_files`: one pattern or several, of the training split; or patterns for each split. */
function patternsBySplit(value: unknown): ReadonlyMap<string, readonly string[]> {
  const texts = (patterns: unknown) => [patterns].flat().filter((pattern) => typeof pattern === "string");
  if (Array.isArray(value) && value.some(isObject)) {
    return new Map(value.filter(isObject).map(({ split, path }) => [String(split), texts(path)]));
  }
  if (isObject(value)) return new Map(Object.entries(value).map(([split, path]) => [split, texts(path)]));
  return new Map([["train", texts(value)]]);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The files of a configuration by split. */
export function splitsOf(
  { folder, patterns }: Pick<DatasetConfig, "folder" | "patterns">,
  paths: readonly string[],
): Splits {
  const prefix = folder === "" ? "" : `${folder}/`;
  const files = paths.filter((path) => path.startsWith(prefix)).map((path) => path.slice(prefix.length));
  const splits = patterns === undefined ? splitsByName(files) : splitsByPatterns(patterns, files);
  return new Map([...splits].map(([split, names]) => [split, names.map((name) => prefix + name).sort()]));
}

function splitsByPatterns(patterns: ReadonlyMap<string, readonly string[]>, files: readonly string[]): Splits {
  const matching = (pattern: string) => {
    const matches = globMatcher(pattern.replace(/^\.\//, ""));
    return files.filter((file) => matches(file) && isListed(file, pattern));
  };
  return new Map([...patterns].map(([split, list]) => [split, [...new Set(list.flatMap(matching))]]));
}

const KEYWORDS: Readonly<Record<string, readonly string[]>> = {
  train: ["train", "training"],
  validation: ["validation", "valid", "dev", "val"],
  test: ["test", "testing", "eval", "evaluation"],
};
/** What may stand before and after a keyword. */
const SEPARATOR = "[-._ 0-9]";

function splitsByName(all: readonly string[]): Splits {
  const files = ofOneFormat(all.filter((file) => formatOf(file) !== undefined && isListed(file, "**")));
  const ways = [bySharding, byFolders, byFileNames, (names: readonly string[]) => new Map([["train", names]])];
  for (const way of ways) {
    const splits = new Map([...way(files)].filter(([, names]) => names.length > 0));
    if (splits.size > 0) return splits;
  }
  return new Map();
}

/** `data/train-00000-of-00001.parquet`, with any name for a split. */
function bySharding(files: readonly string[]): Splits {
  const splitOf = (file: string) => /^data\/(\w+(?:\.\w+)*)-\d{5}-of-\d{5}[^/]*\.[^/]*$/.exec(file)?.[1];
  const found = new Set(files.flatMap((file) => splitOf(file) ?? []));
  const usual = Object.keys(KEYWORDS).filter((split) => found.has(split));
  const order = [...usual, ...[...found].filter((split) => !usual.includes(split)).sort()];
  return new Map(order.map((split) => [split, files.filter((file) => splitOf(file) === split)]));
}

/** A folder on the way that is called like a split. */
function byFolders(files: readonly string[]): Splits {
  return byKeywords((keyword) => {
    const named = new RegExp(`^(.*${SEPARATOR})?${keyword}(${SEPARATOR}.*)?$`);
    return files.filter((file) =>
      file
        .split("/")
        .slice(0, -1)
        .some((folder) => named.test(folder)),
    );
  });
}

/** A file that is called like a split. */
function byFileNames(files: readonly string[]): Splits {
  return byKeywords((keyword) => {
    const named = new RegExp(`^(.*${SEPARATOR})?${keyword}${SEPARATOR}.*$`);
    return files.filter((file) => named.test(file.slice(file.lastIndexOf("/") + 1)));
  });
}

function byKeywords(having: (keyword: string) => readonly string[]): Splits {
  return new Map(Object.entries(KEYWORDS).map(([split, words]) => [split, [...new Set(words.flatMap(having))]]));
}

/** Files beside the data: readme, and what older tools have written about a dataset. */
const BESIDE_DATA = ["README.md", "config.json", "dataset_info.json", "dataset_infos.json", "dataset_dict.json"];

/** Whether a file is data at all: hidden ones and those in `__folders__` only where the pattern says so itself. */
function isListed(file: string, pattern: string): boolean {
  if (BESIDE_DATA.includes(file.slice(file.lastIndexOf("/") + 1))) return false;
  const special = (path: string) => path.split("/").filter((part) => /^(\.[^.]|__)/.test(part)).length;
  return special(file) === special(pattern);
}

const FORMATS: Readonly<Record<string, RegExp>> = {
  parquet: /\.parquet$/,
  json: /\.(jsonl?|ndjson)(\.(gz|zst))?$/,
  csv: /\.[ct]sv(\.(gz|zst))?$/,
};

/** Of which format that preftune reads a file is, by its name. */
export function formatOf(file: string): string | undefined {
  return Object.keys(FORMATS).find((format) => FORMATS[format]!.test(file));
}

/** The files of the format that most of them have. */
function ofOneFormat(files: readonly string[]): readonly string[] {
  const groups = Object.keys(FORMATS).map((format) => files.filter((file) => formatOf(file) === format));
  return groups.reduce((most, group) => (group.length > most.length ? group : most));
}

/** Tells whether a path matches a pattern: `*` and `?` within a name, `**` over folders, `[...]` one of these characters. */
function globMatcher(pattern: string): (path: string) => boolean {
  const source = pattern.replace(/\*\*\/|\*\*|\*|\?|\[!?\]?[^\]]*\]|[^*?[]+|\[/g, (piece) => {
    if (piece === "**/") return "(?:.*/)?";
    if (piece === "**") return ".*";
    if (piece === "*") return "[^/]*";
    if (piece === "?") return "[^/]";
    if (piece.length > 2 && piece.startsWith("[")) {
      return `[${piece
        .slice(1, -1)
        .replace(/^!/, "^")
        .replace(/[\\\]]/g, "\\$&")}]`;
    }
    return piece.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  });
  const regex = new RegExp(`^${source}$`, "s");
  return (path) => regex.test(path);
}
