/** Metrics of a set of examples as it stands: sums over examples divided by their count, never averages of averages. */

import type { TokenizedExample } from "../../data/example.ts";
import { packedLength, planMicroBatches } from "../../data/microbatch.ts";
import { divergenceOnData } from "../../diagnostics/divergence.ts";
import { PairStatistics } from "../../diagnostics/pairs.ts";
import {
  completionInputs,
  type Objective,
  type RowStatistic,
  type StepValues,
  statisticInput,
} from "../../objectives/index.ts";
import type { Executable, Runtime, Value } from "../../runtime/runtime.ts";
import { contextOf } from "../step/context.ts";
import type { CompletionScore, Engine, Scorable, StepOutput } from "../step/engine.ts";
import { objectiveInputs, vector } from "../step/objective-inputs.ts";
import type { ReferenceScores } from "../step/reference.ts";
import { metricOutput } from "../step/step.ts";
import { checkFinite } from "../watch/self-checks.ts";

/** Sums values of examples by name, and divides by their count at the end. What is NaN is not of that example: it counts for nothing. */
export class Averages {
  /** Its pairs, where the examples are such. */
  readonly pairs = new PairStatistics();
  private readonly totals = new Map<string, { sum: number; count: number }>();

  /** `scores` is what the objective reads of completions. */
  constructor(private readonly scores: Objective["scores"] = "log-probability") {}

  add(name: string, value: number): void {
    if (Number.isNaN(value)) return;
    const total = this.totals.get(name) ?? { sum: 0, count: 0 };
    total.sum += value;
    total.count++;
    this.totals.set(name, total);
  }

  /**
   * What one micro-batch says: the objective's own metrics, and of its completions, by role, the log-probability, the
   * length, how far the log-probability has drifted from the reference's, and the divergence on the data. Where examples come
   * from several sources, the loss and the rewards are told of each, as `loss@SOURCE`.
   */
  addBatch(
    output: StepOutput,
    roles: Objective["roles"],
    reference: readonly CompletionScore[] | undefined,
    examples: readonly TokenizedExample[],
  ): void {
    for (const loss of Array.from(output.losses)) this.add("loss", loss);
    this.addSources(output, examples);
    for (const [name, values] of Object.entries(output.metrics)) {
      for (const value of Array.from(values)) this.add(name, value);
    }
    this.addPairs(output, roles);
    output.scores.forEach((score, i) => {
      const role = roles === "any" ? "completions" : roles[i % roles.length]!;
      // The objective's own metrics say what there is to say of rewards.
      if (this.scores !== "reward") this.add(`logps/${role}`, score.logp);
      this.add(`lengths/${role}`, score.tokens.length);
      const start = reference?.[i];
      if (!start) return;
      this.add("kl", divergenceOnData(score.tokens, start.tokens));
      this.add(`drift/${role}`, score.logp - start.logp);
    });
  }

  private addSources({ losses, metrics }: StepOutput, examples: readonly TokenizedExample[]): void {
    const told = ["rewards/margins", "rewards/accuracies"].flatMap((name) => {
      const values = metrics[name];
      return values?.length === examples.length ? [[name, values] as const] : [];
    });
    examples.forEach(({ source }, i) => {
      if (source === undefined) return;
      for (const [name, values] of [["loss", losses] as const, ...told]) this.add(`${name}@${source}`, values[i]!);
    });
  }

  private addPairs({ metrics, scores }: StepOutput, roles: Objective["roles"]): void {
    const margins = metrics["rewards/margins"];
    const [chosen, rejected] = ["chosen", "rejected"].map((role) => roles.indexOf(role));
    if (margins === undefined || roles === "any" || chosen! < 0 || rejected! < 0) return;
    const length = (pair: number, role: number) => scores[pair * roles.length + role]!.tokens.length;
    Array.from(margins).forEach((margin, i) => {
      this.pairs.add(margin, length(i, chosen!) - length(i, rejected!));
    });
  }

  /** The mean of every name, and the spread of the pairs' gradient weights. Where no pair has a margin, it is that of the means. */
  means(): Record<string, number> {
    const means = Object.fromEntries([...this.totals].map(([name, { sum, count }]) => [name, sum / count]));
    const { "rewards/chosen": chosen, "rewards/rejected": rejected } = means;
    if (chosen !== undefined && rejected !== undefined) means["rewards/margins"] ??= chosen - rejected;
    return { ...means, ...this.pairs.gradientWeights() };
  }
}

/** The objective alone, from log-probabilities to losses: what evaluation needs of it. */
export class ObjectiveEvaluator implements AsyncDisposable {
  private constructor(
    readonly objective: Objective,
    private readonly executable: Executable,
  ) {}

  static async create(objective: Objective, runtime: Runtime): Promise<ObjectiveEvaluator> {
    const { losses, metrics } = objective.build(completionInputs(objective));
    const named = Object.fromEntries(Object.entries(metrics).map(([name, value]) => [metricOutput(name), value]));
    return new ObjectiveEvaluator(objective, await runtime.compile({ outputs: { losses, ...named } }));
  }

