/**
 * One file from the hub into the cache: continued where an interrupted download has stopped, and checked against the hash that
 * the hub lists for it before it gets its name.
 *
 * @huggingface/hub's own downloads begin anew each time, repeat nothing and check nothing, and they name a snapshot by the last
 * commit of a file where all other libraries take the repository's; so this is ours, and only the listing and uploads are its.
 *
 * While it is downloaded a file is `ETAG.HOST-PROCESS.incomplete`: its name is a claim. When the process ends it becomes
 * `ETAG.incomplete`, which anyone may claim by renaming it, as what a process that is no more has left.
 */

import { createHash, type Hash } from "node:crypto";
import { createReadStream, mkdirSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { HubError } from "../errors.ts";
import { isRunning } from "../processes.ts";
import { cannotWrite, etagOf, type RemoteFile, written } from "./cache.ts";
import { fetchAbout, MAX_REPETITIONS, networkReason, pause, type Subject } from "./request.ts";
import type { Session } from "./session.ts";

/** The status of an answer to a range that does not exist. */
const OUT_OF_RANGE = 416;

/** A file on the hub, and where it is asked for. */
export interface RemoteSource {
  readonly session: Session;
  readonly subject: Subject;
  readonly url: string;
  readonly file: RemoteFile;
}

interface Download extends RemoteSource {
  /** Called with the number of its bytes that are there. */
  readonly onBytes: (done: number) => void;
}

/** Downloads of this process by their blobs. */
const underway = new Map<string, Promise<void>>();

/** Downloads a file to `blob`, unless it is there. Throws HubError. */
export async function downloadBlob(blob: string, download: Download): Promise<void> {
  // Whether another one's download succeeds is its business: what counts is what it has left.
  while (underway.has(blob)) await underway.get(blob)!.catch(() => {});
  const isThere = statSync(blob, { throwIfNoEntry: false })?.size === download.file.size;
  const started = isThere ? Promise.resolve() : downloadAlone(blob, download);
  underway.set(blob, started);
  await started.finally(() => underway.delete(blob));
}

async function downloadAlone(blob: string, download: Download): Promise<void> {
  const partial = await PartialBlob.claim(blob, download.file);
  try {
    await fill(partial, download);
    await partial.complete();
  } finally {
    await partial.release();
  }
}

/** Receives all bytes and checks them. A partial file may be wrong from its beginning, so a whole second try is made of it. */
async function fill(partial: PartialBlob, download: Download): Promise<void> {
  const resumed = partial.size > 0;
  await receive(partial, download);
  if (await partial.isRight()) return;
  await partial.restart();
  if (resumed) {
    await receive(partial, download);
    if (await partial.isRight()) return;
    await partial.restart();
  }
  const { name, file } = download.subject;
  throw new HubError(
    `${name}: ${file} arrived with other contents than the hub lists for it (its hash is another). Try again; where that does not help, something between here and ${new URL(download.url).host} changes files.`,
  );
}

/** Transfers until the file has its size. */
async function receive(partial: PartialBlob, download: Download): Promise<void> {
  const { file, onBytes } = download;
  onBytes(partial.size);
  if (partial.size === file.size) return;
  await persistently(
    download,
    () => partial.size,
    () => transfer(partial, download),
  );
}

/** Tries until it succeeds, again after each failure that something had arrived before. */
async function persistently(
  { session, subject, file }: RemoteSource,
  arrived: () => number,
  attempt: () => Promise<void>,
): Promise<void> {
  let repetition = 0;
  for (;;) {
    const before = arrived();
    try {
      return await attempt();
    } catch (error) {
      session.signal?.throwIfAborted();
      if (error instanceof HubError) throw error;
      repetition = arrived() > before ? 1 : repetition + 1;
      const reason = `the transfer of ${file.path} was interrupted: ${networkReason(error)}`;
      if (repetition > MAX_REPETITIONS) {
        throw new HubError(`${subject.name}: ${reason}. What has arrived is kept; the same command goes on with it.`);
      }
      await pause(session, subject, repetition, reason);
    }
  }
}

/** One request, for what is missing. */
async function transfer(partial: PartialBlob, download: Download): Promise<void> {
  const { file, onBytes } = download;
  const range = partial.size > 0 ? `bytes=${partial.size}-` : undefined;
  await request(download, range, async (start, chunks) => {
    if (start !== partial.size) await partial.restart();
    if (start !== partial.size) throw new Error("it was answered with another range");
    for await (const bytes of chunks) {
      await partial.append(bytes);
      onBytes(partial.size);
      if (partial.size > file.size) break;
    }
    if (partial.size < file.size) throw new Error("the connection ended early");
  });
}

/** The bytes of a file from `begin` to before `end`, which are not kept in the cache, nor checked by a hash. Throws HubError. */
export async function downloadRange(source: RemoteSource, begin: number, end: number): Promise<Uint8Array> {
  const wanted = new Uint8Array(end - begin);
  let done = 0;
  await persistently(
    source,
    () => done,
    () =>
      request(source, `bytes=${begin + done}-${end - 1}`, async (start, chunks) => {
        let at = start - begin; // Before what is missing where the whole file is sent, whatever the range.
        if (!(at <= done)) throw new Error("it was answered with another range");
        for await (const bytes of chunks) {
          const missing = bytes.subarray(Math.max(0, done - at), Math.max(0, wanted.length - at));
          wanted.set(missing, done);
          done += missing.length;
          at += bytes.length;
          if (done === wanted.length) return;
        }
        throw new Error("the connection ended early");
      }),
  );
  return wanted;
}

/** One request: `use` gets the position of the first byte that is sent, and the bytes as they arrive. */
async function request(
  { session, subject, url }: RemoteSource,
  range: string | undefined,
  use: (start: number, chunks: AsyncIterable<Uint8Array>) => Promise<void>,
): Promise<void> {
  const stalled = new AbortController();
  const headers = { "accept-encoding": "identity", ...(range !== undefined && { range }) };
  const response = await fetchAbout(session, subject, [OUT_OF_RANGE])(url, { headers, signal: stalled.signal });
  const timer = setTimeout(() => stalled.abort(new Error("nothing arrived any more")), session.settings.stallTimeout);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    for await (const bytes of response.body ?? []) {
      timer.refresh();
      yield bytes;
    }
  }
  try {
    await use(response.status === 200 ? 0 : firstByte(response), chunks());
  } finally {
    clearTimeout(timer);
    stalled.abort();
  }
}

