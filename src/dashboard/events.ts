/**
 * Server-sent events of what changes in the run directories. Each has an id of the server and a number: a browser that comes back
 * with one gets what it missed, or all anew where that is not remembered any more.
 */

import { randomBytes } from "node:crypto";
import { version } from "../version.ts";
import type { RunList, ServerEvent } from "./protocol.ts";
import type { RunIndex } from "./run-index.ts";

const REMEMBERED = 1000;
/** Looking through many folders, or over a slow network, takes no more than one part in so many of the time. */
const REST = 5;
/** Milliseconds between comments that keep the connection, and until a browser tries again. */
const HEARTBEAT = 15_000;
const RETRY = 1000;
/** A browser that has not taken so many events any more is let go; it comes back when it can. */
const MOST_WAITING = 2000;

type Client = ReadableStreamDefaultController<Uint8Array>;

export class Events implements Disposable {
  private readonly server = randomBytes(6).toString("base64url");
  private last = 0;
  private readonly remembered: { readonly number: number; readonly text: string }[] = [];
  private readonly clients = new Set<Client>();
  private looking: Promise<void> | undefined;
  private rested = 0;
  private readonly encoder = new TextEncoder();
  private readonly timers: readonly NodeJS.Timeout[];

  /** Looks at the files every so many milliseconds while anybody listens, and remembers the last events. */
  constructor(
    private readonly index: RunIndex,
    interval: number,
    private readonly memory = REMEMBERED,
  ) {
    const look = setInterval(() => {
      // What fails to be read now is read the next time.
      if (this.clients.size > 0 && performance.now() >= this.rested) this.refresh().catch(() => {});
    }, interval);
    const beat = setInterval(() => this.send(": still here\n\n"), HEARTBEAT);
    this.timers = [look, beat];
    for (const timer of this.timers) timer.unref();
  }

  /** Looks at the files now, and tells everybody what has changed. A look that is under way is waited for and not begun twice. */
  refresh(): Promise<void> {
    const began = performance.now();
    this.looking ??= this.look().finally(() => {
      this.looking = undefined;
      const now = performance.now();
      this.rested = now + REST * (now - began);
    });
    return this.looking;
  }

  private async look(): Promise<void> {
    const existed = this.index.exists;
    const { changed, removed } = await this.index.refresh();
    const now = Date.now() / 1000;
    for (const { run, files } of changed) this.tell({ event: "changed", run, files, now });
    for (const id of removed) this.tell({ event: "removed", id });
    if (existed !== this.index.exists) this.tell({ event: "runs", ...this.list() });
  }

  list(): RunList {
    const { folder, exists } = this.index;
    return { folder, exists, version, now: Date.now() / 1000, runs: this.index.summaries() };
  }

  /** A stream of events, from the one on that the browser had last. */
  async stream(lastId: string | undefined): Promise<ReadableStream<Uint8Array>> {
    await this.refresh();
    let client: Client;
    return new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          client = controller;
          this.clients.add(client);
          this.sendTo(client, `retry: ${RETRY}\n\n`);
          for (const text of this.missed(lastId)) this.sendTo(client, text);
        },
        cancel: () => {
          this.clients.delete(client);
        },
      },
      { highWaterMark: MOST_WAITING },
    );
  }

  private missed(lastId: string | undefined): string[] {
    const [server, number] = [lastId?.split(":")[0], Number(lastId?.split(":")[1])];
    const oldest = this.remembered[0]?.number ?? this.last + 1;
    const known = server === this.server && Number.isInteger(number) && number >= oldest - 1 && number <= this.last;
    if (!known) return [this.format({ event: "runs", ...this.list() }, this.last)];
    return this.remembered.filter((event) => event.number > number).map(({ text }) => text);
  }

  private tell(event: ServerEvent): void {
    const text = this.format(event, ++this.last);
    this.remembered.push({ number: this.last, text });
    if (this.remembered.length > this.memory) this.remembered.shift();
    this.send(text);
  }

  private format({ event, ...data }: ServerEvent, number: number): string {
    // JSON has no line break that would end the data.
    return `id: ${this.server}:${number}\nevent: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
  }

  private send(text: string): void {
    for (const client of this.clients) this.sendTo(client, text);
  }

  private sendTo(client: Client, text: string): void {
    if ((client.desiredSize ?? 0) <= 0) {
      this.clients.delete(client);
      client.close();
    } else client.enqueue(this.encoder.encode(text));
  }

  /** Ends all streams. */
  [Symbol.dispose](): void {
    for (const timer of this.timers) clearInterval(timer);
    for (const client of this.clients) client.close();
    this.clients.clear();
  }
}
