/** MPO as docs/mpo.md derives it: against PyTorch, against exact policy gradients by enumeration, and by its properties. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { columnInput, completionInputs, objectivesOf, stepInput } from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime, Value } from "../../src/runtime/runtime.ts";
import { gradients, reduceSum } from "../../src/tensor/index.ts";
import { expectClose, numbers } from "../support/programs.ts";

const [mpo] = objectivesOf("mpo");

interface Completion {
  readonly logp: number;
  readonly tokens: number;
  /** 1 for the chosen of a pair, -1 for the rejected, 0 for reference data. */
  readonly preference: 1 | -1 | 0;
  readonly regularizes: 0 | 1;
}
type Example = readonly Completion[];
type Options = Readonly<Record<string, unknown>>;

const pairOf = (chosen: number, rejected: number, [n, m] = [1, 1], standsIn: 0 | 1 = 0): Example => [
  { logp: chosen, tokens: n!, preference: 1, regularizes: standsIn },
  { logp: rejected, tokens: m!, preference: -1, regularizes: 0 },
];
const referenceOf = (logp: number, tokens = 1): Example => [{ logp, tokens, preference: 0, regularizes: 1 }];

/**
 * The step's loss, metrics and gradient by completion, from losses and gradients of groups of its examples: one group
 * unless told.
 */
async function stepOn(
  examples: readonly Example[],
  options: Options = {},
  {
    groups = [examples.map((_, i) => i)],
    runtime = interpreter as Runtime,
  }: { groups?: readonly (readonly number[])[]; runtime?: Runtime } = {},
) {
  const objective = mpo!.create(options);
  const tensors = completionInputs(objective);
  const { losses, metrics } = objective.build(tensors);
  const [slope] = gradients(reduceSum(losses), [tensors.policy]);
  await using program = await runtime.compile({ outputs: { losses, slope: slope!, ...metrics } });
  const known = objective.context!.compute(
    {
      policy: [],
      reference: [],
      tokens: { policy: [], reference: [] },
      lengths: examples.flat().map(({ tokens }) => tokens),
      counts: examples.map(({ length }) => length),
      columns: {
        preference: examples.map((example) => example.map(({ preference }) => preference)),
        regularizes: examples.map((example) => example.map(({ regularizes }) => regularizes)),
      },
    },
    [],
  ).values as Record<string, number>;
  const array = (values: readonly number[], dims: readonly number[] = [values.length]): Value => {
    return { dims, data: runtime === interpreter ? Float64Array.from(values) : Float32Array.from(values) };
  };
  let loss = 0;
  const values: Record<string, number[]> = {};
  const gradient: number[][] = examples.map(() => []);
  for (const group of groups) {
    const members = group.map((i) => examples[i]!);
    const completions = members.flat();
    const results = await program.run({
      policy: array(completions.map(({ logp }) => logp)),
      lengths: array(completions.map(({ tokens }) => tokens)),
      owners: array(
        members.flatMap((owner) => members.flatMap((example) => example.map(() => (example === owner ? 1 : 0)))),
        [members.length, completions.length],
      ),
      [columnInput("preference")]: array(completions.map(({ preference }) => preference)),
      [columnInput("regularizes")]: array(completions.map(({ regularizes }) => regularizes)),
      ...Object.fromEntries(Object.entries(known).map(([name, value]) => [stepInput(name), array([value], [])])),
    });
    loss += numbers(results.losses!).reduce((a, b) => a + b, 0) / examples.length;
    for (const name of Object.keys(metrics)) values[name] = [...(values[name] ?? []), ...numbers(results[name]!)];
    const slopes = numbers(results.slope!);
    for (const [at, i] of group.entries()) {
      gradient[i] = members[at]!.map(() => slopes.shift()! / examples.length);
    }
  }
  // NaN is not of that example.
  const means = Object.entries(values).map(
    ([name, each]) => [name, mean(each.filter((x) => !Number.isNaN(x)))] as const,
  );
  return { loss, metrics: Object.fromEntries(means), gradient };
}

const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
const sigma = (x: number): number => 1 / (1 + Math.exp(-x));
const logProbability = fc.double({ min: -40, max: 0, noNaN: true });
const unweighted = { regularizationWeight: 0 };