function firstByte(response: Response): number {
  return Number(/^bytes (\d+)-/.exec(response.headers.get("content-range") ?? "")?.[1] ?? Number.NaN);
}

/** A file on its way, with the hash of what it has. */
class PartialBlob {
  private readonly blob: string;
  private readonly file: RemoteFile;
  private readonly path: string;
  private readonly handle: FileHandle;
  private hash: Hash;
  /** Bytes that are there. */
  size = 0;

  private constructor(blob: string, file: RemoteFile, path: string, handle: FileHandle) {
    this.blob = blob;
    this.file = file;
    this.path = path;
    this.handle = handle;
    this.hash = hashFor(file);
  }

  /** Takes over what there is of a blob, which is read for its hash. */
  static async claim(blob: string, file: RemoteFile): Promise<PartialBlob> {
    const path = `${blob}.${hostname()}-${process.pid}.incomplete`;
    written(path, () => {
      mkdirSync(dirname(blob), { recursive: true });
      for (const left of leftovers(blob)) renameIfThere(left, path);
    });
    const handle = await open(path, "a").catch((error) => {
      throw cannotWrite(path, error);
    });
    const partial = new PartialBlob(blob, file, path, handle);
    if (statSync(path).size > file.size) await handle.truncate(0);
    for await (const bytes of createReadStream(path)) {
      partial.hash.update(bytes as Uint8Array);
      partial.size += (bytes as Uint8Array).length;
    }
    return partial;
  }

  async append(bytes: Uint8Array): Promise<void> {
    try {
      await this.handle.appendFile(bytes);
    } catch (error) {
      throw cannotWrite(this.path, error);
    }
    this.hash.update(bytes);
    this.size += bytes.length;
  }

  async restart(): Promise<void> {
    await this.handle.truncate(0);
    this.hash = hashFor(this.file);
    this.size = 0;
  }

  async isRight(): Promise<boolean> {
    if (this.size !== this.file.size || this.hash.copy().digest("hex") !== etagOf(this.file)) return false;
    // A container with the same name and another process of this number may have taken it over, and write into it too.
    return (await this.handle.stat()).size === this.size;
  }

  async complete(): Promise<void> {
    try {
      await this.handle.sync();
    } catch (error) {
      throw cannotWrite(this.path, error);
    }
    written(this.blob, () => renameSync(this.path, this.blob));
  }

  /** Leaves what is not complete to whoever comes next. */
  async release(): Promise<void> {
    await this.handle.close();
    if (this.size > 0) renameIfThere(this.path, `${this.blob}.incomplete`);
    else rmSync(this.path, { force: true });
  }
}

/** What is left of a blob by processes that are no more. */
function leftovers(blob: string): string[] {
  const own = `${hostname()}-`;
  return readdirSync(dirname(blob))
    .filter((name) => name.startsWith(`${basename(blob)}.`) && name.endsWith(".incomplete"))
    .filter((name) => {
      const owner = name.slice(basename(blob).length + 1, -".incomplete".length);
      return owner === "" || (owner.startsWith(own) && isOver(Number(owner.slice(own.length))));
    })
    .map((name) => join(dirname(blob), name));
}

/** Whether a process downloads nothing any more; this one downloads a blob once at a time. */
function isOver(processId: number): boolean {
  return processId === process.pid || !isRunning(processId);
}

function renameIfThere(from: string, to: string): void {
  try {
    renameSync(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error;
  }
}

/** sha256 of the contents, or git's sha1, which begins with a header. */
function hashFor({ sha256, size }: RemoteFile): Hash {
  return sha256 === undefined ? createHash("sha1").update(`blob ${size}\0`) : createHash("sha256");
}
