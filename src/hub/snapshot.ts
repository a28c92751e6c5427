/** A repository of the hub at one commit: which files it has, and a folder on this machine that has those that are needed. */

import { existsSync, mkdirSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { HubError } from "../errors.ts";
import { ArrivingFile } from "./arriving.ts";
import { etagOf, type RemoteFile, RepoCache, written } from "./cache.ts";
import { downloadBlob, type RemoteSource } from "./download.ts";
import { fetchAbout, Unreachable } from "./request.ts";
import { isCommit, pathOf, type RepoReference, type Session } from "./session.ts";
import { likeCached } from "./spelling.ts";

/** Files that are downloaded at once. */
export const PARALLEL_DOWNLOADS = 4;
/** A listing without end must not fill the memory; the hub advises against more than 100,000 files in a repository. */
const MOST_FILES = 1_000_000;

/** Opens a repository at the commit that its revision is now, or in the cache where the hub is not asked. Throws HubError. */
export async function openSnapshot(session: Session, reference: RepoReference): Promise<Snapshot> {
  const cache = new RepoCache(session.settings.cache, reference);
  const { offline } = session.settings;
  const known = cachedSnapshot(session, reference, cache, offline ? OFFLINE : undefined);
  if (offline && known === undefined) {
    const known = likeCached(session, reference.kind, reference.name);
    throw new HubError(`${reference.name}: is not in the cache ${cache.folder}, and ${OFFLINE}${known}`);
  }
  if (known && (offline || (known.isComplete && isCommit(reference.revision)))) return known;
  try {
    return await askedSnapshot(session, reference, cache);
  } catch (error) {
    if (!(error instanceof Unreachable) || known === undefined) throw error;
    const text = `${reference.name}: ${error.reason}; going on with commit ${known.commit.slice(0, 7)}, which is in the cache`;
    session.tell({ kind: "note", text });
    return cachedSnapshot(session, reference, cache, `${error.reason}.`)!;
  }
}

const OFFLINE = "HF_HUB_OFFLINE keeps from asking the hub. Unset it once, to download.";

function cachedSnapshot(
  session: Session,
  reference: RepoReference,
  cache: RepoCache,
  cutOff: string | undefined,
): Snapshot | undefined {
  const commit = cache.commitOf(reference.revision);
  if (commit === undefined) return undefined;
  const snapshot = new Snapshot({ session, reference, cache, commit, cutOff }, cache.tree(commit));
  return snapshot.paths.length === 0 ? undefined : snapshot;
}

async function askedSnapshot(session: Session, reference: RepoReference, cache: RepoCache): Promise<Snapshot> {
  const { revision } = reference;
  const commit = isCommit(revision) ? revision : await commitNow(session, reference);
  cache.writeRef(revision, commit);
  const tree = cache.tree(commit) ?? (await listing(session, { ...reference, revision: commit }));
  cache.writeTree(commit, tree);
  return new Snapshot({ session, reference, cache, commit }, tree);
}

async function listing(session: Session, reference: RepoReference): Promise<RemoteFile[]> {
  const { kind, name, revision } = reference;
  const { listFiles } = await import("@huggingface/hub");
  const options = { hubUrl: session.settings.endpoint, fetch: fetchAbout(session, reference) };
  const tree: RemoteFile[] = [];
  try {
    for await (const entry of listFiles({ repo: { type: kind, name }, revision, recursive: true, ...options })) {
      const { type, path, size, oid, lfs, xetHash } = entry;
      if (type !== "file" || oid === undefined || !isPlain(path)) continue;
      tree.push({ path, size, oid, ...(lfs && { sha256: lfs.oid, size: lfs.size }), ...(xetHash && { xetHash }) });
      if (tree.length > MOST_FILES) throw new HubError(`${name}: has more than ${MOST_FILES} files.`);
    }
  } catch (error) {
    session.signal?.throwIfAborted();
    throw error instanceof HubError ? error : noHub(session, reference, error);
  }
  return tree;
}

/** The commit that a branch or a tag is at. */
async function commitNow(session: Session, reference: RepoReference): Promise<string> {
  const { kind, name, revision } = reference;
  const url = `${session.settings.endpoint}/api/${kind}s/${name}/revision/${encodeURIComponent(revision)}`;
  const response = await fetchAbout(session, reference)(url);
  const { sha } = (await response.json().catch(() => ({}))) as { sha?: unknown };
  if (typeof sha === "string" && isCommit(sha)) return sha;
  throw noHub(session, reference);
}

function noHub({ settings }: Session, { name }: RepoReference, cause?: unknown): HubError {
  return new HubError(
    `${name}: ${settings.endpoint} did not answer as the hub does. Check HF_ENDPOINT, and proxies or login pages in between.`,
    { cause },
  );
}

/** Whether a path stays within the folder that it is put into. */
function isPlain(path: string): boolean {
  return path.split("/").every((part) => part !== "" && part !== "." && part !== ".." && !/[\\:\0]/.test(part));
}

interface Place {
  readonly session: Session;
  readonly reference: RepoReference;
  readonly cache: RepoCache;
  readonly commit: string;
  readonly cutOff?: string | undefined;
}

export class Snapshot {
  readonly session: Session;
  readonly reference: RepoReference;
  readonly commit: string;
  /** Paths of the repository's files; of those in the cache alone, where nothing else is known. */
  readonly paths: readonly string[];
  /** Whether `paths` are all. */
  readonly isComplete: boolean;
  /** Why the hub is not asked for files, where it is not: a sentence. */
  readonly cutOff: string | undefined;
  private readonly cache: RepoCache;
  private readonly files: ReadonlyMap<string, RemoteFile>;

  constructor({ session, reference, cache, commit, cutOff }: Place, tree: readonly RemoteFile[] | undefined) {
    this.session = session;
    this.reference = reference;
    this.cache = cache;
    this.commit = commit;
    this.cutOff = cutOff;
    this.paths = tree?.map(({ path }) => path) ?? cache.present(commit);
    this.isComplete = tree !== undefined;
    this.files = new Map(tree?.map((file) => [file.path, file]));
  }

  /** The folder on this machine. */
  get folder(): string {
    return this.cache.snapshot(this.commit);
  }

  /** Makes sure that these files are in the folder. Throws HubError. */
  async fetch(paths: readonly string[]): Promise<void> {
    const files = [...new Set(paths)].filter((path) => !this.has(path)).map((path) => this.fileOf(path));
    if (files.length === 0) return;
    if (this.cutOff !== undefined) {
      const names = files.map(({ path }) => path).join(", ");
      throw new HubError(`${this.reference.name}: ${names} is missing in the cache ${this.folder}, and ${this.cutOff}`);
    }
    this.refuseWithoutRoom(files);
    const onBytes = this.progress(files);
    await inParallel(files, PARALLEL_DOWNLOADS, async (file) => {
      await this.download(file, (done) => onBytes(file.path, done));
      onBytes(file.path, file.size);
    });
  }

  /** Whether a file is in the folder. */
  has(path: string): boolean {
    return this.cache.has(this.commit, path, this.files.get(path)?.size);
  }

  /** A file that is read by ranges from the hub for as long as it is not in the folder. Throws HubError. */
  arriving(path: string): ArrivingFile {
    return new ArrivingFile(join(this.folder, ...path.split("/")), this.source(this.fileOf(path)));
  }

  private fileOf(path: string): RemoteFile {
    const file = this.files.get(path);
    if (file) return file;
    throw new HubError(`${this.reference.name}: has no file ${JSON.stringify(path)} at commit ${this.commit}.`);
  }

  private async download(file: RemoteFile, onBytes: (done: number) => void): Promise<void> {
    const { reference, cache, commit } = this;
    if (!/^[0-9a-f]{40}([0-9a-f]{24})?$/.test(etagOf(file))) {
      throw new HubError(`${reference.name}: the hub lists ${file.path} without a hash that it could be checked by.`);
    }
    await downloadBlob(cache.blob(etagOf(file)), { ...this.source(file), onBytes });
    cache.link(commit, file);
  }

  private source(file: RemoteFile): RemoteSource {
    const { session, reference, commit } = this;
    const path = file.path.split("/").map(encodeURIComponent).join("/");
    const url = `${session.settings.endpoint}/${pathOf(reference.kind, reference.name)}/resolve/${commit}/${path}`;
    return { session, subject: { ...reference, file: file.path }, url, file };
  }

  private refuseWithoutRoom(files: readonly RemoteFile[]): void {
    const { folder } = this.cache;
    written(folder, () => mkdirSync(folder, { recursive: true }));
    const { bavail, bsize } = statfsSync(folder);
    const blobs = new Map(files.map((file) => [etagOf(file), file.size]));
    const needed = [...blobs].reduce((sum, [etag, size]) => sum + (existsSync(this.cache.blob(etag)) ? 0 : size), 0);
    // Some network disks say that they have nothing left; where it is true, writing says so.
    if (needed <= bavail * bsize || bavail === 0) return;
    const inWords = (bytes: number) =>
      bytes < 1e9 ? `${Math.ceil(bytes / 1e6)} MB` : `${(bytes / 1e9).toFixed(1)} GB`;
    throw new HubError(
      `${this.reference.name}: needs ${inWords(needed)}, but the disk of ${folder} has ${inWords(bavail * bsize)} left. Free some space, or let HF_HOME name a folder on another disk.`,
    );
  }

  private progress(files: readonly RemoteFile[]): (path: string, done: number) => void {
    const { tell } = this.session;
    const total = files.reduce((sum, { size }) => sum + size, 0);
    const state = {
      kind: "progress",
      direction: "download",
      name: this.reference.name,
      files: files.length,
      total,
    } as const;
    const there = new Map<string, number>();
    let done = 0;
    return (path, bytes) => {
      done += bytes - (there.get(path) ?? 0);
      there.set(path, bytes);
      tell({ ...state, done });
    };
  }
}

/** Runs `use` on each item, some of them at once. The first failure stops what has not begun, and is thrown when the others have ended. */
export async function inParallel<T>(
  items: readonly T[],
  width: number,
  use: (item: T) => Promise<void>,
): Promise<void> {
  const waiting = [...items];
  const failures: unknown[] = [];
  const work = async () => {
    for (let item = waiting.shift(); item !== undefined && failures.length === 0; item = waiting.shift()) {
      await use(item).catch((error) => failures.push(error));
    }
  };
  await Promise.all(Array.from({ length: width }, work));
  if (failures.length > 0) throw failures[0];
}
