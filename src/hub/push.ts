/** A folder to the hub, as one commit to a model's repository, which is made where there is none. */

import { readdirSync, statSync } from "node:fs";
import { join, sep } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError, HubError } from "../errors.ts";
import { parseReference } from "./reference.ts";
import { fetchAbout, type Subject } from "./request.ts";
import { type HubOptions, openSession, pageOf, type Session, stoppable } from "./session.ts";

interface PushOptions extends HubOptions {
  /** `org/name`. */
  readonly repo: string;
  readonly folder: string;
  /** Whether a repository that is made is private; as the account's owner has set it if not given. */
  readonly private?: boolean | undefined;
  /** The first line of the commit's message. */
  readonly title: string;
  /** Texts of files by their names, in the place of the folder's or beside them. */
  readonly texts?: Readonly<Record<string, string>>;
}

export interface Pushed {
  /** The page of the repository. */
  readonly page: string;
  readonly commit: string;
}

/** Uploads the files of a folder. Throws ConfigError for a name that is misspelled, and HubError. */
export async function pushFolder({ repo, folder, title, texts = {}, ...options }: PushOptions): Promise<Pushed> {
  const subject = targetOf(repo);
  const session = openSession(options);
  const { settings } = session;
  if (settings.offline) throw new HubError(`${repo}: can't be pushed to while HF_HUB_OFFLINE is set.`);
  if (settings.token === undefined) {
    throw new HubError(
      `${repo}: a token that may write is needed. Make one at ${settings.endpoint}/settings/tokens, and give it by HF_TOKEN or in ${settings.tokenFile}.`,
    );
  }
  return await stoppable(repo, session, async () => {
    await makeRepository(session, subject, options.private);
    const names = new Set([...filesIn(folder), ...Object.keys(texts)]);
    const files = [...names].map((path): Addition => {
      const text = texts[path] === undefined ? undefined : new Blob([texts[path]]);
      const file = join(folder, path);
      return {
        operation: "addOrUpdate",
        path,
        content: text ?? pathToFileURL(file),
        size: text?.size ?? statSync(file).size,
      };
    });
    return { page: pageOf(session, subject), commit: await commitFiles(session, subject, title, files) };
  });
}

/** Paths of the files in a folder and its folders, with slashes. */
function filesIn(folder: string): string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: "utf8" });
  return paths
    .filter((path) => statSync(join(folder, path), { throwIfNoEntry: false })?.isFile())
    .map((path) => path.split(sep).join("/"));
}

function targetOf(repo: string): Subject {
  const reference = parseReference(repo.startsWith("hf:") ? repo : `hf:${repo}`, "model");
  if (reference === undefined || !reference.name.includes("/") || reference.file || reference.revision !== "main") {
    throw new ConfigError(`--repo ${repo} must be org/name: your account's or organization's name, and the model's.`);
  }
  return reference;
}

async function makeRepository(session: Session, subject: Subject, isPrivate: boolean | undefined): Promise<void> {
  const [organization, name] = subject.name.split("/");
  const body = JSON.stringify({
    type: "model",
    name,
    organization,
    ...(isPrivate !== undefined && { private: isPrivate }),
  });
  const headers = { "content-type": "application/json" };
  const url = `${session.settings.endpoint}/api/repos/create`;
  await fetchAbout(session, subject, [409])(url, { method: "POST", headers, body });
}

interface Addition {
  readonly operation: "addOrUpdate";
  readonly path: string;
  readonly content: Blob | URL;
  readonly size: number;
}

/** Commits the files and returns the commit's hash. */
async function commitFiles(session: Session, subject: Subject, title: string, operations: Addition[]): Promise<string> {
  const { commitIter, HubApiError } = await import("@huggingface/hub");
  const iterator = commitIter({
    repo: { type: "model", name: subject.name },
    hubUrl: session.settings.endpoint,
    fetch: fetchAbout(session, subject),
    abortSignal: session.signal,
    title,
    operations,
  });
  const { tell } = session;
  const sizes = new Map(operations.map(({ path, size }) => [path, size]));
  const total = [...sizes.values()].reduce((sum, size) => sum + size, 0);
  const state = { kind: "progress", direction: "upload", name: subject.name, files: operations.length, total } as const;
  const sent = new Map<string, number>();
  try {
    for (;;) {
      const { done, value } = await iterator.next();
      if (done) {
        tell({ ...state, done: total });
        if (value !== undefined) return value.commit.oid;
        throw new HubError(`${subject.name}: the hub did not say which commit it has made.`);
      }
      if (value.event !== "fileProgress" || value.state === "hashing") continue;
      if (value.state === "error")
        throw new HubError(`${subject.name}: ${value.path} could not be uploaded. Try again.`);
      sent.set(value.path, value.progress * sizes.get(value.path)!);
      tell({ ...state, done: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0) });
    }
  } catch (error) {
    if (error instanceof HubApiError) throw new HubError(`${subject.name}: ${error.message}`, { cause: error });
    throw error;
  }
}