describe("golden numbers", () => {
  interface Golden {
    policy: [number, number][];
    lengths: [number, number][];
    regularization: { policy: number[]; lengths: number[] };
    mpo: {
      regularization: boolean;
      options: Options;
      loss: number;
      gradient: [number, number][];
      regularizationGradient: number[] | null;
    }[];
  }
  const golden = JSON.parse(
    readFileSync(new URL("../golden/objectives/reference-free.json", import.meta.url), "utf8"),
  ) as Golden;
  const { policy, lengths, regularization } = golden;

  it.each(golden.mpo)("$options, data of the reference: $regularization: as PyTorch's", async (expected) => {
    const pairs = policy.map(([w, l], i) => pairOf(w, l, lengths[i], expected.regularization ? 0 : 1));
    const data = regularization.policy.map((logp, i) => referenceOf(logp, regularization.lengths[i]));
    const examples = [...pairs, ...(expected.regularization ? data : [])];
    const gradient = [expected.gradient, expected.regularizationGradient ?? []].flat(2);
    const exact = await stepOn(examples, expected.options);
    expectClose([exact.loss], [expected.loss], 1e-13);
    expectClose(exact.gradient.flat(), gradient, 1e-13);
    const engine = await stepOn(examples, expected.options, { runtime: nodeRuntime });
    expectClose([engine.loss], [expected.loss], 1e-6);
    expectClose(engine.gradient.flat(), gradient, 1e-6);
  });
});

/** A policy over K completions, a logit each: all that it can say of a prompt. */
const table = fc.array(fc.double({ min: -2, max: 2, noNaN: true }), { minLength: 4, maxLength: 4 });
const logSoftmax = (logits: readonly number[]) => {
  const total = Math.log(logits.reduce((sum, x) => sum + Math.exp(x), 0));
  return logits.map((x) => x - total);
};
/** From the gradient by each completion's log-probability to that by each logit. */
const byLogits = (logits: readonly number[], slopes: readonly number[]) => {
  const total = slopes.reduce((a, b) => a + b, 0);
  return logSoftmax(logits).map((logp, k) => slopes[k]! - Math.exp(logp) * total);
};

describe("on a policy that is a table", () => {
  it("labelled pairs give the exact policy gradient of the expected reward, without its rewards being known", async () => {
    await fc.assert(
      fc.asyncProperty(table, fc.double({ min: 0, max: 1, noNaN: true }), async (logits, preferred) => {
        const logps = logSoftmax(logits);
        // Exact: sum over the arms of pi_p(arm) reward(arm) grad log pi_p(arm). The arms are completions 0 and 1.
        const first = Math.exp(logps[0]!) / (Math.exp(logps[0]!) + Math.exp(logps[1]!));
        const arms = [
          { chance: first, reward: preferred, score: [1 - first, first - 1, 0, 0] },
          { chance: 1 - first, reward: 1 - preferred, score: [-first, first, 0, 0] },
        ];
        const exact = logits.map((_, k) =>
          arms.reduce((sum, { chance, reward, score }) => sum + chance * reward * score[k]!, 0),
        );
        // Off-policy: labels are drawn by the preference; what is averaged never sees it.
        const draws = [
          { chance: preferred, ...(await stepOn([pairOf(logps[0]!, logps[1]!)], unweighted)), order: [0, 1] },
          { chance: 1 - preferred, ...(await stepOn([pairOf(logps[1]!, logps[0]!)], unweighted)), order: [1, 0] },
        ];
        const estimate = logits.map((_, k) =>
          draws.reduce((sum, { chance, gradient, order }) => {
            const slopes = logits.map((_, c) => (order.includes(c) ? gradient[0]![order.indexOf(c)]! : 0));
            return sum - chance * byLogits(logits, slopes)[k]!;
          }, 0),
        );
        expectClose(estimate, exact, 1e-13);
        const expected = first * preferred + (1 - first) * (1 - preferred);
        expectClose([1 - draws.reduce((sum, { chance, loss }) => sum + chance * loss, 0)], [expected], 1e-13);
      }),
      { numRuns: 25 },
    );
  });

  it("data of the reference give the exact gradient of KL(pi_ref || pi), without its probabilities being known", async () => {
    await fc.assert(
      fc.asyncProperty(table, table, async (logits, referenceLogits) => {
        const [logps, reference] = [logSoftmax(logits), logSoftmax(referenceLogits).map(Math.exp)];
        const pair = pairOf(-1, -1); // Its own gradient is that of two other completions.
        const estimate = logits.map(() => 0);
        for (const [k, logp] of logps.entries()) {
          const { gradient } = await stepOn([pair, referenceOf(logp)]);
          const slopes = logits.map((_, c) => (c === k ? gradient[1]![0]! : 0));
          for (const [c, slope] of byLogits(logits, slopes).entries()) estimate[c]! += reference[k]! * slope;
        }
        const exact = logps.map((logp, k) => Math.exp(logp) - reference[k]!);
        expectClose(estimate, exact, 1e-13);
      }),
      { numRuns: 15 },
    );
  });
});

