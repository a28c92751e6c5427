/** What the hub's tests share: a hub for a file's tests, a cache for each of them, and files of models. */

import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach } from "vitest";
import type { HubEvent, HubOptions, HubSettings } from "../../src/hub/index.ts";
import { Random } from "../../src/random.ts";
import { type Files, TestHub } from "./server.ts";

interface Setup {
  hub: TestHub;
  /** HF_HOME. */
  home: string;
  /** What was told to whoever watches. */
  events: HubEvent[];
  options(changes?: Partial<HubSettings>, signal?: AbortSignal): HubOptions;
  /** The folder of a repository in the cache: `models--org--name`. */
  cache(folder: string, ...path: string[]): string;
}

/** A new hub with an empty cache for each test. */
export function withHub(): Setup {
  const setup: Setup = {
    hub: undefined!,
    home: "",
    events: [],
    options: (changes, signal) => ({
      settings: setup.hub.settings(setup.home, changes),
      observer: (event) => setup.events.push(event),
      signal,
    }),
    cache: (folder, ...path) => join(setup.home, "hub", folder, ...path),
  };
  beforeEach(async () => {
    setup.hub = await TestHub.start();
    setup.home = mkdtempSync(join(tmpdir(), "preftune-hub-"));
    setup.events = [];
  });
  afterEach(async () => {
    await setup.hub[Symbol.asyncDispose]();
    rmSync(setup.home, { recursive: true, force: true });
  });
  return setup;
}

/** Bytes that no other seed has. */
export function randomBytes(length: number, seed: number): Uint8Array {
  const random = new Random(seed);
  return Uint8Array.from({ length }, () => Math.floor(256 * random.next()));
}

export const weights = randomBytes(300_000, 1);

export const modelFiles: Files = {
  "README.md": "# A model",
  "config.json": '{"model_type": "llama"}',
  "generation_config.json": "{}",
  "model.safetensors": weights,
  "onnx/model.onnx": randomBytes(2000, 2),
  "pytorch_model.bin": randomBytes(2000, 3),
  "tokenizer.json": '{"model": {}}',
  "tokenizer_config.json": "{}",
};

export function readText(...path: string[]): string {
  return readFileSync(join(...path), "utf8");
}
