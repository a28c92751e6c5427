/**
 * What the policy says by itself: greedy answers of the reference and of the policy to the same few prompts, so that a
 * person can see the change, and what either thinks of each token of them; and answers drawn at temperature 1, on which the
 * change is measured.
 */

import type { Checkpoint } from "../../checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../../data/example.ts";
import { scoreInMicroBatches } from "../../data/microbatch.ts";
import { divergenceOnSample } from "../../diagnostics/divergence.ts";
import { estimate } from "../../diagnostics/estimate.ts";
import { repetition } from "../../diagnostics/repetition.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { type Generation, Generator, stopTokens } from "../../sampling/index.ts";
import { type TokenPieces, trimPieces } from "../../text/pieces.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { TrainingConfig } from "../config.ts";
import type { Sample } from "../observer.ts";
import type { Policy } from "../policy/policy.ts";
import type { Engine } from "../step/engine.ts";
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

/** An answer to a prompt, as whoever wrote it thinks of its tokens, and the pieces of text that these are. */
interface Answer extends Pick<Generation, "tokens" | "logps"> {
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

  /** Each knows its own answers' log-probabilities from writing them, and is asked for the other's. */
  private async samples(step: number, answers: readonly Answer[]): Promise<Sample[]> {
    const { moving } = this.o.policy;
    const before = this.reference!;
    const byPolicy = await this.score("policy", this.shown, before);
    const byReference = await this.score("reference", this.shown, answers);
    return this.shown.map((prompt, i) => {
      const [reference, policy] = [before[i]!, answers[i]!];
      return {
        step,
        prompt: this.o.tokenizer.decode(prompt),
        reference: reference.text.join(""),
        policy: policy.text.join(""),
        reference_tokens: tokenScores(reference.text, { policy: byPolicy[i]!, reference: reference.logps }),
        policy_tokens: tokenScores(policy.text, { policy: policy.logps, reference: byReference[i]! }),
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
    return answers.map(({ tokens, logps }, i) => {
      const text = tokenizer.decodeAfter(this.shown[i]!, tokens, { skipSpecialTokens: true });
      return { tokens, logps, text: trimPieces(pieces.of(tokens, text)) };
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
    const byReference = await this.score("reference", this.drawn, answers);
    return answers.map(({ logps }, i) => divergenceOnSample(logps, byReference[i]!));
  }

  /** Log-probabilities of the tokens of answers to these prompts. */
  private async score(
    who: "policy" | "reference",
    prompts: readonly Int32Array[],
    answers: readonly Pick<Generation, "tokens">[],
  ): Promise<Float32Array[]> {
    const { engine, config } = this.o;
    const examples = answers.map(({ tokens }, i) => ({ prompt: prompts[i]!, completions: [Int32Array.from(tokens)] }));
    const scores = await scoreInMicroBatches(examples, config.microBatchTokens, (group) => engine.score(who, group));
    return scores.map(([only]) => only!.tokens);
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
