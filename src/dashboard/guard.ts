/**
 * Who is answered. The server listens on the loopback interface alone, but every page that the browser shows, and every other user
 * of the machine, can send requests there. So a request needs
 * - a Host that names the loopback interface and this port: a name that a stranger's DNS leads here (rebinding) is refused;
 * - where the browser says which page it comes from (Origin, Sec-Fetch-Site), this one;
 * - the cookie that is given for the token in the address that `preftune ui` prints, and to nobody else.
 * Nothing but GET is done, and one POST that only the page's own script can send.
 */

import { createHash, randomBytes, timingSafeEqual } from "node:crypto";
import type { Context, MiddlewareHandler } from "hono";
import { getCookie, setCookie } from "hono/cookie";
import type { Refusal } from "./protocol.ts";

/** The header and its value that a request to stop has: no form and no link can send it, and no other origin without being asked. */
const ACTION_HEADER = "x-preftune";

/** What is sent along with every answer. Svelte sets style attributes; the engine is WebAssembly in workers, some made of blobs. */
const HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "style-src 'self' 'unsafe-inline'",
    "img-src 'self' data: blob:",
    "font-src 'self' data:",
    "connect-src 'self' blob: data:",
    "worker-src 'self' blob:",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "x-frame-options": "DENY",
  "referrer-policy": "no-referrer",
  // With these two a page may use threads that share memory, and no other page can get hold of it.
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-embedder-policy": "require-corp",
  "cross-origin-resource-policy": "same-origin",
};

export class Guard {
  /** For the address that is opened. */
  readonly token = randomBytes(32).toString("base64url");
  private readonly session = randomBytes(32).toString("base64url");
  private port = 0;

  /** Says on which port the server listens, once it does. */
  listensOn(port: number): void {
    this.port = port;
  }

  readonly middleware: MiddlewareHandler = async (c, next) => {
    const refusal = this.refuse(c);
    if (refusal !== undefined) c.res = refused(c, refusal.status, refusal.error);
    else if (c.req.path === "/" && c.req.query("token") !== undefined) {
      // Browsers give a cookie to every port of a host: the name tells this server's from another's.
      setCookie(c, this.cookie, this.session, { httpOnly: true, sameSite: "Strict", path: "/" });
      c.res = c.redirect("/", 303);
    } else await next();
    for (const [name, value] of Object.entries(HEADERS)) c.res.headers.set(name, value);
    if (c.res.status === 405) c.res.headers.set("allow", "GET");
    if (!c.res.headers.has("cache-control")) c.res.headers.set("cache-control", "no-store");
  };

  private refuse(c: Context): { status: 401 | 403 | 405; error: string } | undefined {
    const { req } = c;
    const host = req.header("host")?.toLowerCase() ?? "";
    if (!this.hosts.has(host)) return { status: 403, error: foreignHost };
    const [origin, site] = [req.header("origin"), req.header("sec-fetch-site")];
    if (origin !== undefined && origin !== `http://${host}`) return { status: 403, error: foreignOrigin };
    if (site !== undefined && site !== "same-origin" && site !== "none") return { status: 403, error: foreignOrigin };
    // `req.raw` has the method as it was sent: a HEAD is a GET to the routes.
    const { method } = req.raw;
    if (method !== "GET" && method !== "POST") return { status: 405, error: "Only GET is done here." };
    if (method === "POST" && (origin === undefined || req.header(ACTION_HEADER) !== "stop")) {
      return { status: 403, error: "Only the dashboard's own page can ask for this." };
    }
    const token = method === "GET" && req.path === "/" ? req.query("token") : undefined;
    if (token !== undefined) return equal(token, this.token) ? undefined : { status: 401, error: unknownToken };
    return equal(getCookie(c, this.cookie) ?? "", this.session) ? undefined : { status: 401, error: missingToken };
  }

  private get cookie(): string {
    return `preftune-${this.port}`;
  }

  private get hosts(): ReadonlySet<string> {
    const names = ["127.0.0.1", "localhost", "[::1]"];
    return new Set(names.flatMap((name) => [`${name}:${this.port}`, ...(this.port === 80 ? [name] : [])]));
  }
}

const foreignHost = "This server is for this machine alone, under the address that preftune ui has printed.";
const foreignOrigin = "Another page has asked for this. Open the address that preftune ui has printed by itself.";
const missingToken = "Open the address that preftune ui has printed: it has the token that lets you in.";
const unknownToken =
  "This token is not, or no longer, the server's. Open the address that preftune ui has printed last.";

/** The page understands JSON; a person who has typed an address reads a sentence. */
export function refused(c: Context, status: 400 | 401 | 403 | 404 | 405 | 409 | 500, error: string): Response {
  return c.req.path.startsWith("/api/") ? c.json({ error } satisfies Refusal, status) : c.text(`${error}\n`, status);
}

/** Compares secrets in a time that says nothing about them. */
function equal(a: string, b: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
