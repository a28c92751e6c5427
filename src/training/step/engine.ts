/** The compiled programs of a run, and what they need bound: one micro-batch in, log-probabilities or gradients out. */

import type { TokenizedExample } from "../../data/example.ts";
import { type MicroBatch, packExamples } from "../../data/microbatch.ts";
import { rotaryInputValues, type Weights } from "../../models/index.ts";
import type { Objective, RowStatistic, StepValues } from "../../objectives/index.ts";
import type { Executable, Runtime, Value } from "../../runtime/runtime.ts";
import type { Program } from "../../tensor/index.ts";
import { FlatArray } from "../policy/flat.ts";
import type { Policy } from "../policy/policy.ts";
import { objectiveInputs } from "./objective-inputs.ts";
import { needsReferenceRows, referenceHeadInput, referenceRowsInput } from "./row-statistics.ts";
import { gradientOutput, metricOutput, scoreProgram, statisticOutput } from "./step.ts";

/** One completion's score: its log-probability and each token's, or its reward, all of which is its last token's. */
export interface CompletionScore {
  readonly logp: number;
  readonly tokens: Float32Array;
  /** Of the policy: the row statistics that the objective declares, of each token. */
  readonly statistics?: Readonly<Partial<Record<RowStatistic, Float32Array>>>;
}

export interface StepOutput {
  /** Loss of each example. */
  readonly losses: ArrayLike<number>;
  /** Further values of each example, by the objective's names. */
  readonly metrics: Readonly<Record<string, ArrayLike<number>>>;
  /** The policy's scores, completion by completion. */
  readonly scores: readonly CompletionScore[];
}

interface EngineOptions {
  readonly policy: Policy;
  readonly objective: Objective;
  readonly runtime: Runtime;
  readonly threads?: number | undefined;
  /** The longest sequence that will be run. */
  readonly maxPositions: number;
}

type Who = "policy" | "reference";

/** The reference's scores of some examples, and its hidden rows [R, d]. */
interface ReferencePass {
  readonly examples: readonly Scorable[];
  readonly scores: CompletionScore[];
  readonly rows: Value;
  /** How often the reference had moved. */
  readonly moves: number | undefined;
}

export class Engine implements AsyncDisposable {
  /** The sum of the gradients since `clearGradients`. */
  readonly gradients: FlatArray;
  private readonly o: EngineOptions;
  private readonly rotary: Weights;
  private readonly stepExecutable: Executable;
  /** Forward passes, compiled when first needed: each holds engine memory of its own. */
  private readonly scorers = new Map<Who, Executable>();
  /** The reference's last pass, where the objective needs its rows: a step comes right after the pass on its examples. */
  private lastReference: ReferencePass | undefined;

  private constructor(options: EngineOptions, stepExecutable: Executable) {
    this.o = options;
    this.stepExecutable = stepExecutable;
    this.rotary = rotaryInputValues(options.policy.model, options.maxPositions);
    const { views } = options.policy.trainable;
    this.gradients = new FlatArray([...views].map(([name, { dims }]) => ({ name, shape: dims })));
  }

  /** Compiles the step: the policy's program for the objective, built anew where it is not at hand. */
  static async create(options: EngineOptions, step?: Program): Promise<Engine> {
    const { policy, objective, runtime, threads } = options;
    return new Engine(options, await runtime.compile(step ?? policy.step(objective), { threads }));
  }

  /** The longest sequence that can be run. */
  get maxPositions(): number {
    return this.o.maxPositions;
  }

  /** Scores every completion with the policy as it is now, or with the reference. */
  async score(who: Who, examples: readonly Scorable[]): Promise<CompletionScore[]> {
    if (who === "reference" && needsReferenceRows(this.o.objective)) return (await this.referencePass(examples)).scores;
    const batch = this.pack(examples);
    const outputs = await this.forward(who, {
      ...batchInputs(batch),
      ...(who === "policy" && (await this.referenceRows(examples))),
    });
    return completionScores(batch, outputs);
  }

