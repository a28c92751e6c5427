/**
 * Which examples each optimizer step takes. The order of a pass over them is derived from the seed and the number of the pass
 * alone, so the number of steps done is all that a resumed run needs to go on where it was.
 */

import { Random } from "../../random.ts";
import type { TrainingConfig } from "../config.ts";

/** The streams of random numbers that shuffle: of the epochs, and of the passes over examples that go round. */
const SHUFFLE = 1_000_003;
const ROUND = 1_000_033;

/** The order of examples in each pass over them. */
class Passes {
  private current: { pass: number; order: Int32Array } | undefined;

  constructor(
    private readonly examples: number,
    private readonly config: Pick<TrainingConfig, "shuffle" | "seed">,
    private readonly stream: number,
  ) {}

  order(pass: number): Int32Array {
    if (this.current?.pass !== pass) {
      const order = this.config.shuffle
        ? Random.fork(this.config.seed, this.stream, pass).permutation(this.examples)
        : Int32Array.from({ length: this.examples }, (_, i) => i);
      this.current = { pass, order };
    }
    return this.current.order;
  }
}

export class StepOrder {
  readonly steps: number;
  readonly epochs: number;
  private readonly stepsPerEpoch: number;
  private readonly passes: Passes;

  constructor(
    private readonly examples: number,
    private readonly config: Pick<TrainingConfig, "batchSize" | "epochs" | "maxSteps" | "shuffle" | "seed">,
  ) {
    this.passes = new Passes(examples, config, SHUFFLE);
    this.stepsPerEpoch = Math.ceil(examples / config.batchSize);
    this.steps = config.maxSteps ?? this.stepsPerEpoch * config.epochs;
    this.epochs = Math.ceil(this.steps / this.stepsPerEpoch);
  }

  /** The examples of step 0, 1, ...; the last step of an epoch may have fewer. */
  indices(step: number): number[] {
    const epoch = Math.floor(step / this.stepsPerEpoch);
    const start = (step % this.stepsPerEpoch) * this.config.batchSize;
    return Array.from(this.passes.order(epoch).subarray(start, start + this.config.batchSize));
  }

  /** How many examples so many steps have taken, each as often as it came. */
  seen(steps: number): number {
    const epochs = Math.floor(steps / this.stepsPerEpoch);
    const within = Math.min((steps % this.stepsPerEpoch) * this.config.batchSize, this.examples);
    return epochs * this.examples + within;
  }
}

/** Examples that go round beside a run's own: every step takes as many, from one pass over them into the next. */
export class RoundOrder {
  private readonly passes: Passes;

  constructor(
    private readonly examples: number,
    private readonly perStep: number,
    config: Pick<TrainingConfig, "shuffle" | "seed">,
  ) {
    this.passes = new Passes(examples, config, ROUND);
  }

  /** The examples of step 0, 1, ... */
  indices(step: number): number[] {
    return Array.from({ length: this.perStep }, (_, i) => {
      const place = step * this.perStep + i;
      return this.passes.order(Math.floor(place / this.examples))[place % this.examples]!;
    });
  }
}
