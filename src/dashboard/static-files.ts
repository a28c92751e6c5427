/** The built page's files: what is served is what was found in its folder when the server began, by name, so no path can lead elsewhere. */

import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { extname, join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { gzip } from "node:zlib";
import { RunError } from "../errors.ts";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript; charset=utf-8",
  ".mjs": "text/javascript; charset=utf-8",
  ".css": "text/css; charset=utf-8",
  ".json": "application/json",
  ".map": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".ico": "image/x-icon",
  ".woff2": "font/woff2",
  ".woff": "font/woff",
  ".ttf": "font/ttf",
  ".jsonl": "text/plain; charset=utf-8",
  ".safetensors": "application/octet-stream",
  ".wasm": "application/wasm",
};
const PACKED = new Set([".woff2", ".woff", ".png"]);
/** The name of a file whose content can't change under it: `assets/index-C0ffee12.js`. */
const HASHED = /^assets\/.*-[\w-]{8}\.\w+$/;

/** Where the page is built to, as seen from the sources and from what is built of them. */
const PLACES = ["../../dist/web/", "../web/"].map((place) => fileURLToPath(new URL(place, import.meta.url)));

/** The folder of the built page. Throws RunError where it is not built. */
export function pageFolder(): string {
  const folder = PLACES.find((place) => existsSync(join(place, "dashboard.html")));
  if (folder === undefined) {
    throw new RunError(`The page of the dashboard is not built (${PLACES[0]}). Make it with: npm run build`);
  }
  return folder;
}

interface StaticFile {
  readonly path: string;
  readonly type: string;
  readonly hashed: boolean;
  content?: { readonly bytes: Buffer; readonly etag: string };
  packed?: Promise<Buffer>;
}

export class StaticFiles {
  private readonly files: ReadonlyMap<string, StaticFile>;

  constructor(folder: string) {
    const entries = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
    this.files = new Map(
      entries.map((entry) => {
        const path = join(entry.parentPath, entry.name);
        const name = path.slice(join(folder, sep).length).replaceAll(sep, "/");
        const type = TYPES[extname(name)] ?? "application/octet-stream";
        return [name, { path, type, hashed: HASHED.test(name) }];
      }),
    );
  }

  /** The answer to a request for a file; undefined where there is no such file. */
  async answer(name: string, request: Headers): Promise<Response | undefined> {
    const file = this.files.get(name);
    if (file === undefined) return undefined;
    file.content ??= read(file.path);
    const { bytes, etag } = file.content;
    const headers = new Headers({
      "content-type": file.type,
      "cache-control": file.hashed ? "private, max-age=31536000, immutable" : "no-cache",
      etag,
      vary: "accept-encoding",
    });
    if (request.get("if-none-match") === etag) return new Response(null, { status: 304, headers });
    const zips = /\bgzip\b/.test(request.get("accept-encoding") ?? "") && !PACKED.has(extname(name));
    if (!zips) return new Response(new Uint8Array(bytes), { headers });
    headers.set("content-encoding", "gzip");
    file.packed ??= promisify(gzip)(bytes, { level: 6 });
    return new Response(new Uint8Array(await file.packed), { headers });
  }
}

function read(path: string): { bytes: Buffer; etag: string } {
  const bytes = readFileSync(path);
  return { bytes, etag: `W/"${createHash("sha256").update(bytes).digest("base64url").slice(0, 22)}"` };
}
