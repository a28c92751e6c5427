/**
 * What the policy says by itself: greedy answers of the reference and of the policy to the same few prompts, so that a
 * person can see the change, and answers drawn at temperature 1, on which the change is measured.
 */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../data/example.ts";
import { packedLength, planMicroBatches } from "../data/microbatch.ts";
import { divergenceOnSample } from "../diagnostics/divergence.ts";
import { estimate } from "../diagnostics/estimate.ts";
import { repetition } from "../diagnostics/repetition.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { type Generation, Generator, stopTokens } from "../sampling/index.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { TrainingConfig } from "./config.ts";
import type { CompletionScore, Scorable } from "./engine.ts";
import type { Sample } from "./observer.ts";
import type { Policy } from "./policy.ts";

export interface SamplerOptions {
  readonly policy: Policy;
  readonly tokenizer: Tokenizer;
  readonly checkpoint: Checkpoint;
  readonly config: TrainingConfig;
  readonly examples: readonly TokenizedExample[];
  /** The reference's scores of completions. */
  readonly score: (examples: readonly Scorable[]) => Promise<readonly CompletionScore[]>;
}

/** What is heard of the policy at one evaluation. */
export interface Heard {
  readonly samples: readonly Sample[];
  /** Numbers of the drawn answers, none without `klSamples`. */
  readonly metrics: Readonly<Record<string, number>>;
}

export class Sampler {
  private readonly o: SamplerOptions;
  private readonly stops: ReadonlySet<number>;
  /** The prompts that are answered greedily, and those that answers are drawn for: the first ones, again where they are too few. */
  private readonly shown: readonly Int32Array[];
  private readonly drawn: readonly Int32Array[];
  /** A reference that does not move answers once. */
  private reference: readonly string[] | undefined;

  constructor(options: SamplerOptions) {
    this.o = options;
    const { examples, config, checkpoint, tokenizer } = options;
    this.stops = stopTokens(checkpoint, tokenizer);
    this.shown = examples.slice(0, config.samplePrompts).map(({ prompt }) => prompt);
    this.drawn = Array.from({ length: config.klSamples }, (_, i) => examples[i % examples.length]!.prompt);
  }

  /** Positions that the longest drawn answer may take with its prompt. */
  static longest(examples: readonly TokenizedExample[], config: TrainingConfig): number {
    const prompts = examples.slice(0, config.klSamples).map(({ prompt }) => prompt.length);
    return Math.max(0, ...prompts) + config.sampleTokens;
  }

  /** Whether there is anything to be heard after this many steps. */
  speaks(step: number): boolean {
    return this.drawn.length > 0 || (step > 0 && this.shown.length > 0);
  }

  /** Answers the prompts as the policy is now, after this many steps; before the first it would say what the reference says. */
  async listen(step: number): Promise<Heard> {
    const shows = step > 0 && this.shown.length > 0;
    if (!this.speaks(step)) return { samples: [], metrics: {} };
    if (this.o.policy.moving) this.reference = undefined;
    if (shows) this.reference ??= await this.generating("reference", (generator) => this.greedy(generator));
    return this.generating("policy", async (generator) => ({
      samples: shows ? this.samples(step, await this.greedy(generator)) : [],
      metrics: this.drawn.length === 0 ? {} : await this.measure(generator),
    }));
  }

  private samples(step: number, answers: readonly string[]): Sample[] {
    const { moving } = this.o.policy;
    return this.shown.map((prompt, i) => ({
      step,
      prompt: this.o.tokenizer.decode(prompt),
      reference: this.reference![i]!,
      policy: answers[i]!,
      ...(moving && { reference_step: moving.since(step) }),
    }));
  }

  private async greedy(generator: Generator): Promise<string[]> {
    const { tokenizer, config } = this.o;
    const answers = await generator.generate(this.shown, {
      maxNewTokens: config.sampleTokens,
      stopTokens: this.stops,
    });
    return answers.map(({ tokens }, i) =>
      tokenizer.decodeAfter(this.shown[i]!, tokens, { skipSpecialTokens: true }).trim(),
    );
  }

  /** Draws answers, with the same random numbers at every evaluation, so that what differs is the policy. */
  private async measure(generator: Generator): Promise<Record<string, number>> {
    const { sampleTokens, seed } = this.o.config;
    const options = { maxNewTokens: sampleTokens, stopTokens: this.stops, temperature: 1, seed };
    const answers = await generator.generate(this.drawn, options);
    const { mean, standardError } = estimate(await this.divergences(answers));
    const average = (value: (answer: Generation) => number) => estimate(answers.map(value)).mean;
    return {
      eval_kl_samples: mean,
      eval_kl_samples_stderr: standardError,
      "eval_samples/repetition": repetition(answers.map(({ tokens }) => tokens)),
      "eval_samples/ended": average(({ reason }) => (reason === "stop" ? 1 : 0)),
      "eval_samples/lengths": average(({ tokens }) => tokens.length),
    };
  }

  private async divergences(answers: readonly Generation[]): Promise<number[]> {
    const examples = answers.map(({ tokens }, i) => ({
      prompt: this.drawn[i]!,
      completions: [Int32Array.from(tokens)],
    }));
    const divergences = new Array<number>(answers.length);
    for (const indices of planMicroBatches(examples.map(packedLength), this.o.config.microBatchTokens)) {
      const scores = await this.o.score(indices.map((i) => examples[i]!));
      indices.forEach((i, place) => {
        divergences[i] = divergenceOnSample(answers[i]!.logps, scores[place]!.tokens);
      });
    }
    return divergences;
  }

  private async generating<T>(who: "policy" | "reference", use: (generator: Generator) => Promise<T>): Promise<T> {
    const { policy, config } = this.o;
    await using generator = await Generator.create({
      model: policy.model,
      runtime: nodeRuntime,
      parameters: who === "policy" ? policy.parameters : policy.referenceParameters,
      weights: who === "policy" ? policy.weights : policy.referenceWeights,
      threads: config.threads,
    });
    return await use(generator);
  }
}
