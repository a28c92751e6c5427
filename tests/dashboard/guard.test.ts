/** Who is answered, and who is not: other pages, other names, no token, paths that lead elsewhere, and whatever is no GET. */

import { existsSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Dashboard, startDashboard } from "../../src/dashboard/server.ts";
import { ConfigError } from "../../src/errors.ts";
import { scratchFolder } from "../support/scratch.ts";
import { ask, Browser, writeRun } from "./support.ts";

const { at } = scratchFolder();
writeFileSync(at("secret.txt"), "a secret");
writeFileSync(at("config.json"), '{"secret": true}');
writeRun(at("runs", "first"));
writeRun(at("runs", "going"), { steps: 2 }).write("running.json", { pid: process.pid, host: "elsewhere", started: 0 });

let dashboard: Dashboard;
let browser: Browser;
let id: string;
let going: string;
beforeAll(async () => {
  dashboard = await startDashboard({ folder: at("runs"), page: false });
  browser = await Browser.open(dashboard);
  [id, going] = [await browser.idOf("first"), await browser.idOf("going")];
});
afterAll(() => dashboard[Symbol.asyncDispose]());

const routes = () => [
  "/api/runs",
  `/api/runs/${id}`,
  `/api/runs/${id}/samples`,
  `/api/runs/${id}/eval-rows`,
  `/api/runs/${id}/suspects`,
  `/api/series?run=${id}&metric=loss`,
  `/api/series.csv?run=${id}&metric=loss`,
  `/api/difference?run=${id}`,
  "/api/events",
  "/",
  "/dashboard.html",
];

describe("the token", () => {
  it("is in the address that is opened, is hard to guess, and leaves it at once for a cookie that scripts can't read", async () => {
    const url = new URL(dashboard.url);
    expect(url.hostname).toBe("127.0.0.1");
    expect(Buffer.from(url.searchParams.get("token")!, "base64url").length).toBeGreaterThanOrEqual(16);
    const { status, headers } = await ask(dashboard.port, url.pathname + url.search);
    expect(status).toBe(303);
    expect(headers.location).toBe("/");
    expect(headers["set-cookie"]).toEqual([
      expect.stringMatching(new RegExp(`^preftune-${dashboard.port}=[\\w-]{43}; Path=/; HttpOnly; SameSite=Strict$`)),
    ]);
    expect(headers["set-cookie"]![0]).not.toContain(url.searchParams.get("token"));
  });

  it("is another for every server", async () => {
    await using other = await startDashboard({ folder: at("runs"), page: false });
    expect(new URL(other.url).search).not.toBe(new URL(dashboard.url).search);
    expect((await ask(other.port, "/api/runs", { headers: { cookie: browser.cookie } })).status).toBe(401);
  });

  it("that is missing or wrong opens no route, and says nothing of what there is", async () => {
    const cookies = [
      undefined,
      "",
      "preftune=x",
      `preftune-${dashboard.port}=`,
      `${browser.cookie}x`,
      browser.cookie.slice(0, -1),
    ];
    for (const cookie of cookies) {
      for (const route of [...routes(), "/api/runs/nothing", "/api/nothing"]) {
        const { status, text } = await ask(dashboard.port, route, { headers: cookie === undefined ? {} : { cookie } });
        expect([route, cookie, status]).toEqual([route, cookie, 401]);
        expect(text).toContain("Open the address that preftune ui has printed");
        expect(text).not.toContain("first");
      }
    }
    const token = new URL(dashboard.url).searchParams.get("token")!;
    for (const wrong of ["", "x", token.slice(1), `${token}x`, token.toLowerCase()]) {
      const { status, headers } = await ask(dashboard.port, `/?token=${wrong}`);
      expect([wrong, status, headers["set-cookie"]]).toEqual([wrong, 401, undefined]);
    }
    // In the address it lets nobody in but to the cookie.
    expect((await ask(dashboard.port, `/api/runs?token=${token}`)).status).toBe(401);
  });
});