describe("the choice", () => {
  it("costs the probability of the rejected completion, and pulls by sigmoid(z) sigmoid(-z)", async () => {
    await fc.assert(
      fc.asyncProperty(
        logProbability,
        logProbability,
        fc.double({ min: 0.05, max: 2, noNaN: true }),
        async (w, l, beta) => {
          const { loss, gradient, metrics } = await stepOn([pairOf(w, l)], { ...unweighted, beta });
          const z = beta * (w - l);
          const weight = beta * sigma(z) * sigma(-z);
          expectClose([loss, ...gradient[0]!], [sigma(-z), -weight, weight], 1e-13);
          expectClose(
            [metrics["choices/chosen"]!, metrics["choices/undecided"]!],
            [sigma(z), (4 * weight) / beta],
            1e-13,
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  it("of a pair labelled both ways cancels: contradictory labels teach nothing", async () => {
    await fc.assert(
      fc.asyncProperty(logProbability, logProbability, async (a, b) => {
        const { loss, gradient } = await stepOn([pairOf(a, b), pairOf(b, a)], unweighted);
        expect(loss).toBeCloseTo(0.5, 13);
        expectClose([gradient[0]![0]! + gradient[1]![1]!, gradient[0]![1]! + gradient[1]![0]!], [0, 0], 1e-15);
      }),
      { numRuns: 30 },
    );
  });

  it("does not change with what the policy thinks of the prompt", async () => {
    const { loss } = await stepOn([pairOf(-3, -5)], unweighted);
    expect((await stepOn([pairOf(-13, -15)], unweighted)).loss).toBeCloseTo(loss, 14);
  });

  it("a token is by each completion's own length", async () => {
    const options = { ...unweighted, perToken: true };
    const { loss } = await stepOn([pairOf(-12, -20, [6, 5])], options);
    expect(loss).toBeCloseTo(sigma(-(4 - 2)), 14);
  });

  it.each([interpreter, nodeRuntime])("stays finite for log-probabilities of -10,000 and +10,000", async (runtime) => {
    const extremes = [-1e4, 0, 1e4];
    const examples = extremes.flatMap((a) => extremes.map((b) => pairOf(a, b, [1, 3], 1)));
    const { loss, gradient, metrics } = await stepOn(examples, {}, { runtime });
    for (const x of [loss, ...gradient.flat(), ...Object.values(metrics)]) expect(x).toSatisfy(Number.isFinite);
  });
});

describe("a step of pairs and of reference data", () => {
  const examples = [
    pairOf(-3, -4, [3, 2]),
    referenceOf(-30, 10),
    pairOf(-8, -2, [4, 4]),
    referenceOf(-2, 4),
    referenceOf(-7, 1),
  ];

  it("takes the mean over its pairs, and that over the tokens of its reference data, whatever their numbers", async () => {
    const { loss, metrics } = await stepOn(examples, { regularizationWeight: 0.5 });
    const choice = (sigma(-1) + sigma(6)) / 2;
    expectClose([loss, metrics.nll_loss!], [choice + (0.5 * 39) / 15, 39 / 15], 1e-13);
    expect(metrics).toMatchObject({
      "rewards/chosen": -5.5,
      "rewards/rejected": -3,
      "rewards/margins": -2.5,
      "rewards/accuracies": 0.5,
      "logps/chosen": -5.5,
      "logps/rejected": -3,
      "lengths/chosen": 3.5,
      "lengths/rejected": 3,
    });
  });

  it("is the same in any micro-batches", async () => {
    const whole = await stepOn(examples);
    for (const groups of [
      [
        [0, 1, 2],
        [3, 4],
      ],
      [[4, 0], [1], [3, 2]],
    ]) {
      const parts = await stepOn(examples, {}, { groups });
      expectClose([parts.loss], [whole.loss], 1e-13);
      expectClose(parts.gradient.flat(), whole.gradient.flat(), 1e-13);
      expectClose(Object.values(parts.metrics), Object.values(whole.metrics), 1e-13);
    }
  });

  it("without pairs, or without reference data, is what is there", async () => {
    expect((await stepOn([referenceOf(-6, 3)])).loss).toBeCloseTo(2, 13);
    expect((await stepOn([pairOf(-3, -3)])).loss).toBe(0.5);
  });
});
