/** The compiled programs of a run, and what they need bound: one micro-batch in, log-probabilities or gradients out. */

import type { TokenizedExample } from "../data/example.ts";
import { type MicroBatch, packExamples } from "../data/microbatch.ts";
import { rotaryInputValues, type Weights } from "../models/index.ts";
import type { Objective } from "../objectives/index.ts";
import type { Executable, Runtime, Value } from "../runtime/runtime.ts";
import { FlatArray } from "./flat.ts";
import type { Policy } from "./policy.ts";
import { gradientOutput, metricOutput, scoreProgram } from "./step.ts";

/** Log-probabilities of one completion: the sum as the graph has it, and each token's. */
export interface CompletionScore {
  readonly logp: number;
  readonly tokens: Float32Array;
}

export interface StepOutput {
  /** Loss of each example. */
  readonly losses: ArrayLike<number>;
  /** Further values of each example, by the objective's names. */
  readonly metrics: Readonly<Record<string, ArrayLike<number>>>;
  /** The policy's scores, completion by completion. */
  readonly scores: readonly CompletionScore[];
}

export interface EngineOptions {
  readonly policy: Policy;
  readonly objective: Objective;
  readonly runtime: Runtime;
  readonly threads?: number | undefined;
  /** The longest sequence that will be run. */
  readonly maxPositions: number;
}

export class Engine implements AsyncDisposable {
  /** The sum of the gradients since `clearGradients`. */
  readonly gradients: FlatArray;
  private readonly policy: Policy;
  private readonly rotary: Weights;
  private readonly executables: { step: Executable; policy: Executable; reference: Executable };

  private constructor(policy: Policy, rotary: Weights, executables: Engine["executables"]) {
    this.policy = policy;
    this.rotary = rotary;
    this.executables = executables;
    this.gradients = new FlatArray([...policy.trainable.views].map(([name, { dims }]) => ({ name, shape: dims })));
  }

  static async create({ policy, objective, runtime, threads, maxPositions }: EngineOptions): Promise<Engine> {
    const compile = { threads };
    const { model, parameters, referenceParameters } = policy;
    const step = await runtime.compile(policy.step(objective), compile);
    const policyScores = await runtime.compile(scoreProgram(model, parameters), compile);
    const reference =
      referenceParameters === parameters
        ? policyScores
        : await runtime.compile(scoreProgram(model, referenceParameters), compile);
    const rotary = rotaryInputValues(model, maxPositions);
    return new Engine(policy, rotary, { step, policy: policyScores, reference });
  }

  /** Scores every completion with the policy as it is now, or with the reference. */
  async score(who: "policy" | "reference", examples: readonly Scorable[]): Promise<CompletionScore[]> {
    const batch = packExamples(examples);
    const weights = who === "policy" ? this.policy.weights : this.policy.referenceWeights;
    const outputs = await this.executables[who].run({ ...weights, ...this.rotary, ...batchInputs(batch) });
    return completionScores(batch, outputs);
  }

  /** Runs the step and adds `scale` times the gradient of the summed loss to `gradients`. */
  async step(examples: readonly Scorable[], reference: readonly number[], scale: number): Promise<StepOutput> {
    const batch = packExamples(examples);
    const outputs = await this.executables.step.run({
      ...this.policy.weights,
      ...this.rotary,
      ...batchInputs(batch),
      reference: vector(reference),
      lengths: vector(batch.lengths),
      scale: { dims: [], data: Float32Array.of(scale) },
    });
    const metrics: Record<string, ArrayLike<number>> = {};
    for (const [name, { data }] of Object.entries(outputs)) {
      if (name.startsWith(metricOutput(""))) metrics[name.slice(metricOutput("").length)] = data as Float32Array;
    }
    for (const [name, { data }] of this.gradients.views)
      addInto(data, outputs[gradientOutput(name)]!.data as Float32Array);
    return { losses: outputs.losses!.data as Float32Array, metrics, scores: completionScores(batch, outputs) };
  }

  clearGradients(): void {
    this.gradients.data.fill(0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const executable of new Set(Object.values(this.executables))) await executable[Symbol.asyncDispose]();
  }
}

type Scorable = Pick<TokenizedExample, "prompt" | "completions">;

/** A micro-batch as the inputs of a program. */
export function batchInputs(batch: MicroBatch): Record<string, Value> {
  const [t, r, c] = [batch.tokens.length, batch.rows.length, batch.lengths.length];
  return {
    tokens: { dims: [t], data: batch.tokens },
    positions: { dims: [t], data: batch.positions },
    mask: { dims: [t, t], data: batch.mask },
    rows: { dims: [r], data: batch.rows },
    targets: { dims: [r], data: batch.targets },
    membership: { dims: [c, r], data: batch.membership },
  };
}

function vector(values: ArrayLike<number>): Value {
  return { dims: [values.length], data: Float32Array.from(values) };
}

function completionScores(batch: MicroBatch, outputs: Record<string, Value>): CompletionScore[] {
  const tokens = outputs.tokenLogps!.data as Float32Array;
  let start = 0;
  return Array.from(outputs.logps!.data as Float32Array, (logp, i) => {
    const end = start + batch.lengths[i]!;
    const score = { logp, tokens: tokens.slice(start, end) };
    start = end;
    return score;
  });
}

function addInto(total: Float32Array, part: Float32Array): void {
  for (let i = 0; i < total.length; i++) total[i]! += part[i]!;
}
