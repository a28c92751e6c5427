/**
 * `eval-rows.jsonl`: every held-out example as the last evaluation found it, the most wrong first. That is the least margin,
 * or the greatest loss where examples have no margin. Of the first of them each token is told.
 */

import type { TokenizedExample } from "../../data/example.ts";
import type { Objective } from "../../objectives/index.ts";
import type { TokenPieces } from "../../text/pieces.ts";
import type { Tokenizer } from "../../text/tokenizer.ts";
import type { EvalCompletion, EvalRow } from "../observer.ts";
import type { CompletionScore, StepOutput } from "../step/engine.ts";
import { tokenScores } from "./token-scores.ts";

/** How many tokens are told: some 5 MB of the file, whatever the number of examples. */
const TOKEN_BUDGET = 200_000;

/** What an evaluation found of one example, with the scores of its completions. */
interface Found {
  readonly example: TokenizedExample;
  readonly loss: number;
  readonly policy: readonly CompletionScore[];
  readonly reference: readonly CompletionScore[] | undefined;
  /** The example's own value of a metric, where it has one. */
  value(name: string): number | undefined;
}

/** The rows of one evaluation. */
export class EvalRows {
  private readonly found = new Map<TokenizedExample, Found>();

  constructor(
    private readonly objective: Objective,
    private readonly tokenizer: Tokenizer,
    private readonly pieces: TokenPieces,
    private readonly budget = TOKEN_BUDGET,
  ) {}

  /** Takes what the evaluation found of some examples, with the reference's scores of their completions where there are any. */
  add(examples: readonly TokenizedExample[], output: StepOutput, reference?: readonly CompletionScore[]): void {
    const { losses, metrics, scores } = output;
    let start = 0;
    examples.forEach((example, e) => {
      const end = start + example.completions.length;
      this.found.set(example, {
        example,
        loss: losses[e]!,
        policy: scores.slice(start, end),
        reference: reference?.slice(start, end),
        value: (name) => {
          const values = metrics[name];
          return values?.length === examples.length && !Number.isNaN(values[e]!) ? values[e] : undefined;
        },
      });
      start = end;
    });
  }

  /** The rows, made one by one as they are asked for. `examples` are all that were evaluated, in their order. */
  *sorted(examples: readonly TokenizedExample[], step: number): Generator<EvalRow> {
    const marginOf = (found: Found) => found.value("rewards/margins");
    const rightness = (found: Found) => marginOf(found) ?? -found.loss;
    const found = examples.map((example) => this.found.get(example)!).sort((a, b) => rightness(a) - rightness(b));
    let left = this.objective.scores === "reward" ? 0 : this.budget;
    for (const one of found) {
      left -= one.policy.reduce((count, { tokens }) => count + tokens.length, 0);
      const margin = marginOf(one);
      yield {
        step,
        ...one.example.origin,
        prompt: this.tokenizer.decode(one.example.prompt),
        completions: rolesOf(this.objective, one.example).map((role, c) => this.completion(one, c, role, left >= 0)),
        ...(margin !== undefined && { margin }),
        loss: one.loss,
      };
    }
  }

  private completion(found: Found, c: number, role: string, tellsTokens: boolean): EvalCompletion {
    const { prompt, completions, scored } = found.example;
    const [ids, policy, reference] = [completions[c]!, found.policy[c]!, found.reference?.[c]];
    const text = this.tokenizer.decodeAfter(prompt, ids, { skipSpecialTokens: true });
    if (this.objective.scores === "reward") return { role, text, reward: policy.logp };
    const reward = found.value(`rewards/${rewardNames[role] ?? role}`);
    const logps = tellsTokens && reference && { policy: policy.tokens, reference: reference.tokens };
    return {
      role,
      text,
      logp: policy.logp,
      ...(reference && { reference_logp: reference.logp }),
      ...(reward !== undefined && { reward }),
      ...(logps && { tokens: tokenScores(this.pieces.of(ids, text), logps, scored?.[c]) }),
    };
  }
}

/** What objectives call the rewards of labelled completions. */
const rewardNames: Readonly<Record<string, string>> = { desirable: "chosen", undesirable: "rejected" };

/** What each of an example's completions is: as the objective calls it, or as its row says. */
function rolesOf({ roles }: Objective, { completions, values = {} }: TokenizedExample): readonly string[] {
  const { label, rank, preference } = values;
  if (roles !== "any") return typeof label === "number" && roles.length === 1 ? [labelRole(label)] : roles;
  if (Array.isArray(rank)) return rank.map((own) => `rank ${1 + rank.filter((other) => other < own).length}`);
  return completions.map((_, c) => (Array.isArray(preference) && preference[c] < 0 ? "rejected" : "chosen"));
}

function labelRole(label: number): string {
  return label >= 0.5 ? "desirable" : "undesirable";
}
