/** Plackett-Luce DPO: rankings of any number of completions, with ties. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { definitions, dpo, type Objective } from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { evaluateCompletions, type Outcome } from "./completions.ts";
import { evaluatePairs, type Pair } from "./pairs.ts";

interface Ranking {
  readonly policy: readonly number[];
  readonly reference: readonly number[];
  readonly rank: readonly number[];
}
interface Golden {
  readonly beta: number;
  readonly ranks: number[][];
  readonly policy: number[];
  readonly reference: number[];
  readonly losses: number[];
  readonly gradient: number[];
}
const golden = (
  JSON.parse(readFileSync(new URL("../golden/objectives/unpaired.json", import.meta.url), "utf8")) as {
    rankings: Golden[];
  }
).rankings;

const create = (options: { beta?: number; referenceFree?: boolean } = {}): Objective =>
  definitions.find(({ name }) => name === "plackett_luce")!.create(options as never);

function evaluate(objective: Objective, rankings: readonly Ranking[], runtime = interpreter): Promise<Outcome> {
  const flat = (name: keyof Ranking) => rankings.flatMap((ranking) => ranking[name]);
  const counts = rankings.map(({ rank }) => rank.length);
  const given = { policy: flat("policy"), reference: flat("reference"), counts, columns: { rank: flat("rank") } };
  return evaluateCompletions(objective, given, runtime);
}

const logp = fc.double({ min: -300, max: 0, noNaN: true });
/** 2 to 6 completions in any order, some of them tied. */
const rankings = fc
  .array(fc.record({ policy: logp, reference: logp, rank: fc.integer({ min: 1, max: 4 }) }), {
    minLength: 2,
    maxLength: 6,
  })
  .filter((rows) => new Set(rows.map(({ rank }) => rank)).size > 1)
  .map((rows): Ranking => {
    const values = (name: "policy" | "reference" | "rank") => rows.map((row) => row[name]);
    return { policy: values("policy"), reference: values("reference"), rank: values("rank") };
  });

describe("golden numbers", () => {
  it.each(golden)("ranks $ranks: losses and gradients equal PyTorch's", async (expected) => {
    const { beta, ranks, policy, reference } = expected;
    const counts = ranks.map(({ length }) => length);
    const given = { policy, reference, counts, columns: { rank: ranks.flat() } };
    const { losses, gradient } = await evaluateCompletions(create({ beta }), given);
    expectClose(losses, expected.losses, 1e-13);
    // PyTorch's is the gradient of the mean loss.
    expectClose(
      gradient.map((x) => x / losses.length),
      expected.gradient,
      1e-13,
    );
  });
});

