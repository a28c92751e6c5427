/**
 * Which examples each optimizer step takes. An epoch's order is derived from the seed and the epoch alone, so the
 * number of steps done is all that a resumed run needs to go on where it was.
 */

import { Random } from "../random.ts";
import type { TrainingConfig } from "./config.ts";

/** The stream of random numbers that shuffles. */
const SHUFFLE = 1_000_003;

export class StepOrder {
  readonly steps: number;
  readonly epochs: number;
  private readonly stepsPerEpoch: number;
  private current: { epoch: number; order: Int32Array } | undefined;

  constructor(
    private readonly examples: number,
    private readonly config: Pick<TrainingConfig, "batchSize" | "epochs" | "maxSteps" | "shuffle" | "seed">,
  ) {
    this.stepsPerEpoch = Math.ceil(examples / config.batchSize);
    this.steps = config.maxSteps ?? this.stepsPerEpoch * config.epochs;
    this.epochs = Math.ceil(this.steps / this.stepsPerEpoch);
  }

  /** The examples of step 0, 1, ...; the last step of an epoch may have fewer. */
  indices(step: number): number[] {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    const start = (step % this.stepsPerEpoch) * this.config.batchSize;
    return Array.from(this.order(epoch).subarray(start, start + this.config.batchSize));
  }

  private order(epoch: number): Int32Array {
    if (this.current?.epoch !== epoch) {
      const order = this.config.shuffle
        ? Random.fork(this.config.seed, SHUFFLE, epoch).permutation(this.examples)
        : Int32Array.from({ length: this.examples }, (_, i) => i);
      this.current = { epoch, order };
    }
    return this.current.order;
  }
}
