/**
 * Models and adapters from the hub: the files that preftune reads of them, and no others.
 *
 * Of a repository with weights in several formats these are the safetensors: `pytorch_model.bin` is Python's pickle, which can
 * run code when it is read. GGUF files are taken by their own names.
 */

import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { readJsonFile } from "../checkpoints/files.ts";
import { partNames } from "../checkpoints/gguf-parts.ts";
import { isJsonObject } from "../checkpoints/json.ts";
import { openModel } from "../checkpoints/open.ts";
import { CheckpointError, HubError } from "../errors.ts";
import { fetchingBytes } from "./arriving.ts";
import { formatReference, type HubReference, parseReference } from "./reference.ts";
import { type HubOptions, openSession, stoppable } from "./session.ts";
import { inParallel, openSnapshot, PARALLEL_DOWNLOADS, type Snapshot } from "./snapshot.ts";
import { likeCached } from "./spelling.ts";

/** What a name has come to. */
export interface Resolved {
  /** On this machine. */
  readonly path: string;
  /** The name with the commit that its files are of; a local path as it is. */
  readonly reference: string;
}

const A_MODEL = "a model folder or a .gguf file";

/** Files of a model besides its weights, where it has them. */
const MODEL_FILES = [
  "config.json",
  "generation_config.json",
  "tokenizer.json",
  "tokenizer_config.json",
  "chat_template.jinja",
];
/** It says the license; nothing else depends on it. */
const CARD = "README.md";
const WEIGHTS = "model.safetensors";
const INDEX = "model.safetensors.index.json";
const ADAPTER_CONFIG = "adapter_config.json";
const ADAPTER_WEIGHTS = "adapter_model.safetensors";

/**
 * A folder or GGUF file on this machine for the name of a model, which may be such a path itself. Throws ConfigError for a
 * name that is misspelled, CheckpointError for what is nowhere, and HubError.
 */
export async function resolveModel(text: string, options: HubOptions = {}): Promise<Resolved> {
  return await resolve(text, { what: A_MODEL, options, local: atPath }, async (snapshot, reference) => {
    const { path, texts, weights } = await filesOf(snapshot, reference);
    await snapshot.fetch([...texts, ...weights]);
    return { path };
  });
}

/** A model that is open, though its weights may still be on the hub. */
export interface FoundModel {
  /** Dispose of it. Weights can be read once they have been fetched; all else at once. */
  readonly checkpoint: Checkpoint;
  /** As of `Resolved`. */
  readonly reference: string;
  /** Downloads the weights, where they are not here. Throws HubError. */
  fetchWeights(): Promise<void>;
}

/**
 * Opens a model by its name on the hub or its path on this machine: of weights that are not here no more is fetched than says
 * which there are. Throws as resolveModel, and CheckpointError for a model that is damaged or not supported.
 */
export async function findModel(text: string, options: HubOptions = {}): Promise<FoundModel> {
  const whole = (path: string) => ({ checkpoint: openModel(path), fetchWeights: async () => {} });
  return await resolve(text, { what: A_MODEL, options, local: whole }, async (snapshot, named) => {
    const { path, texts, weights } = await filesOf(snapshot, named);
    const missing = weights.filter((file) => !snapshot.has(file));
    // Where the hub is not asked this says what is missing.
    await snapshot.fetch(snapshot.cutOff === undefined ? texts : [...texts, ...weights]);
    return missing.length === 0 ? whole(path) : await openArriving(snapshot, path, missing);
  });
}

async function openArriving(snapshot: Snapshot, path: string, missing: readonly string[]) {
  const files = missing.map((name) => snapshot.arriving(name));
  await inParallel(files, PARALLEL_DOWNLOADS, (file) => file.fetch());
  const elsewhere = new Map(files.map((file) => [file.path, file]));
  return {
    checkpoint: await fetchingBytes(() => openModel(path, elsewhere)),
    fetchWeights: () =>
      stoppable(snapshot.reference.name, snapshot.session, async () => {
        await snapshot.fetch(missing);
        for (const file of files) file.arrive();
      }),
  };
}

/** A folder on this machine for the name of a PEFT adapter. Throws as resolveModel. */
export async function resolveAdapter(text: string, options: HubOptions = {}): Promise<Resolved> {
  const wanted = { what: "a PEFT adapter's folder", options, local: atPath };
  return await resolve(text, wanted, async (snapshot, { name, file }) => {
    if (file !== undefined) throw new HubError(`${name}: an adapter is a whole repository. Leave out /${file}.`);
    for (const needed of [ADAPTER_CONFIG, ADAPTER_WEIGHTS]) {
      if (!snapshot.paths.includes(needed)) throw new HubError(`${name}: has no ${needed}, so it is no PEFT adapter.`);
    }
    await snapshot.fetch([ADAPTER_CONFIG, ADAPTER_WEIGHTS]);
    return { path: snapshot.folder };
  });
}

const atPath = (path: string) => ({ path });

interface Wanted<T> {
  /** In words, for messages. */
  readonly what: string;
  readonly options: HubOptions;
  /** What a path of this machine comes to. */
  readonly local: (path: string) => T;
}

