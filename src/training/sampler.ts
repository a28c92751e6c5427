/** Greedy answers of the reference and of the policy to the same few prompts, so that a person can see the change. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import type { TokenizedExample } from "../data/example.ts";
import { nodeRuntime } from "../runtime/node.ts";
import { Generator } from "../sampling/generator.ts";
import { stopTokens } from "../sampling/stop.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import type { TrainingConfig } from "./config.ts";
import type { Sample } from "./observer.ts";
import type { Policy } from "./policy.ts";

export interface SamplerOptions {
  readonly policy: Policy;
  readonly tokenizer: Tokenizer;
  readonly checkpoint: Checkpoint;
  readonly config: TrainingConfig;
  readonly examples: readonly TokenizedExample[];
}

export class Sampler {
  private readonly o: SamplerOptions;
  private readonly prompts: readonly Int32Array[];
  /** The reference does not change, so it answers once. */
  private reference: readonly string[] | undefined;

  constructor(options: SamplerOptions) {
    this.o = options;
    this.prompts = options.examples.slice(0, options.config.samplePrompts).map(({ prompt }) => prompt);
  }

  async sample(step: number): Promise<Sample[]> {
    this.reference ??= await this.answers("reference");
    const policy = await this.answers("policy");
    return this.prompts.map((prompt, i) => ({
      step,
      prompt: this.o.tokenizer.decode(prompt),
      reference: this.reference![i]!,
      policy: policy[i]!,
    }));
  }

  private async answers(who: "policy" | "reference"): Promise<string[]> {
    const { policy, tokenizer, checkpoint, config } = this.o;
    await using generator = await Generator.create({
      model: policy.model,
      runtime: nodeRuntime,
      parameters: who === "policy" ? policy.parameters : policy.referenceParameters,
      weights: who === "policy" ? policy.weights : policy.referenceWeights,
      threads: config.threads,
    });
    const answers = await generator.generate(this.prompts, {
      maxNewTokens: config.sampleTokens,
      stopTokens: stopTokens(checkpoint, tokenizer),
    });
    return answers.map(({ tokens }, i) =>
      tokenizer.decodeAfter(this.prompts[i]!, tokens, { skipSpecialTokens: true }).trim(),
    );
  }
}
