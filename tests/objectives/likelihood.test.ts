import { describe, expect, it } from "vitest";
import { completionInputs, dft, nll, type Objective } from "../../src/objectives/index.ts";
import { gradients, reduceSum } from "../../src/tensor/index.ts";
import { arrayOf, evaluate, expectClose } from "../support/programs.ts";

const policy = [-12, -3, 0];
const lengths = [4, 1, 2];

/** Losses of three completions, and their sum's gradient; `given` are the values of the step. */
async function losses(objective: Objective, given: Record<string, number> = {}) {
  const completions = completionInputs(objective);
  const { losses } = objective.build(completions);
  const [slope] = gradients(reduceSum(losses), [completions.policy]);
  return await evaluate(
    { losses, slope: slope! },
    {
      policy: arrayOf([3], policy),
      lengths: arrayOf([3], lengths),
      ...Object.fromEntries(Object.entries(given).map(([name, value]) => [`step:${name}`, arrayOf([], [value])])),
    },
  );
}

describe("likelihood over completions", () => {
  it("is nats a token, each completion by its own length", async () => {
    const found = await losses(nll({ average: "completions" }));
    expectClose(found.losses!, [3, 3, 0], 1e-15);
    expectClose(found.slope!, [-1 / 4, -1, -1 / 2], 1e-15);
  });
});

describe("likelihood over tokens", () => {
  const objective = nll();
  const nothing = { policy: [], reference: [] };
  const step = { ...nothing, tokens: nothing, lengths, counts: [1, 1, 1], columns: {} };
  const { values } = objective.context!.compute(step, []);

  it("has the mean over all tokens of the step as the mean of its losses", async () => {
    const found = await losses(objective, values as Record<string, number>);
    const [total, tokens] = [-policy.reduce((a, b) => a + b), lengths.reduce((a, b) => a + b)];
    expect(found.losses!.reduce((a, b) => a + b) / 3).toBeCloseTo(total / tokens, 6);
    expectClose(found.slope!, [-3 / 7, -3 / 7, -3 / 7], 1e-6);
  });

  it("counts every token the same: lengths of a part of the step change nothing in it", async () => {
    const found = await losses(objective, { nllMeanLength: 12 });
    expectClose(found.losses!, [1, 3 / 12, 0], 1e-15);
  });
});

describe("dynamic fine-tuning", () => {
  it("weighs every token by its probability, which the gradient takes for a number", async () => {
    const objective = dft();
    const completions = completionInputs(objective);
    const { losses } = objective.build(completions);
    const [slope] = gradients(reduceSum(losses), [completions.tokens.policy]);
    const logps = [-0.5, -3, -1];
    const found = await evaluate(
      { losses, slope: slope! },
      {
        policyTokens: arrayOf([3], logps),
        membership: arrayOf([2, 3], [1, 1, 0, 0, 0, 1]),
        "step:dftMeanLength": arrayOf([], [1.5]),
      },
    );
    const [a, b, c] = logps.map((logp) => -Math.exp(logp) / 1.5);
    expectClose(found.losses!, [a! * -0.5 + b! * -3, c! * -1], 1e-6);
    expectClose(found.slope!, [a!, b!, c!], 1e-6);
  });
});
