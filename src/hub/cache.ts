/**
 * The cache folder that all Hugging Face libraries share, as huggingface_hub in Python writes and reads it:
 *
 *   models--org--name/
 *     refs/main                        the commit that a branch or a tag was at when it was last asked for
 *     snapshots/COMMIT/config.json     a link into blobs/
 *     blobs/ETAG                       the contents, by sha256 (large files) or git's sha1
 *     trees/COMMIT.json                the files of a commit with their sizes and hashes
 */

import {
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join, relative, sep } from "node:path";
import { systemReason } from "../checkpoints/files.ts";
import { HubError } from "../errors.ts";
import { isCommit, type RepoReference } from "./session.ts";
import { type HubSettings, hubSettings } from "./settings.ts";

/** A file of a commit. */
export interface RemoteFile {
  /** Path in the repository, with slashes. */
  readonly path: string;
  readonly size: number;
  /** Git's sha1 of the blob; for a large file that of its pointer. */
  readonly oid: string;
  /** sha256 of the contents of a large file. */
  readonly sha256?: string;
  readonly xetHash?: string;
}

/** What a file's contents are kept under. */
export function etagOf({ oid, sha256 }: RemoteFile): string {
  return sha256 ?? oid;
}

/** The version of the format of `trees/`; others are not read. */
const TREE_FORMAT = 1;

interface TreeEntry {
  readonly size: number;
  readonly blob_id: string;
  readonly lfs_sha256?: string;
  readonly lfs_size?: number;
  readonly xet_hash?: string;
}

export class RepoCache {
  readonly folder: string;

  constructor(cache: string, { kind, name }: RepoReference) {
    this.folder = join(cache, [`${kind}s`, ...name.split("/")].join("--"));
  }

  /** The commit that is known for a revision. */
  commitOf(revision: string): string | undefined {
    if (isCommit(revision)) return revision;
    const commit = this.read("refs", ...revision.split("/"))?.trim();
    return commit !== undefined && isCommit(commit) ? commit : undefined;
  }

  writeRef(revision: string, commit: string): void {
    if (!isCommit(revision)) this.write(commit, "refs", ...revision.split("/"));
  }

  /** The files of a commit, where they are known. */
  tree(commit: string): RemoteFile[] | undefined {
    const text = this.read("trees", `${commit}.json`);
    try {
      const { format_version: version, files } = JSON.parse(text ?? "{}") as {
        format_version?: number;
        files: Readonly<Record<string, TreeEntry>>;
      };
      if (version !== TREE_FORMAT) return undefined;
      return Object.entries(files).map(([path, entry]) => ({
        path,
        size: entry.lfs_size ?? entry.size,
        oid: entry.blob_id,
        ...(entry.lfs_sha256 !== undefined && { sha256: entry.lfs_sha256 }),
        ...(entry.xet_hash !== undefined && { xetHash: entry.xet_hash }),
      }));
    } catch {
      return undefined; // Whatever is wrong with it, it can be asked for again.
    }
  }

  writeTree(commit: string, files: readonly RemoteFile[]): void {
    const entries = files.map(({ path, size, oid, sha256, xetHash }): [string, TreeEntry] => [
      path,
      {
        size,
        blob_id: oid,
        ...(sha256 !== undefined && { lfs_sha256: sha256, lfs_size: size }),
        ...(xetHash !== undefined && { xet_hash: xetHash }),
      },
    ]);
    const tree = { format_version: TREE_FORMAT, files: Object.fromEntries(entries.sort()) };
    this.write(JSON.stringify(tree, null, 1), "trees", `${commit}.json`);
  }

  /** The folder that looks like the repository at a commit. */
  snapshot(commit: string): string {
    return join(this.folder, "snapshots", commit);
  }

  /** Paths of the files that are in a commit's folder. */
  present(commit: string): string[] {
    const folder = this.snapshot(commit);
    if (!existsSync(folder)) return [];
    const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
    return paths.filter((path) => statSync(join(folder, path), { throwIfNoEntry: false })?.isFile()).map(withSlashes);
  }

  /** Whether a file is in a commit's folder, of the size that it should be. */
  has(commit: string, path: string, size: number | undefined): boolean {
    const status = statSync(join(this.snapshot(commit), path), { throwIfNoEntry: false });
    return status?.isFile() === true && (size === undefined || status.size === size);
  }

  blob(etag: string): string {
    return join(this.folder, "blobs", etag);
  }

  /** Makes a commit's folder show a file whose contents are there. */
  link(commit: string, file: RemoteFile): void {
    const pointer = join(this.snapshot(commit), ...file.path.split("/"));
    const temporary = `${pointer}.tmp-${process.pid}`;
    const blob = this.blob(etagOf(file));
    written(pointer, () => {
      mkdirSync(dirname(pointer), { recursive: true });
      rmSync(temporary, { force: true });
      try {
        symlinkSync(relative(dirname(pointer), blob), temporary);
      } catch (error) {
        // Windows allows symbolic links to developers only.
        if ((error as NodeJS.ErrnoException).code !== "EPERM") throw error;
        linkSync(blob, temporary);
      }
      renameSync(temporary, pointer);
    });
  }

  private read(...path: string[]): string | undefined {
    try {
      return readFileSync(join(this.folder, ...path), "utf8");
    } catch {
      return undefined;
    }
  }

  private write(text: string, ...path: string[]): void {
    // A cache that is shared may be for reading only.
    if (this.read(...path) === text) return;
    const file = join(this.folder, ...path);
    const temporary = `${file}.tmp-${process.pid}`;
    written(file, () => {
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(temporary, text);
      renameSync(temporary, file);
    });
  }
}

/** A text with the names of repositories in the place of their folders in the cache, which are elsewhere on another machine. */
export function withoutCacheFolders(text: string, settings?: Pick<HubSettings, "cache">): string {
  if (!SNAPSHOT.test(text)) return text;
  const { cache } = settings ?? hubSettings();
  return text
    .split(join(cache, sep))
    .map((part, i) =>
      i === 0 ? part : part.replace(SNAPSHOT_FIRST, (_, name, at) => `hf:${name.replace("--", "/")}@${at}/`),
    )
    .join("");
}

const SNAPSHOT = /(?:model|dataset)s--([^/\\]+)[/\\]snapshots[/\\]([0-9a-f]{40})[/\\]/;
const SNAPSHOT_FIRST = new RegExp(`^${SNAPSHOT.source}`);

/** Runs what writes into the cache. Throws HubError where the system refuses. */
export function written<T>(path: string, write: () => T): T {
  try {
    return write();
  } catch (error) {
    throw cannotWrite(path, error);
  }
}

export function cannotWrite(path: string, error: unknown): unknown {
  if (!(error instanceof Error && "syscall" in error)) return error;
  return new HubError(
    `${path}: can't be written (${systemReason(error)}). Mend that, or let HF_HOME name a folder with room; what has arrived is kept.`,
    { cause: error },
  );
}

function withSlashes(path: string): string {
  return path.split(sep).join("/");
}
