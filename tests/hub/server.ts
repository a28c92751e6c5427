/**
 * A hub on this machine: repositories of files with commits, addresses, headers and refusals as huggingface.co has them, storage
 * for large files on a second host, and faults that a test asks for.
 */

import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { type HubSettings, hubSettings } from "../../src/hub/settings.ts";

/** A file of which only the beginning is worth having here: the rest is zeros. */
export interface Sparse {
  readonly head: Uint8Array;
  readonly size: number;
}

export type Files = Readonly<Record<string, string | Uint8Array | Sparse>>;

interface Repo {
  readonly commits: Map<string, Map<string, Buffer>>;
  readonly refs: Map<string, string>;
  readonly access: "open" | "gated" | "private";
}

/** What goes wrong once with an answer. */
export type Fault =
  | { readonly status: number; readonly headers?: Record<string, string>; readonly body?: string }
  /** The connection breaks before an answer. */
  | { readonly hangUp: true }
  /** The connection breaks after so many bytes of the body. */
  | { readonly dropAfter: number }
  /** Nothing more is sent after so many bytes. */
  | { readonly stallAfter: number }
  /** Another body of the same size. */
  | { readonly corrupt: true }
  /** These bytes, whatever was asked for. */
  | { readonly body: Uint8Array }
  /** The whole file, whatever the range. */
  | { readonly ignoreRange: true };

interface Logged {
  readonly method: string;
  readonly path: string;
  readonly range: string | undefined;
  readonly authorization: string | undefined;
}

/** What a commit that was pushed had: texts of small files, hashes of large ones. */
interface PushedCommit {
  readonly summary: string;
  readonly files: Record<string, string>;
}

export const TOKEN = "hf_secretOfTests";
/** Files of this size and more are large, and on the storage host. */
const LARGE = 1000;
const PAGE_LENGTH = 2;

/** Bytes of files that are longer than what is here of them. */
const sizes = new WeakMap<Buffer, number>();
const sizeOf = (data: Buffer) => sizes.get(data) ?? data.length;
function bufferOf(data: string | Uint8Array | Sparse): Buffer {
  if (typeof data === "string" || data instanceof Uint8Array) return Buffer.from(data as string);
  const head = Buffer.from(data.head);
  sizes.set(head, data.size);
  return head;
}

const sha1 = (data: string | Buffer) => createHash("sha1").update(data).digest("hex");
const hashes = new WeakMap<Buffer, string>();
function sha256(data: Buffer): string {
  const hash = hashes.get(data) ?? createHash("sha256").update(data).digest("hex");
  hashes.set(data, hash);
  return hash;
}
const oidOf = (data: Buffer) => createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex");

export class TestHub implements AsyncDisposable {
  readonly log: Logged[] = [];
  readonly pushed: PushedCommit[] = [];
  readonly uploaded = new Map<string, Buffer>();
  /** Answers that are open at once, and the most that there were. */
  open = 0;
  mostOpen = 0;
  /** What the storage is called: under another name than the hub's it is another host. */
  storageHost = "127.0.0.1";
  /** Milliseconds before each file's answer. */
  delay = 0;
  private readonly repos = new Map<string, Repo>();
  private readonly faults: { readonly path: RegExp; readonly fault: Fault }[] = [];
  private readonly hub: Server;
  private readonly storage: Server;

  private constructor() {
    this.hub = createServer((request, response) => this.serve(request, response, (...it) => this.answer(...it)));
    this.storage = createServer((request, response) => this.serve(request, response, (...it) => this.store(...it)));
  }

  static async start(): Promise<TestHub> {
    const hub = new TestHub();
    for (const server of [hub.hub, hub.storage]) {
      await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    }
    return hub;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const server of [this.hub, this.storage]) {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  }

  get endpoint(): string {
    return `http://127.0.0.1:${(this.hub.address() as AddressInfo).port}`;
  }

  private get storageAddress(): string {
    return `http://${this.storageHost}:${(this.storage.address() as AddressInfo).port}`;
  }

  /** Settings that use this hub and a cache of their own. */
  settings(home: string, changes: Partial<HubSettings> = {}): HubSettings {
    const settings = hubSettings({ HF_HOME: home, HF_ENDPOINT: `${this.endpoint}/` });
    return { ...settings, retryDelay: 1, stallTimeout: 300, ...changes };
  }