  /** The group's losses and metrics, given the scores of its completions; `reference` is absent where none is needed. */
  async evaluate(
    group: readonly TokenizedExample[],
    policy: readonly CompletionScore[],
    reference: readonly CompletionScore[] | undefined,
    context: StepValues["values"] = {},
  ): Promise<StepOutput> {
    const { losses, ...rest } = await this.executable.run({
      ...objectiveInputs(this.objective, group, reference, context),
      policy: vector(policy.map(({ logp }) => logp)),
      policyTokens: vector(policy.flatMap(({ tokens }) => Array.from(tokens))),
      ...policyStatistics(this.objective, policy),
      membership: tokenMembership(policy.map(({ tokens }) => tokens.length)),
    });
    const metrics = Object.entries(rest).map(
      ([name, { data }]) => [name.slice(metricOutput("").length), data] as const,
    );
    return {
      losses: losses!.data as Float32Array,
      metrics: Object.fromEntries(metrics) as StepOutput["metrics"],
      scores: policy,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.executable[Symbol.asyncDispose]();
  }
}

interface EvaluationOptions {
  readonly engine: Engine;
  readonly evaluator: ObjectiveEvaluator;
  /** Absent where there is nothing to compare with. */
  readonly reference?: Pick<ReferenceScores, "of"> | undefined;
  readonly microBatchTokens: number;
  /** Optimizer steps done. */
  readonly step: number;
  /** What the objective remembers of them. */
  readonly objectiveState?: readonly number[];
  /** Asked before each run of the engine, which blocks the event loop: whether to stop here. */
  readonly stops?: (() => Promise<boolean>) | undefined;
  /** Sees what was found of some examples, and the reference's scores of their completions where there are any. */
  readonly found?:
    | ((examples: readonly TokenizedExample[], output: StepOutput, reference?: readonly CompletionScore[]) => void)
    | undefined;
}

/**
 * Evaluates the policy as it is now on every example, all of them being one step to an objective that must know the whole
 * of it; names get the prefix `eval_`. Undefined when it was stopped midway. Throws TrainingError at a loss that is not finite.
 */
export async function evaluate(
  examples: readonly TokenizedExample[],
  options: EvaluationOptions,
): Promise<Record<string, number> | undefined> {
  const stopped = new Error("stopped midway");
  try {
    return await measure(examples, options, async () => {
      if (await options.stops?.()) throw stopped;
    });
  } catch (error) {
    if (error === stopped) return undefined;
    throw error;
  }
}

/** `pause` comes before each run of the engine. */
async function measure(
  examples: readonly TokenizedExample[],
  { engine, evaluator, reference, microBatchTokens, step, objectiveState, found }: EvaluationOptions,
  pause: () => Promise<void>,
): Promise<Record<string, number>> {
  const { objective } = evaluator;
  const plan = planMicroBatches(examples.map(packedLength), microBatchTokens);
  const groups: { indices: readonly number[]; policy: CompletionScore[]; reference?: CompletionScore[] }[] = [];
  // A context of mismatched completions has the reference's scores of the examples' own computed with theirs.
  const ownReference = objective.context?.scores === "mismatched" && objective.needsReference ? undefined : reference;
  for (const indices of plan) {
    await pause();
    const group = indices.map((i) => examples[i]!);
    groups.push({ indices, policy: await engine.score("policy", group), reference: await ownReference?.of(group) });
  }
  const known = new Map(
    groups.flatMap((g) =>
      byExample(
        g.indices.map((i) => examples[i]!),
        g.policy,
      ),
    ),
  );
  const scorers = {
    policy: async (group: readonly Scorable[]) => {
      if (group.every((example) => known.has(example))) return group.flatMap((example) => known.get(example)!);
      await pause();
      return engine.score("policy", group);
    },
    reference: async (group: readonly Scorable[]) => {
      await pause();
      return reference!.of(group);
    },
  };
  const { maxPositions } = engine;
  const context = await contextOf(objective, examples, scorers, {
    state: objectiveState ?? objective.context?.initialState ?? [],
    budget: microBatchTokens,
    maxPositions,
    heldOut: true,
  });
  const averages = new Averages(objective.scores);
  for (const { indices, policy, reference: own = context.reference(indices) } of groups) {
    const group = indices.map((i) => examples[i]!);
    const output = await evaluator.evaluate(group, policy, own, context.of(indices));
    checkFinite(output, group, step);
    averages.addBatch(output, objective.roles, own, group);
    found?.(group, output, own);
  }
  const measured = Object.entries({ ...averages.means(), ...averages.pairs.lengthCorrelation() });
  return Object.fromEntries(measured.map(([name, value]) => [`eval_${name}`, value]));
}

/** Scores of a group's completions as an entry for each of its examples. */
function byExample(
  group: readonly Scorable[],
  scores: readonly CompletionScore[],
): [Scorable, readonly CompletionScore[]][] {
  let start = 0;
  return group.map((example) => {
    start += example.completions.length;
    return [example, scores.slice(start - example.completions.length, start)];
  });
}

/** The row statistics that the objective declares, as inputs [R]. */
function policyStatistics(objective: Objective, policy: readonly CompletionScore[]): Record<string, Value> {
  const { rowStatistics = [] } = objective;
  const values = (name: RowStatistic) => policy.flatMap(({ statistics }) => Array.from(statistics![name]!));
  return Object.fromEntries(rowStatistics.map((name) => [statisticInput(name), vector(values(name))]));
}

/** 1 where a token is a completion's, else 0 [C, R]. */
function tokenMembership(lengths: readonly number[]): Value {
  const count = lengths.reduce((a, b) => a + b, 0);
  const data = new Float32Array(lengths.length * count);
  let start = 0;
  lengths.forEach((length, completion) => {
    data.fill(1, completion * count + start, completion * count + start + length);
    start += length;
  });
  return { dims: [lengths.length, count], data };
}
