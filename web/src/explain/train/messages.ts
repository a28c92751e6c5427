/** What the page and the worker that trains say to each other. */

import type { Metrics, Sample, WebDevice, WebEngine } from "../../../../src/browser/index.ts";

export interface StartOptions {
  readonly device: WebDevice;
  readonly beta: number;
  /** Absolute addresses of the folders with the engine's files and with the embedded example. */
  readonly engineFolder: string;
  readonly exampleFolder: string;
}

/** To the worker. */
export type Order =
  | ({ readonly order: "start" } & StartOptions)
  | { readonly order: "pause" }
  | { readonly order: "resume" };

export type Stage = "loading" | "opening" | "reading" | "compiling" | "checking";

/** From the worker. */
export type News =
  | { readonly news: "engine"; readonly engine: WebEngine }
  | { readonly news: "stage"; readonly stage: Stage }
  | {
      readonly news: "opened";
      readonly steps: number;
      readonly parameters: number;
      readonly pairs: number;
      readonly beta: number;
    }
  | { readonly news: "step"; readonly metrics: Metrics }
  | { readonly news: "evaluation"; readonly metrics: Metrics; readonly samples: readonly Sample[] }
  | { readonly news: "paused" }
  | { readonly news: "finished" }
  | { readonly news: "failed"; readonly message: string };