  /** Commits files to a repository and returns the commit. */
  commit(name: string, files: Files, options: { access?: Repo["access"]; ref?: string } = {}): string {
    const { access = "open", ref = "main" } = options;
    const repo = this.repos.get(name) ?? { commits: new Map(), refs: new Map(), access };
    const entries = Object.entries(files).map(([path, data]) => [path, bufferOf(data)] as const);
    const commit = sha1(`${name} ${repo.commits.size} ${entries.map(([path, data]) => path + oidOf(data)).join()}`);
    repo.commits.set(commit, new Map(entries));
    repo.refs.set(ref, commit);
    this.repos.set(name, repo);
    return commit;
  }

  /** The next answer whose address matches goes wrong; further calls are for further answers. */
  fail(path: RegExp, fault: Fault): void {
    this.faults.push({ path, fault });
  }

  /** Nothing goes wrong any more. */
  forgive(): void {
    this.faults.length = 0;
  }

  /** Addresses of the files that were asked for, each as often as it was. */
  filesAsked(): string[] {
    return this.log.flatMap(({ path }) => /\/resolve\/[^/]+\/(.*)$/.exec(path)?.[1] ?? []);
  }

  private async serve(
    request: IncomingMessage,
    response: ServerResponse,
    answer: (request: IncomingMessage, url: URL, response: ServerResponse) => Promise<void>,
  ): Promise<void> {
    const url = new URL(request.url!, this.endpoint);
    const { range, authorization } = request.headers;
    this.log.push({ method: request.method!, path: url.pathname, range, authorization });
    const place = this.faults.findIndex(({ path }) => path.test(url.pathname));
    const fault = place < 0 ? undefined : this.faults.splice(place, 1)[0]!.fault;
    if (fault && "body" in fault && !("status" in fault)) {
      response.writeHead(206, { "content-range": `bytes 0-${fault.body.length - 1}/${fault.body.length}` });
      response.end(fault.body);
      return;
    }
    if (fault && "status" in fault) {
      response.writeHead(fault.status, fault.headers).end(fault.body);
      return;
    }
    if (fault && "hangUp" in fault) {
      request.socket.destroy();
      return;
    }
    this.mostOpen = Math.max(this.mostOpen, ++this.open);
    response.on("close", () => this.open--);
    if (fault) Object.assign(response, { fault });
    await answer(request, url, response);
  }

  private async answer(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    const path = decodeURIComponent(url.pathname);
    if (request.method === "POST") return await this.receive(request, path, response);
    const [, searched] = /^\/api\/(model|dataset)s$/.exec(path) ?? [];
    if (searched !== undefined) return this.search(searched, url, response);
    const [, asked, about] = /^\/api\/(model|dataset)s\/([^/]+\/[^/]+)$/.exec(path) ?? [];
    if (asked !== undefined) {
      const found = this.find(asked === "model" ? about! : `datasets/${about}`, "main", request, response);
      return found && json(response, { id: about, sha: found.commit });
    }
    const [, kind, name, what, rest] =
      /^\/api\/(model|dataset)s\/([^/]+\/[^/]+)\/(revision|tree)\/(.*)$/.exec(path) ?? [];
    if (kind !== undefined) {
      const found = this.find(kind === "model" ? name! : `datasets/${name}`, rest!, request, response);
      if (!found) return;
      if (what === "revision") return json(response, { id: name, sha: found.commit });
      return this.list(found.files, url, response);
    }
    const [, repo, revision, file] = /^\/((?:datasets\/)?[^/]+\/[^/]+)\/resolve\/([^/]+)\/(.*)$/.exec(path) ?? [];
    const found = repo === undefined ? undefined : this.find(repo, revision!, request, response, true);
    if (!found) {
      if (repo === undefined) response.writeHead(404).end("Not found");
      return;
    }
    const headers = { "x-repo-commit": found.commit };
    const data = found.files.get(file!);
    if (!data) return refuse(response, 404, "EntryNotFound", "Entry not found", headers);
    if (sizeOf(data) < LARGE) return await this.send(request, response, data, { ...headers, etag: `"${oidOf(data)}"` });
    response.writeHead(302, {
      ...headers,
      "x-linked-etag": `"${sha256(data)}"`,
      "x-linked-size": sizeOf(data),
      location: `${this.storageAddress}/${sha256(data)}?signature=abc`,
    });
    response.end();
  }