describe("a request", () => {
  it("under a name that is not this machine's is refused: DNS may lead any name here", async () => {
    const { port } = dashboard;
    for (const host of [
      "evil.example",
      `evil.example:${port}`,
      `127.0.0.1.evil.example:${port}`,
      "127.0.0.1",
      "127.0.0.1:1",
      `0.0.0.0:${port}`,
      `localhost.:${port}`,
    ]) {
      for (const route of routes()) {
        const { status, text } = await browser.ask(route, { headers: { host } });
        expect([host, route, status]).toEqual([host, route, 403]);
        expect(text).not.toContain("first");
      }
      const { search } = new URL(dashboard.url);
      expect((await browser.ask(`/${search}`, { headers: { host } })).headers["set-cookie"]).toBeUndefined();
    }
    for (const host of [`localhost:${port}`, `LOCALHOST:${port}`, `[::1]:${port}`]) {
      expect((await browser.ask("/api/runs", { headers: { host } })).status).toBe(200);
    }
  });

  it("of another page is refused, with the cookie too", async () => {
    const { port } = dashboard;
    const origins = [
      "http://evil.example",
      "null",
      `https://127.0.0.1:${port}`,
      "http://127.0.0.1:1",
      `http://localhost:${port}`,
    ];
    for (const origin of origins) {
      expect([origin, (await browser.ask("/api/runs", { headers: { origin } })).status]).toEqual([origin, 403]);
    }
    for (const site of ["cross-site", "same-site", "anything"]) {
      expect((await browser.ask("/api/runs", { headers: { "sec-fetch-site": site } })).status).toBe(403);
    }
    const own = { origin: `http://127.0.0.1:${port}`, "sec-fetch-site": "same-origin" };
    expect((await browser.ask("/api/runs", { headers: own })).status).toBe(200);
    expect((await browser.ask("/api/runs", { headers: { "sec-fetch-site": "none" } })).status).toBe(200);
  });

  it("that is no GET changes nothing", async () => {
    for (const method of ["HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"]) {
      for (const route of [...routes(), `/api/runs/${going}/stop`]) {
        expect([method, route, (await browser.ask(route, { method })).status]).toEqual([method, route, 405]);
      }
    }
    expect((await browser.ask(`/api/runs/${going}/stop`)).status).toBe(404);
  });

  it("has its answer kept from caches, other pages and guesses of its type", async () => {
    for (const route of ["/api/runs", "/", "/nothing"]) {
      const { headers } = await browser.ask(route);
      expect(headers).toMatchObject({
        "x-content-type-options": "nosniff",
        "referrer-policy": "no-referrer",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-embedder-policy": "require-corp",
        "cross-origin-resource-policy": "same-origin",
        "cache-control": "no-store",
      });
      const policy = headers["content-security-policy"] as string;
      expect(policy).toContain("default-src 'none'");
      expect(policy).toContain("script-src 'self' 'wasm-unsafe-eval';");
      expect(policy).toContain("frame-ancestors 'none'");
      expect(headers["access-control-allow-origin"]).toBeUndefined();
    }
  });
});

describe("stopping a run", () => {
  const own = () => ({ origin: `http://127.0.0.1:${dashboard.port}`, "x-preftune": "stop" });
  const stop = (run: string, headers: Record<string, string>, anonymous = false) =>
    browser.ask(`/api/runs/${run}/stop`, { method: "POST", headers, anonymous });

  it("is not for a form, a link, another page or somebody without the token", async () => {
    const { origin, ...action } = own();
    expect((await stop(going, {})).status).toBe(403);
    expect((await stop(going, action)).status).toBe(403);
    expect((await stop(going, { origin })).status).toBe(403);
    expect((await stop(going, { ...own(), "x-preftune": "start" })).status).toBe(403);
    expect((await stop(going, { ...own(), origin: "http://evil.example" })).status).toBe(403);
    expect((await stop(going, { ...own(), "sec-fetch-site": "cross-site" })).status).toBe(403);
    expect((await stop(going, own(), true)).status).toBe(401);
    expect(existsSync(at("runs", "going", "stop"))).toBe(false);
  });

  it("is not for runs that do not run, nor for what is no run", async () => {
    expect(await stop(id, own())).toMatchObject({ status: 409, text: expect.stringContaining("first is not running") });
    expect((await stop("..", own())).status).toBe(404);
    expect((await stop("%2e%2e%2fgoing", own())).status).toBe(404);
    expect(existsSync(at("runs", "first", "stop"))).toBe(false);
  });

  it("leaves the file that the trainer looks for, and says that it was asked for", async () => {
    expect(await stop(going, own())).toMatchObject({ status: 200, text: JSON.stringify({ run: going }) });
    expect(existsSync(at("runs", "going", "stop"))).toBe(true);
    const { runs } = await browser.list();
    expect(runs.find((run) => run.id === going)).toMatchObject({ state: "running", stopping: true });
  });

  it("makes no file through a link in the place of it", async () => {
    const trap = writeRun(at("runs", "trap"), { steps: 2 });
    trap.write("running.json", { pid: process.pid, host: "elsewhere", started: 0 });
    symlinkSync(at("victim"), at("runs", "trap", "stop"));
    expect((await stop(await browser.idOf("trap"), own())).status).toBe(200);
    expect(existsSync(at("victim"))).toBe(false);
  });

  it("is the only thing that a POST does", async () => {
    for (const route of routes()) {
      const { status } = await browser.ask(route, { method: "POST", headers: own() });
      expect([route, status]).toEqual([route, 404]);
    }
  });
});

