/** The page's own files: with their types, kept by browsers as long as they stay the same, packed, and no others. */

import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { StaticFiles } from "../../src/dashboard/static-files.ts";
import { scratchFolder } from "../support/scratch.ts";

const { at } = scratchFolder();
const script = "export const answer = 42;\n".repeat(100);
mkdirSync(at("web", "assets"), { recursive: true });
writeFileSync(at("secret.txt"), "a secret");
writeFileSync(at("web", "dashboard.html"), "<!doctype html>");
writeFileSync(at("web", "assets", "main-C0ffee12.js"), script);
writeFileSync(at("web", "assets", "engine.wasm"), Uint8Array.of(0, 97, 115, 109));
symlinkSync(at("secret.txt"), at("web", "link.txt"));
const files = new StaticFiles(at("web"));

const answer = (name: string, headers: Record<string, string> = {}) => files.answer(name, new Headers(headers));

describe("a file of the page", () => {
  it("comes as it is, with its type", async () => {
    const types = { "dashboard.html": "text/html; charset=utf-8", "assets/engine.wasm": "application/wasm" };
    for (const [name, type] of Object.entries(types)) {
      const response = (await answer(name))!;
      expect([response.status, response.headers.get("content-type")]).toEqual([200, type]);
    }
    expect(await (await answer("assets/main-C0ffee12.js"))!.text()).toBe(script);
  });

  it("is kept for ever where its name changes with it, and asked for again otherwise", async () => {
    const caching = async (name: string) => (await answer(name))!.headers.get("cache-control");
    expect(await caching("assets/main-C0ffee12.js")).toBe("private, max-age=31536000, immutable");
    expect(await caching("dashboard.html")).toBe("no-cache");
    expect(await caching("assets/engine.wasm")).toBe("no-cache");
  });

  it("is not sent again to a browser that has it", async () => {
    const etag = (await answer("dashboard.html"))!.headers.get("etag")!;
    const again = (await answer("dashboard.html", { "if-none-match": etag }))!;
    expect([again.status, await again.text()]).toEqual([304, ""]);
    expect((await answer("dashboard.html", { "if-none-match": 'W/"other"' }))!.status).toBe(200);
  });

  it("is packed for browsers that say that they can unpack it", async () => {
    const response = (await answer("assets/main-C0ffee12.js", { "accept-encoding": "br, gzip" }))!;
    expect(response.headers.get("content-encoding")).toBe("gzip");
    const bytes = Buffer.from(await response.arrayBuffer());
    expect(bytes.length).toBeLessThan(script.length / 10);
    expect(gunzipSync(bytes).toString()).toBe(script);
  });

  it("is one that was found in its folder: nothing else has a name", async () => {
    for (const name of [
      "",
      "assets",
      "../secret.txt",
      "assets/../../secret.txt",
      "link.txt",
      "./dashboard.html",
      at("secret.txt"),
      "__proto__",
    ]) {
      expect([name, await answer(name)]).toEqual([name, undefined]);
    }
  });
});
