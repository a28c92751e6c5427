/** The runs as the server tells of them, while the page is open: by server-sent events, connected again when they break. */

import { SvelteMap } from "svelte/reactivity";
import type { RunFile, RunSummary, ServerEvent } from "../../../src/dashboard/protocol.ts";
import { eventsAddress, fetchRuns, RequestFailed } from "./http-source.ts";

type EventOf<Name extends ServerEvent["event"]> = Omit<Extract<ServerEvent, { event: Name }>, "event">;

/** `refused`: the server is there and does not know this browser, so that trying again is no use. */
export type Connection = "connecting" | "open" | "lost" | "refused";

/** Until a broken connection is tried again. The browser tries by itself, but not where it was answered by an error. */
const TRY_AGAIN_AFTER = 2000;
const TICK = 1000;

export class Live implements Disposable {
  readonly runs = new SvelteMap<string, RunSummary>();
  /** How often each run's files have changed since the page was opened: `first/metrics`. */
  private readonly changes = new SvelteMap<string, number>();
  /** Runs that were there and are gone. */
  readonly removed = new SvelteMap<string, RunSummary>();

  connection = $state<Connection>("connecting");
  /** What the server said when it refused. */
  refusal = $state("");
  folder = $state("");
  exists = $state(true);
  version = $state("");
  /** Whether the runs are known. */
  ready = $state(false);
  /** Unix seconds by the server's clock. */
  now = $state(Date.now() / 1000);

  private ahead = 0;
  private events: EventSource | undefined;
  private retry: ReturnType<typeof setTimeout> | undefined;
  private readonly clock = setInterval(() => {
    this.now = Date.now() / 1000 + this.ahead;
  }, TICK);

  constructor() {
    this.connect();
  }

  /** Reactive: another number whenever one of these files of the run has changed. */
  changesOf(id: string, ...files: readonly RunFile[]): number {
    return files.reduce((sum, file) => sum + (this.changes.get(`${id}/${file}`) ?? 0), 0);
  }

  [Symbol.dispose](): void {
    clearInterval(this.clock);
    clearTimeout(this.retry);
    this.events?.close();
  }

  private connect(): void {
    const events = new EventSource(eventsAddress);
    this.events = events;
    this.on("runs", (list) => {
      this.setClock(list.now);
      ({ folder: this.folder, exists: this.exists, version: this.version } = list);
      const present = new Set(list.runs.map(({ id }) => id));
      for (const id of this.runs.keys()) if (!present.has(id)) this.forget(id);
      for (const run of list.runs) {
        // While the page was away a run may have changed in any file.
        const before = this.runs.get(run.id);
        if (before && before.updated !== run.updated) this.note(run.id, ALL_FILES);
        this.put(run);
      }
      this.ready = true;
    });
    this.on("changed", ({ run, files, now }) => {
      this.setClock(now);
      this.exists = true;
      this.put(run);
      this.note(run.id, files);
    });
    this.on("removed", ({ id }) => this.forget(id));
    events.onopen = () => {
      // What was asked for meanwhile was not answered: it is asked for again.
      if (this.connection !== "connecting") for (const id of this.runs.keys()) this.note(id, ALL_FILES);
      this.connection = "open";
    };
    events.onerror = () => {
      if (this.connection !== "refused") this.connection = "lost";
      if (events.readyState !== EventSource.CLOSED) return;
      events.close();
      clearTimeout(this.retry);
      this.retry = setTimeout(() => this.connect(), TRY_AGAIN_AFTER);
      this.askWhy();
    };
  }

  /** An EventSource does not say what it was answered. */
  private async askWhy(): Promise<void> {
    try {
      await fetchRuns(AbortSignal.timeout(TRY_AGAIN_AFTER));
    } catch (error) {
      const refused = error instanceof RequestFailed && [401, 403].includes(error.status);
      this.connection = refused ? "refused" : "lost";
      this.refusal = refused ? error.message : "";
    }
  }

  private on<Name extends ServerEvent["event"]>(name: Name, listener: (event: EventOf<Name>) => void): void {
    this.events!.addEventListener(name, (event) => listener(JSON.parse(event.data)));
  }

  private put(run: RunSummary): void {
    this.runs.set(run.id, run);
    this.removed.delete(run.id);
  }

  private forget(id: string): void {
    const run = this.runs.get(id);
    if (!run) return;
    this.removed.set(id, run);
    this.runs.delete(id);
  }

  private note(id: string, files: readonly RunFile[]): void {
    for (const file of files) this.changes.set(`${id}/${file}`, (this.changes.get(`${id}/${file}`) ?? 0) + 1);
  }

  private setClock(now: number): void {
    this.ahead = now - Date.now() / 1000;
    this.now = now;
  }
}

const ALL_FILES: readonly RunFile[] = ["metrics", "samples", "eval-rows", "warnings", "suspects", "config", "outcome"];