  /** Runs the step and adds `scale` times the gradient of the summed loss to `gradients`. */
  async step(
    examples: readonly Scorable[],
    reference: readonly CompletionScore[] | undefined,
    scale: number,
    context: StepValues["values"] = {},
  ): Promise<StepOutput> {
    const batch = this.pack(examples);
    const outputs = await this.stepExecutable.run({
      ...this.o.policy.weights,
      ...this.rotary,
      ...batchInputs(batch),
      ...(await this.referenceRows(examples)),
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

  private pack(examples: readonly Scorable[]): MicroBatch {
    return packExamples(examples, this.o.policy.model.padToken);
  }

  /** What programs with statistics of the reference's distribution are given of it; nothing where there are none. */
  private async referenceRows(examples: readonly Scorable[]): Promise<Record<string, Value>> {
    const { objective, policy } = this.o;
    if (!needsReferenceRows(objective)) return {};
    const { rows } = await this.referencePass(examples);
    return { [referenceRowsInput]: rows, [referenceHeadInput]: policy.referenceWeights[policy.model.headWeight]! };
  }

  private async referencePass(examples: readonly Scorable[]): Promise<ReferencePass> {
    const last = this.lastReference;
    const moves = this.o.policy.moving?.moves;
    const isSame = last?.examples.length === examples.length && last.examples.every((x, i) => x === examples[i]);
    if (isSame && last.moves === moves) return last;
    const batch = this.pack(examples);
    const outputs = await this.forward("reference", batchInputs(batch));
    this.lastReference = { examples, scores: completionScores(batch, outputs), rows: outputs.hidden!, moves };
    return this.lastReference;
  }

  private async forward(who: Who, inputs: Record<string, Value>): Promise<Record<string, Value>> {
    const { policy } = this.o;
    const scorer = await this.scorer(who);
    return await scorer.run({
      ...(who === "policy" ? policy.weights : policy.referenceWeights),
      ...this.rotary,
      ...inputs,
    });
  }

  /** One program serves both where they differ in the bound weights alone. */
  private async scorer(who: Who): Promise<Executable> {
    const { policy, objective, runtime, threads } = this.o;
    const { rowStatistics = [] } = objective;
    const shared = policy.parameters === policy.referenceParameters && rowStatistics.length === 0;
    const key = shared ? "policy" : who;
    const known = this.scorers.get(key);
    if (known) return known;
    const program =
      key === "policy"
        ? scoreProgram(policy.model, policy.parameters, { rowStatistics })
        : scoreProgram(policy.model, policy.referenceParameters, { hidden: needsReferenceRows(objective) });
    const executable = await runtime.compile(program, { threads });
    this.scorers.set(key, executable);
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

/** The scores that a program's outputs hold, completion by completion. */
export function completionScores(batch: MicroBatch, outputs: Record<string, Value>): CompletionScore[] {
  const tokens = (outputs.tokenLogps?.data ?? rewardsAtEnds(batch, outputs.logps!)) as Float32Array;
  const statistics = Object.entries(outputs).flatMap(([name, { data }]) =>
    name.startsWith(statisticOutput(""))
      ? [[name.slice(statisticOutput("").length), data as Float32Array] as const]
      : [],
  );
  let start = 0;
  return Array.from(outputs.logps!.data as Float32Array, (logp, i) => {
    const end = start + batch.lengths[i]!;
    const own = statistics.map(([name, values]) => [name, values.slice(start, end)] as const);
    const score = {
      logp,
      tokens: tokens.slice(start, end),
      ...(own.length > 0 && { statistics: Object.fromEntries(own) }),
    };
    start = end;
    return score;
  });
}

/** A reward is its completion's last token's alone, as reinforcement learning has it [R]. */
function rewardsAtEnds({ lengths }: MicroBatch, { data: rewards }: Value): Float32Array {
  const tokens = new Float32Array(lengths.reduce((a, b) => a + b, 0));
  let end = 0;
  lengths.forEach((length, i) => {
    end += length;
    tokens[end - 1] = Number(rewards[i]);
  });
  return tokens;
}

function addInto(total: Float32Array, part: Float32Array): void {
  for (let i = 0; i < total.length; i++) total[i]! += part[i]!;
}
