/** One tuning of the embedded example as the page sees it: what the worker has told so far, and the orders it takes. */

import type { Metrics, Sample, WebDevice, WebEngine } from "../../../../src/browser/index.ts";
import type { News, Order, Stage } from "./messages.ts";

type Opened = Extract<News, { news: "opened" }>;

export interface Evaluation {
  readonly metrics: Metrics;
  readonly samples: readonly Sample[];
}

/** `pausing`: the step that is under way is being finished. */
type SessionState = "idle" | "running" | "pausing" | "paused" | "finished" | "failed";

export class Session {
  state = $state<SessionState>("idle");
  stage = $state<Stage>();
  engine = $state.raw<WebEngine>();
  opened = $state.raw<Opened>();
  steps = $state.raw<readonly Metrics[]>([]);
  evaluations = $state.raw<readonly Evaluation[]>([]);
  problem = $state<string>();
  private worker: Worker | undefined;

  start(device: WebDevice, beta: number): void {
    this.reset();
    this.state = "running";
    this.worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }: MessageEvent<News>) => this.hear(data);
    this.worker.onerror = (event) =>
      this.fail(event.message || "The worker could not be loaded. Is the server still there?");
    const folder = (name: string) => new URL(name, document.baseURI).href;
    this.tell({
      order: "start",
      device,
      beta,
      engineFolder: folder("engine/"),
      exampleFolder: folder("film-reviews/"),
    });
  }

  pause(): void {
    this.tell({ order: "pause" });
    this.state = "pausing";
  }

  resume(): void {
    this.tell({ order: "resume" });
    this.state = "running";
  }

  /** Ends the worker, and with it all memory that the engine holds. */
  reset(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.state = "idle";
    this.stage = undefined;
    this.engine = undefined;
    this.opened = undefined;
    this.steps = [];
    this.evaluations = [];
    this.problem = undefined;
  }

  private tell(order: Order): void {
    this.worker?.postMessage(order);
  }

  private hear(news: News): void {
    if (news.news === "engine") this.engine = news.engine;
    else if (news.news === "stage") this.stage = news.stage;
    else if (news.news === "opened") this.opened = news;
    else if (news.news === "step") this.steps = [...this.steps, news.metrics];
    else if (news.news === "evaluation") this.evaluations = [...this.evaluations, news];
    else if (news.news === "failed") this.fail(news.message);
    else this.state = news.news;
  }

  private fail(message: string): void {
    this.worker?.terminate();
    this.state = "failed";
    this.problem = message;
  }
}
