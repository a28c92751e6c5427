/** Serves folders on this machine alone, as a host of static files does: what built pages are tested on. */

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { extname, join, sep } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".svg": "image/svg+xml",
  ".wasm": "application/wasm",
  ".woff2": "font/woff2",
};

/** Headers that make a page cross-origin isolated: with them it may have memory that its threads share. */
const ISOLATION = { "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

interface StaticServer extends AsyncDisposable {
  /** Where it listens, without a slash at the end. */
  readonly url: string;
  /** Paths that were asked for, in order. */
  readonly requests: readonly string[];
}

/**
 * Serves folders by the beginning of the path: `{ "/": "dist/web", "/engine/": "node_modules/onnxruntime-web/dist" }`. A path
 * that ends in a slash is its `index.html`. Dispose of it.
 */
export async function serveFolders(
  folders: Readonly<Record<string, string>>,
  { isolated = false }: { readonly isolated?: boolean } = {},
): Promise<StaticServer> {
  const prefixes = Object.keys(folders).sort((a, b) => b.length - a.length);
  const requests: string[] = [];
  const server = createServer(async (request, response) => {
    const path = decodeURIComponent(new URL(request.url!, "http://localhost").pathname);
    requests.push(path);
    const prefix = prefixes.find((start) => path.startsWith(start));
    const file = prefix && join(folders[prefix]!, path.slice(prefix.length), path.endsWith("/") ? "index.html" : "");
    const found = file && !path.includes(`..${sep}`) ? await readFile(file).catch(() => undefined) : undefined;
    const type = found ? (TYPES[extname(file!)] ?? "application/octet-stream") : "text/plain";
    response.writeHead(found ? 200 : 404, { "Content-Type": type, ...(isolated && ISOLATION) });
    response.end(found ?? `There is nothing at ${path}.`);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
