/**
 * What the policy says by itself: greedy answers of the reference and of the policy to the same few prompts, so that a
 * person can see the change, and what either thinks of each token of them; and answers drawn at temperature 1, on which the
 * change is measured.
 */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../data/example.ts";
import { scoreInMicroBatches } from "../data/microbatch.ts";
import { divergenceOnSample } from "../diagnostics/divergence.ts";
import { estimate } from "../diagnostics/estimate.ts";
import { repetition } from "../diagnostics/repetition.ts";
import type { Runtime } from "../runtime/runtime.ts";
import { type Generation, Generator, stopTokens } from "../sampling/index.ts";
import { type TokenPieces, trimPieces } from "../text/pieces.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { TrainingConfig } from "./config.ts";
import type { CompletionScore, Engine, Scorable } from "./engine.ts";
import type { Sample } from "./observer.ts";
import type { Policy } from "./policy.ts";
import { tokenScores } from "./token-scores.ts";

interface SamplerOptions {
  readonly policy: Policy;
  readonly tokenizer: Tokenizer;
  readonly pieces: TokenPieces;
  readonly checkpoint: Checkpoint;
  readonly config: TrainingConfig;
  readonly examples: readonly TokenizedExample[];
  readonly engine: Pick<Engine, "score">;
  readonly runtime: Runtime;
}

/** An answer to a prompt: its tokens, and the pieces of text that they are. */
interface Answer {
  readonly ids: Int32Array;
  readonly text: readonly string[];
}

/** What is heard of the policy at one evaluation. */
interface Heard {
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
  private reference: readonly Answer[] | undefined;

  constructor(options: SamplerOptions) {
    this.o = options;
    const { examples, config, checkpoint, tokenizer } = options;
    this.stops = stopTokens(checkpoint, tokenizer);
    this.shown = examples.slice(0, config.samplePrompts).map(({ prompt }) => prompt);
    this.drawn = Array.from({ length: config.klSamples }, (_, i) => examples[i % examples.length]!.prompt);
  }

  /** Positions that the longest answer may take with its prompt; 0 where there are none. */
  static longest(
    examples: readonly TokenizedExample[],
    { klSamples, samplePrompts, sampleTokens }: TrainingConfig,
  ): number {
    const answered = examples.slice(0, Math.max(klSamples, samplePrompts));
    return answered.reduce((most, { prompt }) => Math.max(most, prompt.length + sampleTokens), 0);
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
    const { answers, metrics } = await this.generating("policy", async (generator) => ({
      answers: shows ? await this.greedy(generator) : [],
      metrics: this.drawn.length === 0 ? {} : await this.measure(generator),
    }));
    return { samples: shows ? await this.samples(step, answers) : [], metrics };
  }

  private async samples(step: number, answers: readonly Answer[]): Promise<Sample[]> {
    const { moving } = this.o.policy;
    const both = this.shown.map((prompt, i) => ({ prompt, completions: [this.reference![i]!.ids, answers[i]!.ids] }));
    const policy = await this.score("policy", both);
    const reference = await this.score("reference", both);
    const tokens = (text: readonly string[], i: number, completion: number) => {
      const logps = { policy: policy[i]![completion]!.tokens, reference: reference[i]![completion]!.tokens };
      return tokenScores(text, logps);
    };
    return this.shown.map((prompt, i) => {
      const [before, after] = [this.reference![i]!.text, answers[i]!.text];
      return {
        step,
        prompt: this.o.tokenizer.decode(prompt),
        reference: before.join(""),
        policy: after.join(""),
        reference_tokens: tokens(before, i, 0),
        policy_tokens: tokens(after, i, 1),
        ...(moving && { reference_step: moving.since(step) }),
      };
    });
  }

  private async greedy(generator: Generator): Promise<Answer[]> {
    const { tokenizer, pieces, config } = this.o;
    const answers = await generator.generate(this.shown, {
      maxNewTokens: config.sampleTokens,
      stopTokens: this.stops,
    });
    return answers.map(({ tokens }, i) => {
      const text = tokenizer.decodeAfter(this.shown[i]!, tokens, { skipSpecialTokens: true });
      return { ids: Int32Array.from(tokens), text: trimPieces(pieces.of(tokens, text)) };
    });
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
    const scores = await this.score("reference", examples);
    return answers.map(({ logps }, i) => divergenceOnSample(logps, scores[i]![0]!.tokens));
  }

  private score(who: "policy" | "reference", examples: readonly Scorable[]): Promise<CompletionScore[][]> {
    const { engine, config } = this.o;
    return scoreInMicroBatches(examples, config.microBatchTokens, (group) => engine.score(who, group));
  }

  private async generating<T>(who: "policy" | "reference", use: (generator: Generator) => Promise<T>): Promise<T> {
    const { policy, config, runtime } = this.o;
    await using generator = await Generator.create({
      model: policy.model,
      runtime,
      parameters: who === "policy" ? policy.parameters : policy.referenceParameters,
      weights: who === "policy" ? policy.weights : policy.referenceWeights,
      threads: config.threads,
    });
    return await use(generator);
  }
}