describe("a ranking of two", () => {
  const pair = fc.record({
    policy: fc.tuple(logp, logp),
    reference: fc.tuple(logp, logp),
    lengths: fc.constant([1, 1] as const),
  });
  const rank = [1, 2];

  it.each([
    ["interpreter", interpreter, {}],
    ["interpreter, reference-free", interpreter, { referenceFree: true }],
    ["engine", nodeRuntime, {}],
  ] as const)("is DPO's pair, bit for bit, on the %s", async (_, runtime, options) => {
    // Any number of pairs: the engine's kernels do some of a tensor's values in blocks, the rest one by one.
    const pairs = fc.array(pair, { minLength: 1, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(pairs, fc.double({ min: 0.01, max: 2, noNaN: true }), async (drawn: Pair[], beta) => {
        const rankings = drawn.map(({ policy, reference }) => ({ policy, reference, rank }));
        const mine = await evaluate(create({ beta, ...options }), rankings, runtime);
        const theirs = await evaluatePairs(dpo({ beta, ...options }), drawn, runtime);
        expect(mine.losses).toEqual(theirs.losses);
        expect(mine.gradient).toEqual(theirs.gradient.flat());
        const names = { best: "chosen", worst: "rejected", margins: "margins", accuracies: "accuracies" };
        for (const [name, other] of Object.entries(names)) {
          expectClose(mine.metrics[`rewards/${name}`]!, theirs.metrics[`rewards/${other}`]!, 0);
        }
      }),
      { numRuns: 20 },
    );
  });
});

describe("any ranking", () => {
  const objective = create({ beta: 0.1 });

  it("starts where every order is as likely as any other", async () => {
    const start = (count: number) => ({
      policy: new Array<number>(count).fill(-3),
      reference: new Array<number>(count).fill(-3),
      rank: Array.from({ length: count }, (_, i) => i + 1),
    });
    const { losses } = await evaluate(objective, [start(2), start(3), start(5)]);
    expectClose(losses, [Math.log(2), Math.log(6), Math.log(120)], 1e-14);
  });

  it("does not change with what policy and reference think of the prompt, nor with one that is only the policy's", async () => {
    await fc.assert(
      fc.asyncProperty(rankings, fc.double({ min: -50, max: 0, noNaN: true }), async (ranking, shift) => {
        const shifted = { ...ranking, policy: ranking.policy.map((value) => value + shift) };
        const { losses, gradient } = await evaluate(objective, [ranking, shifted]);
        expectClose([losses[1]!], [losses[0]!], 1e-9);
        const count = ranking.rank.length;
        expectClose(gradient.slice(count), gradient.slice(0, count), 1e-9);
      }),
      { numRuns: 30 },
    );
  });

  it("has a gradient that only moves probability from worse to better completions", async () => {
    await fc.assert(
      fc.asyncProperty(rankings, async (ranking) => {
        const { gradient } = await evaluate(objective, [ranking]);
        expect(Math.abs(gradient.reduce((a, b) => a + b, 0))).toBeLessThan(1e-12);
        const [best, worst] = [Math.min(...ranking.rank), Math.max(...ranking.rank)];
        ranking.rank.forEach((rank, i) => {
          if (rank === best) expect(gradient[i]).toBeLessThanOrEqual(0);
          if (rank === worst) expect(gradient[i]).toBeGreaterThanOrEqual(0);
        });
      }),
    );
  });

  it("looks at each example by itself, in whatever order its completions stand", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(rankings, { minLength: 2, maxLength: 4 }), async (drawn) => {
        const together = await evaluate(objective, drawn);
        let start = 0;
        for (const [i, ranking] of drawn.entries()) {
          const backwards = {
            policy: ranking.policy.toReversed(),
            reference: ranking.reference.toReversed(),
            rank: ranking.rank.toReversed(),
          };
          const alone = await evaluate(objective, [backwards]);
          expectClose(alone.losses, [together.losses[i]!], 1e-12);
          const end = start + ranking.rank.length;
          expectClose(alone.gradient.toReversed(), together.gradient.slice(start, end), 1e-12);
          for (const [name, values] of Object.entries(alone.metrics)) {
            expectClose(values, [together.metrics[name]![i]!], 1e-12);
          }
          start = end;
        }
      }),
      { numRuns: 15 },
    );
  });

  it.each([["interpreter", interpreter] as const, ["engine", nodeRuntime] as const])(
    "stays finite at log-probabilities of -10,000, on the %s",
    async (_, runtime) => {
      const far = { policy: [0, -1e4, 0, -1e4], reference: [-1e4, 0, -1e4, 0] };
      const drawn = [
        { ...far, rank: [1, 2, 3, 4] },
        { ...far, rank: [1, 1, 2, 2] },
        { ...far, rank: [4, 3, 2, 2] },
      ];
      const { losses, gradient, metrics } = await evaluate(objective, drawn, runtime);
      for (const value of [...losses, ...gradient, ...Object.values(metrics).flat()]) {
        expect(Number.isFinite(value)).toBe(true);
      }
    },
  );
});

describe("ties", () => {
  const objective = create({ beta: 1 });
  const at = (rewards: number[], rank: number[]) => ({ policy: rewards, reference: rewards.map(() => 0), rank });

  it("for the best: each is chosen over the worse one, as in a pair, and they don't compete", async () => {
    const tied = at([-1, -3, -2], [1, 1, 2]);
    const pairs = [at([-1, -2], [1, 2]), at([-3, -2], [1, 2])];
    const [together, apart] = [await evaluate(objective, [tied]), await evaluate(objective, pairs)];
    expectClose(together.losses, [apart.losses[0]! + apart.losses[1]!], 1e-14);
    const [first, last, second, again] = apart.gradient;
    expectClose(together.gradient, [first!, second!, last! + again!], 1e-14);
  });

  it("for the last: the best is chosen from all at once, and nothing is asked of the others", async () => {
    const { losses, gradient } = await evaluate(objective, [at([-1, -3, -2], [1, 2, 2])]);
    expectClose(losses, [Math.log(1 + Math.exp(-2) + Math.exp(-1))], 1e-14);
    const sum = Math.exp(-1) + Math.exp(-3) + Math.exp(-2);
    expectClose(gradient, [Math.exp(-1) / sum - 1, Math.exp(-3) / sum, Math.exp(-2) / sum], 1e-14);
  });
});

describe("metrics", () => {
  it("are the rewards of the best and of the worst, and the share of pairs in the right order", async () => {
    const ranking = { policy: [-2, -4, -3, -9], reference: [-3, -3, -3, -3], rank: [1, 2, 2, 3] };
    const { metrics } = await evaluate(create({ beta: 0.5 }), [ranking, { ...ranking, rank: [2, 2, 1, 1] }]);
    expect(metrics["rewards/best"]).toEqual([0.5, -1.5]);
    expect(metrics["rewards/worst"]).toEqual([-3, 0]);
    expect(metrics["rewards/margins"]).toEqual([3.5, -1.5]);
    // Of five pairs of different rank all stand right; of four one, the third completion over the second.
    expect(metrics["rewards/accuracies"]).toEqual([1, 0.25]);
  });

  it("don't call a tie of rewards right", async () => {
    const start = { policy: [-2, -4, -3], reference: [-2, -4, -3], rank: [1, 2, 3] };
    expect((await evaluate(create(), [start])).metrics["rewards/accuracies"]).toEqual([0]);
  });
});
