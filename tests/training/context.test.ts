/** What an objective knows of a whole step: which completions are mismatched, and that micro-batches never change it. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { TokenizedExample } from "../../src/data/example.ts";
import { packedLength, planMicroBatches } from "../../src/data/microbatch.ts";
import { definitions, type Objective } from "../../src/objectives/index.ts";
import { evaluate } from "../../src/training/measurements/evaluate.ts";
import { mismatched, positionsNeeded } from "../../src/training/step/context.ts";
import type { CompletionScore } from "../../src/training/step/engine.ts";
import { ReferenceScores } from "../../src/training/step/reference.ts";
import { tinyPairs } from "../support/tiny-model.ts";
import { relativeError, withTrainer } from "../support/trainers.ts";

const origin = { file: "f.jsonl", line: 1 };

/** Examples whose prompt and completion are one token each: the prompt as given, the completion by its place. */
const withPrompts = (prompts: readonly number[]): TokenizedExample[] =>
  prompts.map((prompt, i) => ({ origin, prompt: Int32Array.of(prompt), completions: [Int32Array.of(i)] }));

/** For each example the place of the one whose completion it gets. */
const partners = (prompts: readonly number[]) =>
  mismatched(withPrompts(prompts)).map((sequence, i) => {
    expect(sequence?.prompt[0] ?? prompts[i]).toBe(prompts[i]);
    return sequence && sequence.completions[0]![0];
  });

describe("mismatched completions", () => {
  it("are the next example's, the first coming after the last", () => {
    expect(partners([7, 8, 9])).toEqual([1, 2, 0]);
  });

  it("of pairs, unpaired, are chosen and rejected ones alike", () => {
    expect(partners([7, 7, 8, 8, 9, 9])).toEqual([2, 3, 4, 5, 0, 1]);
  });

  it("leave out what can't be matched with another prompt", () => {
    expect(partners([7, 7, 7, 8])).toEqual([undefined, undefined, 3, 0]);
    expect(partners([7, 7])).toEqual([undefined, undefined]);
    expect(partners([7])).toEqual([undefined]);
  });

  it("never answer their own prompt, and stand at most once", () => {
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 12 }), (prompts) => {
        const found = partners(prompts);
        const used = found.filter((j) => j !== undefined);
        expect(new Set(used).size).toBe(used.length);
        found.forEach((j, i) => {
          if (j !== undefined) expect(prompts[j]).not.toBe(prompts[i]);
        });
      }),
    );
  });

  it("are cut to the longest sequence that can be run", () => {
    const examples = [
      { origin, prompt: Int32Array.of(1, 2, 3), completions: [Int32Array.of(4)] },
      { origin, prompt: Int32Array.of(5), completions: [Int32Array.of(6, 7, 8)] },
    ];
    expect(mismatched(examples, 4).map((sequence) => sequence!.completions[0]!.length)).toEqual([1, 1]);
    expect(mismatched(examples, 5).map((sequence) => sequence!.completions[0]!.length)).toEqual([2, 1]);
    expect(positionsNeeded(objectiveNamed("kto"), examples, 99)).toBe(6);
    expect(positionsNeeded(objectiveNamed("kto"), examples, 5)).toBe(5);
    expect(positionsNeeded(objectiveNamed("bco"), examples, 99)).toBe(4);
  });
});

function objectiveNamed(name: string): Objective {
  return definitions.find((definition) => definition.name === name)!.create({ beta: 0.1 } as never);
}

/** Pairs of token ids, unpaired, on which the moved policy has a reference point above 0. */
const labelled: TokenizedExample[] = tinyPairs(4, 6).flatMap(({ completions, ...pair }) =>
  completions.map((completion, i) => ({ ...pair, completions: [completion], values: { label: 1 - i } })),
);

const ranked: TokenizedExample[] = [2, 4, 3, 2].map((count, i) => {
  const parts = tinyPairs(count, 20 + i);
  const rank = Array.from({ length: count }, (_, place) => Math.min(place + 1, 3));
  return { origin, prompt: parts[0]!.prompt, completions: parts.map((part) => part.completions[0]!), values: { rank } };
});

describe.each([
  ["kto", labelled],
  ["apo_zero_unpaired", labelled],
  ["bco", labelled],
  ["plackett_luce", ranked],
] as const)("%s", (name, examples) => {
  const objective = objectiveNamed(name);
  const twoSteps = (microBatchTokens: number) =>
    withTrainer({ objective, microBatchTokens }, async ({ trainer, engine }) => {
      const first = await trainer.step(0, examples);
      const gradients = engine.gradients.data.slice();
      const second = await trainer.step(1, examples.toReversed());
      return { gradients, metrics: [first, second], state: trainer.objectiveState };
    });

  it("gives the large batch's gradient and metrics, whatever the micro-batches", async () => {
    const plan = (budget: number) => planMicroBatches(examples.map(packedLength), budget).map((group) => group.length);
    expect(plan(10_000)).toEqual([examples.length]);
    expect(new Set(plan(50)).size).toBeGreaterThan(1);
    const large = await twoSteps(10_000);
    for (const microBatchTokens of [1, 50]) {
      const accumulated = await twoSteps(microBatchTokens);
      expect(relativeError(accumulated.gradients, large.gradients)).toBeLessThan(1e-5);
      accumulated.state.forEach((value, i) => {
        expect(value).toBeCloseTo(large.state[i]!, 4);
      });
      for (const step of [0, 1]) {
        const [mine, theirs] = [accumulated.metrics[step]!, large.metrics[step]!];
        expect(Object.keys(mine).toSorted()).toEqual(Object.keys(theirs).toSorted());
        for (const metric of Object.keys(theirs).filter((key) => !key.endsWith("_per_second"))) {
          expect(Math.abs(mine[metric]! - theirs[metric]!), metric).toBeLessThan(
            1e-4 * (1 + Math.abs(theirs[metric]!)),
          );
        }
      }
    }
  });

  it("evaluates a whole set as one step", async () => {
    const measured = (microBatchTokens: number, state?: readonly number[]) =>
      withTrainer({ objective }, async ({ engine, evaluator, reference }) => {
        const objectiveState = state && { objectiveState: state };
        const options = { engine, evaluator, reference, microBatchTokens, step: 0, ...objectiveState };
        return (await evaluate(examples, options))!;
      });
    const { metrics, state } = await withTrainer({ objective }, async ({ trainer }) => {
      const step = await trainer.step(0, examples);
      return { metrics: step, state: trainer.objectiveState };
    });
    const [whole, parts] = [await measured(10_000, state), await measured(1, state)];
    for (const [metric, value] of Object.entries(whole)) {
      const step = metrics[metric.slice("eval_".length)];
      expect(Math.abs(parts[metric]! - value), metric).toBeLessThan(1e-4 * (1 + Math.abs(value)));
      if (step !== undefined) expect(Math.abs(step - value), metric).toBeLessThan(1e-4 * (1 + Math.abs(value)));
    }
    expect(whole).toHaveProperty("eval_rewards/margins");
  });
});