  /** Open repositories of a kind whose names have a text in them, or are of an organization. */
  private search(kind: string, { searchParams }: URL, response: ServerResponse): void {
    const [text, author] = [searchParams.get("search"), searchParams.get("author")];
    const open = [...this.repos].filter(([, { access }]) => access === "open").map(([name]) => name);
    const names = open.flatMap((name) => {
      const own = name.startsWith("datasets/") ? name.slice("datasets/".length) : name;
      return (own === name) === (kind === "model") ? [own] : [];
    });
    const found = names.filter((name) =>
      text === null ? name.startsWith(`${author}/`) : name.toLowerCase().includes(text.toLowerCase()),
    );
    json(
      response,
      found.map((id) => ({ id })),
    );
  }

  private find(name: string, revision: string, request: IncomingMessage, response: ServerResponse, forFile = false) {
    const repo = this.repos.get(name);
    const { authorization } = request.headers;
    const known = authorization === `Bearer ${TOKEN}`;
    if (authorization !== undefined && !known) {
      return refuse(response, 401, "", "Invalid credentials in Authorization header");
    }
    if (repo === undefined || (repo.access === "private" && !known)) {
      const status = known ? 404 : 401;
      return refuse(response, status, "RepoNotFound", known ? "Repository not found" : "Invalid username or password.");
    }
    if (repo.access === "gated" && forFile) {
      const said = `Access to model ${name} is restricted. You must have access to it and be authenticated to access it.`;
      return refuse(response, known ? 403 : 401, "GatedRepo", said);
    }
    const commit = repo.refs.get(revision) ?? revision;
    const files = repo.commits.get(commit);
    if (!files) return refuse(response, 404, "RevisionNotFound", `Invalid rev id: ${revision}`);
    return { commit, files };
  }