async function resolve<T extends object>(
  text: string,
  { what, options, local }: Wanted<T>,
  fetchFiles: (snapshot: Snapshot, reference: HubReference) => Promise<T>,
): Promise<T & Pick<Resolved, "reference">> {
  const reference = parseReference(text, "model");
  if (reference === undefined) {
    if (existsSync(text)) return { ...local(text), reference: text };
    const known = likeCached(openSession(options), "model", text);
    throw new CheckpointError(
      `${text}: can't be opened (there is no such file or folder). Give ${what}, or a name on the hub: org/name, or hf:org/name@revision.${known}`,
    );
  }
  const session = openSession(options);
  return await stoppable(reference.name, session, async () => {
    const snapshot = await openSnapshot(session, reference).catch((error) => {
      throw text.startsWith("hf:") || !(error instanceof HubError) ? error : alsoLocal(text, error);
    });
    const found = await fetchFiles(snapshot, reference);
    return { ...found, reference: formatReference(reference, snapshot.commit) };
  });
}

/** A text like `runs/first` may have been meant as either. */
function alsoLocal(text: string, error: HubError): HubError {
  return new HubError(`${error.message}\nThere is no file or folder ${text} here either.`, { cause: error });
}

/** Which files of a repository a model is: those that are its weights, and all others. */
interface FilesOfModel {
  /** The folder or the GGUF file, on this machine. */
  readonly path: string;
  readonly texts: readonly string[];
  readonly weights: readonly string[];
}

async function filesOf(snapshot: Snapshot, { file }: HubReference): Promise<FilesOfModel> {
  if (file === undefined) return { path: snapshot.folder, ...(await folderFiles(snapshot)) };
  return { path: join(snapshot.folder, file), texts: [], weights: ggufFiles(snapshot, file) };
}

async function folderFiles(snapshot: Snapshot): Promise<Omit<FilesOfModel, "path">> {
  const { paths } = snapshot;
  const { name } = snapshot.reference;
  const has = (path: string) => paths.includes(path);
  if (!has("config.json")) throw new HubError(`${name}: ${withoutConfig(name, paths)}`);
  if (!has("tokenizer.json")) {
    throw new HubError(
      `${name}: has no tokenizer.json. Save the model with transformers' AutoTokenizer.from_pretrained(...).save_pretrained(...) into a folder, and give that.`,
    );
  }
  const texts = [...MODEL_FILES, ...(snapshot.cutOff === undefined ? [CARD] : [])].filter(has);
  if (has(WEIGHTS)) return { texts, weights: [WEIGHTS] };
  if (has(INDEX)) {
    await snapshot.fetch([INDEX]);
    return { texts: [...texts, INDEX], weights: shardsIn(join(snapshot.folder, INDEX)) };
  }
  throw new HubError(`${name}: ${withoutWeights(paths)}`);
}

function withoutConfig(name: string, paths: readonly string[]): string {
  const ggufs = paths.filter((path) => path.endsWith(".gguf")).map((path) => `hf:${name}/${path}`);
  if (ggufs.length > 0) return `holds GGUF files. Name one of them: ${ggufs.slice(0, 12).join(", ")}.`;
  if (paths.includes(ADAPTER_CONFIG))
    return "holds a LoRA adapter. Give the model that it belongs to, and this as --adapter.";
  return "has no config.json, so it is no model that transformers would load.";
}

function withoutWeights(paths: readonly string[]): string {
  return paths.some((path) => /^pytorch_model.*\.bin$/.test(path))
    ? "holds its weights as pytorch_model.bin alone, which can run code when it is read. Its pull requests on the hub may have one by SFconvertbot with safetensors, which is a revision (refs/pr/N); or load it with transformers and call model.save_pretrained(folder)."
    : `has neither ${WEIGHTS} nor ${INDEX}.`;
}

/** The files that an index of shards names. */
function shardsIn(path: string): string[] {
  const map = readJsonFile(path).weight_map;
  const names = [...new Set(Object.values(isJsonObject(map) ? map : {}))];
  if (names.length === 0 || !names.every((name) => typeof name === "string")) {
    throw new CheckpointError(`${path}: has no "weight_map" that names files.`);
  }
  return names;
}

/** A GGUF file, with all parts of one that is split. */
function ggufFiles(snapshot: Snapshot, file: string): readonly string[] {
  const { name } = snapshot.reference;
  if (!file.endsWith(".gguf")) {
    throw new HubError(`${name}/${file}: a model is a whole repository, or one .gguf file in it.`);
  }
  const files = partNames(file) ?? [file];
  const missing = files.find((path) => !snapshot.paths.includes(path));
  if (missing !== undefined) {
    const ggufs = snapshot.paths.filter((path) => path.endsWith(".gguf")).slice(0, 12);
    const has = ggufs.length === 0 ? "It has no GGUF files." : `It has ${ggufs.join(", ")}.`;
    throw new HubError(`${name}: has no file ${JSON.stringify(missing)}. ${has}`);
  }
  return files;
}