describe("KTO's reference point", () => {
  const logp = (scores: readonly CompletionScore[]) => scores.map((score) => score.logp);

  const everyOther = (ids: Int32Array) => Uint8Array.from(ids, (_, i) => i % 2);
  const masked = labelled.map((example) => ({ ...example, scored: example.completions.map(everyOther) }));

  it.each([
    ["all tokens", labelled],
    ["the scored tokens alone", masked],
  ])(
    "is the mean log-ratio of prompts with the completions of other prompts, over the whole step: %s",
    async (_, own) => {
      await withTrainer({ objective: objectiveNamed("kto"), microBatchTokens: 40 }, async ({ trainer, engine }) => {
        const sequences = own.map(({ prompt }, i) => {
          const { completions, scored } = own[(i + 2) % own.length]!;
          return { prompt, completions, ...(scored && { scored }) };
        });
        const [policy, reference] = [
          logp(await engine.score("policy", sequences)),
          logp(await engine.score("reference", sequences)),
        ];
        const mean = policy.reduce((sum, value, i) => sum + value - reference[i]!, 0) / labelled.length;
        expect(mean).toBeGreaterThan(0.01);
        const metrics = await trainer.step(0, own);
        expect(metrics["kto/z0"]).toBeCloseTo(mean, 4);
      });
    },
  );

  it("is 0 in a step of one example, and of one prompt", async () => {
    await withTrainer({ objective: objectiveNamed("kto") }, async ({ trainer }) => {
      for (const examples of [labelled.slice(0, 1), labelled.slice(0, 2)]) {
        const metrics = await trainer.step(0, examples);
        expect(metrics["kto/z0"]).toBe(0);
        expect(Number.isFinite(metrics.loss)).toBe(true);
      }
    });
  });

  it("leaves rewards of a kind that a step does not have out of its metrics", async () => {
    await withTrainer({ objective: objectiveNamed("kto") }, async ({ trainer }) => {
      const metrics = await trainer.step(
        0,
        labelled.filter(({ values }) => values!.label === 1),
      );
      expect(metrics).toHaveProperty("rewards/chosen");
      expect(metrics).not.toHaveProperty("rewards/rejected");
      expect(metrics).not.toHaveProperty("rewards/margins");
    });
  });

  it("stops in the middle of an evaluation when it is told to", async () => {
    await withTrainer({ objective: objectiveNamed("kto") }, async ({ engine, evaluator }) => {
      let scored = 0;
      const reference = new ReferenceScores((group) => {
        scored++;
        return engine.score("reference", group);
      });
      const stops = async () => scored === 2;
      const options = { engine, evaluator, reference, microBatchTokens: 20, step: 0, stops };
      expect(await evaluate(labelled, options)).toBeUndefined();
      expect(scored).toBe(2);
    });
  });
});

describe("BCO's shift", () => {
  it("does not move with held-out examples", async () => {
    await withTrainer({ objective: objectiveNamed("bco") }, async ({ engine, evaluator, reference }) => {
      const options = { engine, evaluator, reference, microBatchTokens: 100, step: 0 };
      expect(await evaluate(labelled, options)).toMatchObject({ "eval_bco/delta": 0 });
      expect(await evaluate(labelled, { ...options, objectiveState: [0.5, 8] })).toMatchObject({
        "eval_bco/delta": 0.5,
      });
    });
  });

  it("is the mean reward of all steps so far, and goes on from where a checkpoint left it", async () => {
    await withTrainer({ objective: objectiveNamed("bco") }, async ({ trainer }) => {
      const first = await trainer.step(0, labelled.slice(0, 6));
      const mean = (metrics: Record<string, number>, desirable: number, others: number) =>
        metrics["rewards/chosen"]! * desirable + metrics["rewards/rejected"]! * others;
      expect(first["bco/delta"]).toBeCloseTo(mean(first, 3, 3) / 6, 5);
      const second = await trainer.step(1, labelled.slice(6));
      expect(second["bco/delta"]).toBeCloseTo((mean(first, 3, 3) + mean(second, 1, 1)) / 8, 5);
      expect(trainer.objectiveState[1]).toBe(8);
      expect(trainer.objectiveState[0]).toBeCloseTo(second["bco/delta"]!, 6);
    });
  });
});