describe("a path", () => {
  const climbs = [
    "..",
    "../secret.txt",
    "..%2fsecret.txt",
    "%2e%2e%2fsecret.txt",
    "%2e%2e/secret.txt",
    "%252e%252e%252fsecret.txt",
    "..\\secret.txt",
    "..%5csecret.txt",
    "....//secret.txt",
    "first/../../secret.txt",
    "first%00",
    "%",
    "%zz",
    "%c0%ae%c0%ae%c0%afsecret.txt",
    "/etc/passwd",
    "file:///etc/passwd",
  ];

  it("leads nowhere but to runs that were found, in whatever place and writing it has `..`", async () => {
    for (const climb of climbs) {
      const paths = [
        `/${climb}`,
        `/assets/${climb}`,
        `/api/${climb}`,
        `/api/runs/${climb}`,
        `/api/runs/${climb}/samples`,
        `/api/runs/${climb}/eval-rows`,
        `/api/runs/${climb}/suspects`,
        `/api/runs/${id}/${climb}`,
        `/api/report/${climb}`,
        `/api/series?run=${climb}&metric=loss`,
        `/api/series.csv?run=${climb}&metric=loss`,
        `/api/difference?run=${climb}`,
        `/api/runs/${id}/samples?prompt=${climb}`,
        `/api/runs/${id}/samples?offset=${climb}`,
        `/api/runs/${id}/eval-rows?sort=${climb}`,
        `/api/runs/${id}/eval-rows?limit=${climb}`,
        `/api/runs/${id}/suspects?offset=${climb}`,
        `/api/series?run=${id}&metric=loss&axis=${climb}`,
        `/api/series?run=${id}&metric=loss&points=${climb}`,
        `/api/series?run=${id}&metric=loss&from=${climb}`,
      ];
      for (const path of paths) {
        const { status, text } = await browser.ask(path);
        expect([path, [400, 404].includes(status)]).toEqual([path, true]);
        expect(text).not.toMatch(/a secret|"secret"|root:/);
      }
    }
    // Where any text may stand, it is only looked for.
    for (const climb of climbs) {
      expect(await browser.json(`/api/series?run=${id}&metric=${climb}`)).toEqual({ series: [] });
      expect(await browser.json(`/api/runs/${id}/eval-rows?search=${climb}`)).toMatchObject({ total: 0, rows: [] });
    }
  });

  it("of a run's own name is no way to it either: there are ids", async () => {
    expect((await browser.ask("/api/runs/first")).status).toBe(404);
  });
});

describe("a number", () => {
  it("that is too large, or none, is refused by its name", async () => {
    const huge = ["1e9", "99999999999999999999", "-1", "1.5", "NaN", "Infinity", "0x10", "", " ", "1;2"];
    for (const value of huge) {
      const query = encodeURIComponent(value);
      for (const path of [
        `/api/runs/${id}/samples?limit=`,
        `/api/runs/${id}/eval-rows?offset=`,
        `/api/series?run=${id}&metric=loss&points=`,
      ]) {
        const { status, text } = await browser.ask(`${path}${query}`);
        expect([path, value, status]).toEqual([path, value, 400]);
        expect(JSON.parse(text).error).toMatch(/^(limit|offset|points) must be a whole number from \d+ to \d+\.$/);
      }
    }
    for (const value of ["NaN", "1e999", "x", "--1"]) {
      expect((await browser.ask(`/api/series?run=${id}&metric=loss&to=${value}`)).status).toBe(400);
    }
    expect((await browser.ask(`/api/series?run=${id}&metric=loss&points=4001`)).status).toBe(400);
    expect((await browser.ask(`/api/series?run=${id}&metric=loss&points=0`)).status).toBe(400);
  });

  it("of runs or metrics that are too many is refused", async () => {
    const metrics = Array.from({ length: 201 }, (_, i) => `&metric=m${i}`).join("");
    expect((await browser.ask(`/api/series?run=${id}${metrics}`)).status).toBe(400);
    expect((await browser.ask("/api/series?metric=loss")).status).toBe(400);
    expect((await browser.ask(`/api/series?run=${id}`)).status).toBe(400);
    expect((await browser.ask("/api/difference")).status).toBe(400);
  });
});

describe("the port", () => {
  it("that is taken is refused with what to do", async () => {
    const other = createServer().listen(0, "127.0.0.1");
    await new Promise((resolve) => other.once("listening", resolve));
    const { port } = other.address() as { port: number };
    await expect(startDashboard({ folder: at("runs"), page: false, port })).rejects.toThrow(
      new ConfigError(`Port ${port} of 127.0.0.1 can't be had (it is in use). Give another --port, or none.`),
    );
    other.close();
  });
});
