/**
 * How long an optimizer step takes on this machine, told from its programs: every matrix product of theirs is timed once at its own
 * size, since narrow ones run at a fraction of the rate of wide ones; the rest by the numbers it makes and by a fixed
 * price an operation; and what happens to each trained number outside the engine by timing that on a few.
 */

import { nodeRuntime } from "../runtime/node.ts";
import type { Value } from "../runtime/runtime.ts";
import { add, input, matmul, type Product, type ProgramCost, type Sizes, slice, type Tensor } from "../tensor/index.ts";
import type { StepCost } from "../training/memory/memory.ts";
import { globalNorm } from "../training/policy/flat.ts";
import { optimizers } from "../training/step/optimizers.ts";

/** Seconds. */
interface Prices {
  /** Of an operation, however small. */
  readonly operation: number;
  /** Of a number that an operation other than a product makes. */
  readonly number: number;
  /** Of a trained number, once a micro-batch: its gradient is copied out of the engine and added up. */
  readonly gradient: number;
  /** Of a trained number, once an optimizer step. */
  readonly update: number;
}

/** A step of `count` equal micro-batches. */
interface StepWork {
  readonly cost: StepCost;
  readonly sizes: Sizes;
  readonly count: number;
  /** How many numbers are trained. */
  readonly trained: number;
}

/** Reads a clock in seconds. */
type Clock = () => number;

const wallClock: Clock = () => performance.now() / 1e3;

interface SpeedOptions {
  readonly threads?: number | undefined;
  /** The wall's if not given. */
  readonly clock?: Clock;
}

export class MachineSpeed {
  /** Seconds of products that were timed, by their sizes. */
  private readonly known = new Map<string, number>();

  private constructor(
    private readonly prices: Prices,
    private readonly timer: Timer,
  ) {}

  /** Measures what does not depend on a model: about half a second. */
  static async measure({ threads, clock = wallClock }: SpeedOptions = {}): Promise<MachineSpeed> {
    const timer = { threads, clock };
    return new MachineSpeed({ ...(await operationPrices(timer)), ...trainedPrices(clock) }, timer);
  }

  /** Seconds of an optimizer step. Times every product that it has not timed yet. */
  async stepSeconds({ cost: { step, reference }, sizes, count, trained }: StepWork): Promise<number> {
    const programs = [step, ...(reference ? [reference] : [])];
    let engine = 0;
    for (const program of programs) engine += await this.programSeconds(program, sizes);
    const { gradient, update } = this.prices;
    return count * (engine + trained * gradient) + trained * update;
  }

  private async programSeconds(program: ProgramCost, sizes: Sizes): Promise<number> {
    const products = program.products(sizes);
    let seconds = 0;
    for (const product of products) seconds += product.count * (await this.productSeconds(product));
    const { operation, number } = this.prices;
    const others = program.nodes - products.reduce((n, { count }) => n + count, 0);
    return seconds + others * operation + program.otherNumbers(sizes) * number;
  }

  private async productSeconds(product: Product): Promise<number> {
    const { a, b, transA, transB } = product;
    const key = JSON.stringify([a, b, transA, transB]);
    const known = this.known.get(key) ?? (await timeProduct(product, this.timer));
    this.known.set(key, known);
    return known;
  }
}

interface Timer {
  readonly threads: number | undefined;
  readonly clock: Clock;
}

async function timeProduct({ a, b, transA, transB }: Product, timer: Timer): Promise<number> {
  const product = matmul(input("a", a), input("b", b), { transA, transB });
  // The engine copies what it gives out, which it does not do with products inside a program: one row is given out.
  const y = slice(product, product.shape.length - 2, 0, 1);
  return await timeProgram(y, { a: filled(a), b: filled(b) }, timer);
}

/** A chain of additions is as many operations; of one number each it shows their price, of many the price of a number. */
async function operationPrices(timer: Timer): Promise<Pick<Prices, "operation" | "number">> {
  const links = 40;
  const chain = async (shape: readonly number[]) => {
    const [x, own] = [input("a", shape), input("b", shape)];
    let y = x;
    for (let i = 0; i < links; i++) y = add(y, own);
    return (await timeProgram(y, { a: filled(shape), b: filled(shape) }, timer)) / links;
  };
  const operation = await chain([1]);
  const size = [512, 1536] as const;
  return { operation, number: Math.max(0, (await chain(size)) - operation) / (size[0] * size[1]) };
}

/** Runs at least this often and this long. */
const RUNS = { least: 4, seconds: 0.04 };

/** The seconds of the quickest run: whatever else the machine is doing makes the others longer. */
async function timeProgram(y: Tensor, inputs: Record<string, Value>, { threads, clock }: Timer): Promise<number> {
  await using program = await nodeRuntime.compile({ outputs: { y } }, { threads });
  const into = { y: filled(y.shape as readonly number[]) };
  let [quickest, total] = [Number.POSITIVE_INFINITY, 0];
  for (let i = 0; i < RUNS.least || total < RUNS.seconds; i++) {
    const started = clock();
    await program.run(inputs, into);
    const seconds = clock() - started;
    total += seconds;
    quickest = Math.min(quickest, seconds);
  }
  return quickest;
}

/** Values far from those that are slow to compute with. */
function filled(dims: readonly number[]): Value {
  return { dims, data: new Float32Array(dims.reduce((n, dim) => n * dim, 1)).fill(0.01) };
}

const SAMPLE = 2 ** 20;

function trainedPrices(clock: Clock): Pick<Prices, "gradient" | "update"> {
  const [parameters, gradients] = [new Float32Array(SAMPLE).fill(1), new Float32Array(SAMPLE).fill(1e-3)];
  const optimizer = optimizers.adamw({ size: SAMPLE, weightDecay: 0 });
  const update = timed(clock, () => {
    optimizer.update({ parameters, gradients, learningRate: 1e-6, step: 1, gradientScale: globalNorm(gradients) });
    gradients.fill(1e-3);
  });
  const gradient = timed(clock, () => {
    const copy = gradients.slice();
    for (let i = 0; i < SAMPLE; i++) gradients[i]! += copy[i]!;
  });
  return { update, gradient };
}

/** Seconds a number. */
function timed(clock: Clock, use: () => void): number {
  let quickest = Number.POSITIVE_INFINITY;
  for (let i = 0; i < 5; i++) {
    const started = clock();
    use();
    quickest = Math.min(quickest, clock() - started);
  }
  return quickest / SAMPLE;
}
