/** What the hub's refusals mean, and what a person can do about each. */

import { HubError } from "../errors.ts";
import { NAMING_RULES } from "./reference.ts";
import type { Subject } from "./request.ts";
import { pageOf, type Session } from "./session.ts";
import { whatElse } from "./spelling.ts";

/** The error for an answer that is none. */
export async function refusal(session: Session, subject: Subject, response: Response): Promise<HubError> {
  const code = response.headers.get("x-error-code") ?? "";
  const said = await saidIn(response);
  const refused = { status: response.status, code, said };
  const guess = saysNowhere(session, subject, refused) ? await whatElse(session, subject) : "";
  return new HubError(messageOf(session, subject, refused, guess));
}

interface Refused {
  readonly status: number;
  /** The hub's name of the reason. */
  readonly code: string;
  /** Its words. */
  readonly said: string;
}

/** To those without a token the hub says 401 of what does not exist, so as not to tell what is private. */
function saysNowhere({ settings }: Session, { file }: Subject, { status, code }: Refused): boolean {
  if (code === "RepoNotFound") return status === 404 || status === 401;
  return (status === 404 && code === "" && file === undefined) || (status === 401 && settings.token === undefined);
}

function messageOf(session: Session, subject: Subject, refused: Refused, guess: string): string {
  const { status, code, said } = refused;
  const { kind, name, revision, file } = subject;
  const { settings } = session;
  const page = pageOf(session, subject);
  const isGated = code === "GatedRepo" || /\bgated\b|awaiting a review/i.test(said);
  if ((status === 401 || status === 403) && isGated) {
    return `${name}: its owners ask to agree to their conditions first. Open ${page}, agree, and ${howToToken(session, "then ")}`;
  }
  if (status === 401 && settings.token !== undefined && code !== "RepoNotFound") {
    return `${name}: the hub does not know the token. Make another at ${settings.endpoint}/settings/tokens, and give it by HF_TOKEN or in ${settings.tokenFile}.`;
  }
  if (code === "RevisionNotFound") {
    return `${name}: has no revision ${JSON.stringify(revision)}. Its branches and tags are at ${page}/tree/main.`;
  }
  if (code === "EntryNotFound" || (status === 404 && code === "" && file !== undefined)) {
    return `${name}: has no file ${JSON.stringify(file)} at ${JSON.stringify(revision)}. Its files are at ${page}/tree/${revision}.`;
  }
  if (status === 404 || saysNowhere(session, subject, refused)) {
    const seen = settings.token === undefined ? "without a token" : "with this token";
    return `${name}: the hub has no ${kind} of this name that can be seen ${seen}.${guess} Check the spelling at ${page}. ${NAMING_RULES} If it is private, ${howToToken(session)}`;
  }
  if (status === 403) {
    return `${name}: the token may not do that${saying(said)}. Make one that may at ${settings.endpoint}/settings/tokens.`;
  }
  if (status === 429) {
    return `${name}: the hub has been asked too often, and asks for patience${saying(said)}. Try again later; with a token it allows more.`;
  }
  return `${name}: the hub answered ${status}${saying(said)}. ${status >= 500 ? "Try again later." : `Its page is ${page}.`}`;
}

function howToToken({ settings }: Session, when = ""): string {
  return settings.token === undefined
    ? `${when}give a token of your account (${settings.endpoint}/settings/tokens) by HF_TOKEN or in ${settings.tokenFile}.`
    : `${when}check that the token is of the account that may see it.`;
}

function saying(text: string): string {
  return text === "" ? "" : ` (${text})`;
}

/** The hub's own words, at most a line of them. */
async function saidIn(response: Response): Promise<string> {
  const header = response.headers.get("x-error-message");
  const text = header ?? (await response.text().catch(() => ""));
  const said = response.headers.get("content-type")?.includes("json") && !header ? errorIn(text) : text;
  return /^\s*</.test(said) ? "" : said.replace(/\s+/g, " ").trim().slice(0, 200).replace(/\.$/, "");
}

function errorIn(text: string): string {
  try {
    const { error } = JSON.parse(text) as { error?: unknown };
    return typeof error === "string" ? error : "";
  } catch {
    return "";
  }
}