  private list(files: ReadonlyMap<string, Buffer>, url: URL, response: ServerResponse): void {
    const start = Number(url.searchParams.get("cursor") ?? 0);
    const folders = [...new Set([...files.keys()].flatMap((path) => /^(.*)\//.exec(path)?.[1] ?? []))];
    const all = [
      ...folders.map((path) => ({ type: "directory", oid: sha1(path), size: 0, path })),
      ...[...files].map(([path, data]) => {
        const size = sizeOf(data);
        if (size < LARGE) return { type: "file", oid: oidOf(data), size, path };
        const lfs = { oid: sha256(data), size, pointerSize: 134 };
        return { type: "file", oid: sha1(`pointer ${lfs.oid}`), size, lfs, path };
      }),
    ];
    const end = start + PAGE_LENGTH;
    url.searchParams.set("cursor", String(end));
    json(response, all.slice(start, end), end < all.length ? { link: `<${url}>; rel="next"` } : {});
  }

  /** The storage host, which takes signed addresses and no tokens. */
  private async store(request: IncomingMessage, url: URL, response: ServerResponse): Promise<void> {
    if (request.headers.authorization !== undefined) {
      response.writeHead(400).end("Only one auth mechanism allowed");
      return;
    }
    const hash = url.pathname.slice(1);
    if (request.method === "PUT") {
      const body = await bodyOf(request);
      this.uploaded.set(sha256(body), body);
      response.writeHead(sha256(body) === hash ? 200 : 400).end();
      return;
    }
    const blobs = [...this.repos.values()].flatMap(({ commits }) =>
      [...commits.values()].flatMap((files) => [...files.values()]),
    );
    const data = blobs.find((blob) => sha256(blob) === hash);
    if (!data) response.writeHead(404).end();
    else await this.send(request, response, data, { etag: `"${hash}"` });
  }

  private async send(
    request: IncomingMessage,
    response: ServerResponse & { fault?: Fault },
    whole: Buffer,
    headers: Record<string, string>,
  ): Promise<void> {
    const fault: Fault | { readonly none: true } = response.fault ?? { none: true };
    if (this.delay > 0) await new Promise((resolve) => setTimeout(resolve, this.delay));
    const size = sizeOf(whole);
    const asked = "ignoreRange" in fault ? null : /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "");
    const start = Number(asked?.[1] ?? 0);
    const end = asked?.[2] ? Math.min(Number(asked[2]) + 1, size) : size;
    if (start >= size) {
      response.writeHead(416, { "content-range": `bytes */${size}` }).end();
      return;
    }
    const right = Buffer.alloc(end - start);
    whole.copy(right, 0, start, end);
    const data = "corrupt" in fault ? Buffer.alloc(right.length, 63) : right;
    const range = asked && { "content-range": `bytes ${start}-${end - 1}/${size}` };
    response.writeHead(range ? 206 : 200, {
      ...headers,
      ...range,
      "content-length": data.length,
      "accept-ranges": "bytes",
    });
    if (request.method === "HEAD") response.end();
    else if ("dropAfter" in fault)
      response.write(data.subarray(0, fault.dropAfter), () => setTimeout(() => response.socket?.destroy(), 20));
    else if ("stallAfter" in fault) response.write(data.subarray(0, fault.stallAfter));
    else response.end(data);
  }

  private async receive(request: IncomingMessage, path: string, response: ServerResponse): Promise<void> {
    const text = (await bodyOf(request)).toString();
    if (request.headers.authorization !== `Bearer ${TOKEN}`) return refuse(response, 401, "", "Invalid credentials");
    if (path === "/api/repos/create") return this.create(JSON.parse(text) as NewRepo, response);
    if (path.includes("/preupload/")) {
      const { files } = JSON.parse(text) as { files: { path: string; size: number }[] };
      const mode = (size: number) => (size < LARGE ? "regular" : "lfs");
      return json(response, { files: files.map((file) => ({ path: file.path, uploadMode: mode(file.size) })) });
    }
    if (path.endsWith("/info/lfs/objects/batch")) {
      const { objects } = JSON.parse(text) as { objects: { oid: string; size: number }[] };
      const actions = ({ oid }: { oid: string }) => ({
        upload: { href: `${this.storageAddress}/${oid}?signature=abc` },
      });
      return json(response, { transfer: "basic", objects: objects.map((one) => ({ ...one, actions: actions(one) })) });
    }
    if (path.includes("/commit/")) return this.acceptCommit(text, response);
    response.writeHead(404).end();
  }

  private create({ name, organization, private: isPrivate = false }: NewRepo, response: ServerResponse): undefined {
    const repo = `${organization}/${name}`;
    if (organization === "others")
      return refuse(response, 403, "", "You don't have the rights to create a model under this namespace");
    if (this.repos.has(repo)) return refuse(response, 409, "", "You already created this model repo");
    this.commit(repo, { ".gitattributes": "" }, { access: isPrivate ? "private" : "open" });
    json(response, { url: `${this.endpoint}/${repo}`, name: repo });
  }

  /** Whether a repository that was created is for its owner alone. */
  accessOf(name: string): Repo["access"] | undefined {
    return this.repos.get(name)?.access;
  }

  private acceptCommit(text: string, response: ServerResponse): undefined {
    const lines = text
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as { key: string; value: Record<string, string> });
    const files = lines.flatMap(({ key, value }): [string, string][] => {
      if (key === "file") return [[value.path!, Buffer.from(value.content!, "base64").toString()]];
      return key === "lfsFile" ? [[value.path!, `sha256:${value.oid}`]] : [];
    });
    const card = files.find(([path]) => path === "README.md")?.[1] ?? "";
    // As the hub refuses cards whose base model is no name.
    if (/^base_model: "?\//m.test(card)) return refuse(response, 400, "", '"base_model" must be a valid model id');
    this.pushed.push({ summary: lines[0]!.value.summary!, files: Object.fromEntries(files) });
    json(response, { success: true, commitOid: sha1(text), commitUrl: `${this.endpoint}/commit`, hookOutput: "" });
  }
}

interface NewRepo {
  readonly name: string;
  readonly organization: string;
  readonly private?: boolean;
}

function json(response: ServerResponse, value: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-type": "application/json", ...headers }).end(JSON.stringify(value));
}

function refuse(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): undefined {
  const coded = code === "" ? {} : { "x-error-code": code };
  response.writeHead(status, { "content-type": "application/json", "x-error-message": message, ...coded, ...headers });
  response.end(JSON.stringify({ error: message }));
}

async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of request) chunks.push(chunk as Uint8Array);
  return Buffer.concat(chunks);
}
