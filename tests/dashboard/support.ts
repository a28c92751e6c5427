/** What the dashboard's tests share: run directories as the trainer documents them, and a browser's side of HTTP. */

import { appendFileSync, mkdirSync, writeFileSync } from "node:fs";
import { type IncomingHttpHeaders, type OutgoingHttpHeaders, request } from "node:http";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import type { RunList } from "../../src/dashboard/protocol.ts";
import type { Dashboard } from "../../src/dashboard/server.ts";

/** A training step's line; `more` has what is asked of it. */
export function stepLine(step: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  const place = { time: 1_700_000_000 + step, examples: 8 * step, memory_bytes: 1e9 };
  return {
    step,
    loss: 0.7 - step / 1000,
    "rewards/margins": step / 100,
    examples_per_second: 8,
    learning_rate: 1e-5,
    ...more,
    ...place,
  };
}

/** An evaluation's line. */
export function evaluationLine(step: number, more: Record<string, unknown> = {}): Record<string, unknown> {
  const numbers = { eval_loss: 0.69 - step / 1000, "eval_rewards/accuracies": 0.5, "eval_rewards/margins": step / 50 };
  return { step, ...numbers, eval_kl: step / 10, ...more, time: 1_700_000_000.5 + step, examples: 8 * step };
}

export function jsonLines(values: readonly unknown[]): string {
  return values.map((value) => `${JSON.stringify(value)}\n`).join("");
}

interface WrittenRun {
  readonly path: string;
  /** Writes a file of the run: JSON, or a text as it is. */
  write(name: string, value: unknown): void;
  append(...lines: unknown[]): void;
}

/** Writes a run directory with a configuration, and so many steps in its log. */
export function writeRun(
  path: string,
  { steps = 3, config = {} }: { steps?: number; config?: object } = {},
): WrittenRun {
  mkdirSync(join(path, "checkpoints"), { recursive: true });
  const write = (name: string, value: unknown) =>
    writeFileSync(join(path, name), typeof value === "string" ? value : `${JSON.stringify(value, null, 2)}\n`);
  const settings = { method: "dpo", loss: ["sigmoid"], model: "models/tiny", data: ["pairs.jsonl"], beta: 0.1 };
  write("config.json", { ...settings, maxSteps: 100, output: path, ...config });
  const lines = [evaluationLine(0), ...Array.from({ length: steps }, (_, i) => stepLine(i + 1))];
  if (steps > 0) write("metrics.jsonl", jsonLines(lines));
  return { path, write, append: (...more) => appendFileSync(join(path, "metrics.jsonl"), jsonLines(more)) };
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

interface AskOptions {
  readonly method?: string;
  readonly headers?: OutgoingHttpHeaders;
  /** Without the cookie that goes with every request otherwise. */
  readonly anonymous?: boolean;
}

/** A browser that was let in. */
export class Browser {
  private constructor(
    readonly dashboard: Dashboard,
    readonly cookie: string,
  ) {}

  static async open(dashboard: Dashboard): Promise<Browser> {
    const { pathname, search } = new URL(dashboard.url);
    const { headers } = await ask(dashboard.port, pathname + search);
    return new Browser(dashboard, headers["set-cookie"]![0]!.split(";")[0]!);
  }

  /** The path goes over the wire as it is written here. */
  ask(path: string, { anonymous = false, ...options }: AskOptions = {}): Promise<Answer> {
    const headers = { ...(!anonymous && { cookie: this.cookie }), ...options.headers };
    return ask(this.dashboard.port, path, { ...options, headers });
  }

  /** The JSON of an answer that went well. */
  async json<T>(path: string): Promise<T> {
    const { status, text } = await this.ask(path);
    if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
    return JSON.parse(text) as T;
  }

  list(): Promise<RunList> {
    return this.json<RunList>("/api/runs");
  }

  async idOf(name: string): Promise<string> {
    const { runs } = await this.list();
    return runs.find((run) => run.name === name)!.id;
  }

  /** Listens to events, from one on where the last id is given. */
  async events(lastId?: string): Promise<EventReader> {
    return EventReader.open(this.dashboard.port, {
      cookie: this.cookie,
      ...(lastId !== undefined && { "last-event-id": lastId }),
    });
  }
}

export function ask(
  port: number,
  path: string,
  { method = "GET", headers = {} }: Omit<AskOptions, "anonymous"> = {},
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, method, headers, agent: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.on("end", () => {
        resolve({
          status: response.statusCode!,
          headers: response.headers,
          text: Buffer.concat(pieces).toString(),
        });
      });
      response.on("error", reject);
    });
    sent.on("error", reject);
    sent.end();
  });
}

interface ServerSent {
  readonly id: string;
  readonly event: string;
  // biome-ignore lint/suspicious/noExplicitAny: a test says what it expects to be in it.
  readonly data: any;
}

/** The events of a stream as EventSource reads them. */
class EventReader implements Disposable {
  private readonly waiting: ServerSent[] = [];
  private constructor(private readonly end: () => void) {}

  static open(port: number, headers: OutgoingHttpHeaders): Promise<EventReader> {
    return new Promise((resolve, reject) => {
      const sent = request({ host: "127.0.0.1", port, path: "/api/events", headers, agent: false }, (response) => {
        const reader = new EventReader(() => sent.destroy());
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => {
          const blocks = (text + piece).split("\n\n");
          text = blocks.pop()!;
          reader.waiting.push(...blocks.flatMap(parseEvent));
        });
        response.on("error", () => {});
        resolve(reader);
      });
      sent.on("error", reject);
      sent.end();
    });
  }

  /** The next event that has the property; those before it are let go. */
  async next(fits: (event: ServerSent) => boolean = () => true, patience = 10_000): Promise<ServerSent> {
    for (const start = Date.now(); Date.now() - start < patience; await setTimeout(5)) {
      const index = this.waiting.findIndex(fits);
      if (index >= 0) return this.waiting.splice(0, index + 1).at(-1)!;
    }
    throw new Error(`no such event came; these did: ${JSON.stringify(this.waiting).slice(0, 2000)}`);
  }

  [Symbol.dispose](): void {
    this.end();
  }
}

function parseEvent(block: string): ServerSent[] {
  const fields = new Map(
    block.split("\n").flatMap((line) => {
      const [, name, value] = /^(\w+): (.*)$/.exec(line) ?? [];
      return name === undefined ? [] : [[name, value!] as const];
    }),
  );
  const [event, data] = [fields.get("event"), fields.get("data")];
  return event === undefined || data === undefined ? [] : [{ id: fields.get("id")!, event, data: JSON.parse(data) }];
}
