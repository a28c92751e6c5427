/**
 * Where the hub is and where its files are kept, from the environment variables that every Hugging Face library reads:
 * HF_ENDPOINT, HF_HOME, HF_HUB_CACHE, HF_HUB_OFFLINE, HF_TOKEN, HF_TOKEN_PATH, HF_HUB_DOWNLOAD_TIMEOUT.
 */

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../errors.ts";

export interface HubSettings {
  /** The hub's address, without a slash at its end. */
  readonly endpoint: string;
  /** The folder that holds `models--org--name` and its like. */
  readonly cache: string;
  readonly token: string | undefined;
  /** Where a token is looked for when HF_TOKEN has none. */
  readonly tokenFile: string;
  /** Only what is in the cache is used. */
  readonly offline: boolean;
  /** Milliseconds without an answer or a byte after which a request is given up and tried again. */
  readonly stallTimeout: number;
  /** Milliseconds before the first repetition of a request; doubled before each further one. */
  readonly retryDelay: number;
}

type Environment = Readonly<Record<string, string | undefined>>;

/** The settings that an environment gives, the process's if none is passed. Throws ConfigError for an address that is none. */
export function hubSettings(environment: Environment = process.env): HubSettings {
  const folder = (name: string) => (environment[name] ? expandHome(environment[name]) : undefined);
  const home = folder("HF_HOME") ?? join(folder("XDG_CACHE_HOME") ?? join(homedir(), ".cache"), "huggingface");
  const tokenFile = folder("HF_TOKEN_PATH") ?? join(home, "token");
  const endpoint = environment.HF_ENDPOINT || "https://huggingface.co";
  if (!/^https?:\/\//i.test(endpoint) || !URL.canParse(endpoint))
    throw new ConfigError(`HF_ENDPOINT is ${endpoint}: it must be an address, as https://huggingface.co.`);
  const seconds = Number(environment.HF_HUB_DOWNLOAD_TIMEOUT);
  return {
    endpoint: endpoint.replace(/\/+$/, ""),
    cache: folder("HF_HUB_CACHE") ?? folder("HUGGINGFACE_HUB_CACHE") ?? join(home, "hub"),
    token:
      tokenIn("HF_TOKEN", environment.HF_TOKEN) ??
      tokenIn("HUGGING_FACE_HUB_TOKEN", environment.HUGGING_FACE_HUB_TOKEN) ??
      tokenIn(tokenFile, readToken(tokenFile)),
    tokenFile,
    offline: isTrue(environment.HF_HUB_OFFLINE || environment.TRANSFORMERS_OFFLINE),
    stallTimeout: seconds > 0 ? 1000 * seconds : 30_000,
    retryDelay: 500,
  };
}

function expandHome(path: string): string {
  return path.replace(/^~(?=$|[/\\])/, homedir());
}

function isTrue(value: string | undefined): boolean {
  return ["1", "ON", "YES", "TRUE"].includes(value?.toUpperCase() ?? "");
}

/** The token in a text. Throws ConfigError for one that no request can carry. */
function tokenIn(where: string, text: string | undefined): string | undefined {
  const token = text?.trim();
  if (!token) return undefined;
  if (/^[!-~]+$/.test(token)) return token;
  throw new ConfigError(
    `${where}: the token has characters that none has, as spaces or quotes that were copied along. It begins with hf_ and has letters and digits.`,
  );
}

function readToken(file: string): string | undefined {
  try {
    return readFileSync(file, "utf8");
  } catch {
    return undefined; // No token is the usual case; a refusal says where one is looked for.
  }
}
