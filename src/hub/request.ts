/**
 * Requests to the hub: with the token for the hub alone, repeated when it is busy or the connection fails, and its refusals
 * in words.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { HubError } from "../errors.ts";
import { version } from "../version.ts";
import { refusal } from "./refusal.ts";
import type { RepoReference, Session } from "./session.ts";

/** How often a request is repeated without anything having arrived. */
export const MAX_REPETITIONS = 5;
/** A hub that asks for more patience than this is not waited for. */
const MAX_WAIT_SECONDS = 300;
const BUSY = new Set([408, 429, 500, 502, 503, 504]);

/** What a request is about, for messages. */
export interface Subject extends RepoReference {
  readonly file?: string;
}

/** The network is at fault, not the hub's answer. */
export class Unreachable extends HubError {
  /** Without a full stop. */
  readonly reason: string;

  constructor(message: string, reason: string, options?: ErrorOptions) {
    super(message, options);
    this.reason = reason;
  }
}

/**
 * A `fetch` for everything about `subject`. Throws HubError for every refusal but those of the `accepted` status codes, and
 * Unreachable where no answer comes.
 */
export function fetchAbout(session: Session, subject: Subject, accepted: readonly number[] = []): typeof fetch {
  return async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input);
    for (let repetition = 1; ; repetition++) {
      const last = repetition > MAX_REPETITIONS || init.body instanceof ReadableStream;
      let reason: string;
      let asked: number | undefined;
      try {
        const response = await attempt(session, url, init);
        if (response.ok || accepted.includes(response.status)) return response;
        if (last || !BUSY.has(response.status)) throw await refusal(session, subject, response);
        reason = `${url.host} answered ${response.status}`;
        asked = secondsAsked(response.headers);
        if ((asked ?? 0) > MAX_WAIT_SECONDS) throw await refusal(session, subject, response);
        await response.body?.cancel();
      } catch (error) {
        session.signal?.throwIfAborted();
        if (error instanceof HubError) throw error;
        reason = `${url.host} can't be reached (${networkReason(error)})`;
        if (last) throw unreachable(subject, reason, error);
      }
      await pause(session, subject, repetition, reason, asked);
    }
  };
}

/** Waits before a repetition, as long as was asked for, else longer each time. */
export async function pause(
  { settings, tell, signal }: Session,
  { name }: Subject,
  repetition: number,
  reason: string,
  asked?: number,
): Promise<void> {
  const milliseconds = asked === undefined ? settings.retryDelay * 2 ** (repetition - 1) : 1000 * asked;
  tell({ kind: "wait", name, seconds: milliseconds / 1000, reason });
  await sleep(milliseconds, undefined, { signal });
}

async function attempt({ settings, signal }: Session, url: URL, init: RequestInit): Promise<Response> {
  const headers = new Headers(init.headers);
  // The token is the hub's: storage that it redirects to has signed addresses instead.
  if (url.origin === new URL(settings.endpoint).origin) {
    headers.delete("authorization");
    headers.set("user-agent", `preftune/${version}; node/${process.version}`);
    if (settings.token !== undefined) headers.set("authorization", `Bearer ${settings.token}`);
  }
  const stalled = new AbortController();
  // A body that is sent may take any time until the answer.
  const sends = init.body !== undefined && init.body !== null;
  const timer = sends ? undefined : setTimeout(() => stalled.abort(new Error("no answer")), settings.stallTimeout);
  const signals = [signal, init.signal, stalled.signal].filter((each) => each instanceof AbortSignal);
  try {
    return await fetch(url, { ...init, headers, signal: AbortSignal.any(signals) });
  } finally {
    clearTimeout(timer);
  }
}

/** What the headers ask to wait, in seconds: `retry-after`, or the reset `t` of `ratelimit`. */
function secondsAsked(headers: Headers): number | undefined {
  const after = headers.get("retry-after") ?? /\bt=(\d+)/.exec(headers.get("ratelimit") ?? "")?.[1];
  if (after === undefined) return undefined;
  const seconds = /^\d+(\.\d+)?$/.test(after) ? Number(after) : (Date.parse(after) - Date.now()) / 1000;
  return Number.isFinite(seconds) ? Math.max(0, seconds) : undefined;
}

function unreachable({ name }: Subject, reason: string, cause: unknown): Unreachable {
  // Node's fetch knows proxies only since it was told to (version 22.21 and 24).
  const proxy = process.env.HTTPS_PROXY ?? process.env.https_proxy;
  const hint = proxy
    ? " HTTPS_PROXY is set: Node uses it where NODE_USE_ENV_PROXY=1 is set too, from version 22.21 on."
    : "";
  return new Unreachable(
    `${name}: ${reason}. Check the connection; HF_ENDPOINT names another hub, and HF_HUB_OFFLINE=1 uses what is in the cache.${hint}`,
    reason,
    { cause },
  );
}

/** Why a connection failed, in a few words. */
export function networkReason(error: unknown): string {
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  const { code = "", message } = cause as NodeJS.ErrnoException;
  const reasons: Readonly<Record<string, string>> = {
    ENOTFOUND: "there is no such host",
    EAI_AGAIN: "its address can't be looked up",
    ECONNREFUSED: "the connection was refused",
    ECONNRESET: "the connection was dropped",
    UND_ERR_SOCKET: "the connection was dropped",
    UND_ERR_CONNECT_TIMEOUT: "no answer",
    UND_ERR_BODY_TIMEOUT: "no answer",
  };
  return reasons[code] ?? message;
}
