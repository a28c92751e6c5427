/** The compiled programs of a run, and what they need bound: one micro-batch in, log-probabilities or gradients out. */

import type { TokenizedExample } from "../data/example.ts";
import { type MicroBatch, packExamples } from "../data/microbatch.ts";
import { rotaryInputValues, type Weights } from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";
import type { Objective, StepValues } from "../objectives/index.ts";
import type { Executable, Runtime, Value } from "../runtime/runtime.ts";
import { FlatArray } from "./flat.ts";
import { objectiveInputs } from "./objective-inputs.ts";
import type { Policy } from "./policy.ts";
import { gradientOutput, metricOutput, scoreProgram } from "./step.ts";

/** Log-probabilities of one completion: the sum as the graph has it, and each token's. Of a reward model its reward, and no tokens. */
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
  private readonly o: EngineOptions;
  private readonly rotary: Weights;
  private readonly stepExecutable: Executable;
  /** Forward passes by their parameters, compiled when first needed: each holds engine memory of its own. */
  private readonly scorers = new Map<Parameters, Executable>();

  private constructor(options: EngineOptions, stepExecutable: Executable) {
    this.o = options;
    this.stepExecutable = stepExecutable;
    this.rotary = rotaryInputValues(options.policy.model, options.maxPositions);
    const { views } = options.policy.trainable;
    this.gradients = new FlatArray([...views].map(([name, { dims }]) => ({ name, shape: dims })));
  }

  static async create(options: EngineOptions): Promise<Engine> {
    const { policy, objective, runtime, threads } = options;
    return new Engine(options, await runtime.compile(policy.step(objective), { threads }));
  }

  /** Scores every completion with the policy as it is now, or with the reference. */
  async score(who: "policy" | "reference", examples: readonly Scorable[]): Promise<CompletionScore[]> {
    const { policy } = this.o;
    const batch = packExamples(examples, this.o.policy.model.padToken);
    const [weights, parameters] =
      who === "policy" ? [policy.weights, policy.parameters] : [policy.referenceWeights, policy.referenceParameters];
    const scorer = await this.scorer(parameters);
    return completionScores(batch, await scorer.run({ ...weights, ...this.rotary, ...batchInputs(batch) }));
  }

  /** Runs the step and adds `scale` times the gradient of the summed loss to `gradients`. */
  async step(
    examples: readonly Scorable[],
    reference: readonly CompletionScore[] | undefined,
    scale: number,
    context: StepValues["values"] = {},
  ): Promise<StepOutput> {
    const batch = packExamples(examples, this.o.policy.model.padToken);
    const outputs = await this.stepExecutable.run({
      ...this.o.policy.weights,
      ...this.rotary,
      ...batchInputs(batch),
      ...objectiveInputs(this.o.objective, examples, reference, context),
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

  private async scorer(parameters: Parameters): Promise<Executable> {
    const known = this.scorers.get(parameters);
    if (known) return known;
    const { policy, runtime, threads } = this.o;
    const executable = await runtime.compile(scoreProgram(policy.model, parameters), { threads });
    this.scorers.set(parameters, executable);
    return executable;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const executable of [this.stepExecutable, ...this.scorers.values()]) await executable[Symbol.asyncDispose]();
  }
}

/** What can be scored: token ids, and what the objective reads besides. */
export type Scorable = Pick<TokenizedExample, "prompt" | "completions" | "scored" | "values">;

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
    ends: { dims: [c], data: batch.ends },
  };
}

function completionScores(batch: MicroBatch, outputs: Record<string, Value>): CompletionScore[] {
  const tokens = (outputs.tokenLogps?.data ?? new Float32Array()) as Float32Array;
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
