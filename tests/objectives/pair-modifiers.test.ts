/** What can be changed of objectives over pairs: divergence, lengths, the chosen completion's likelihood, a margin a row. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Objective, objectivesOf } from "../../src/objectives/index.ts";
import { expectClose } from "../support/programs.ts";
import { byToken, objectiveFor, summed } from "./golden-pairs.ts";
import { evaluatePairs, type Pair, pairOfTokens } from "./pairs.ts";

const { pairs } = summed;
const loss = (name: string, options: Record<string, unknown> = {}) => objectiveFor({ loss: name, ...options });
const lossesOf = async (objective: Objective, some: readonly Pair[] = pairs) =>
  (await evaluatePairs(objective, some)).losses;

const overMargins = ["sigmoid", "hinge", "robust", "exo_pair", "discopop"];
const having = (option: string) =>
  objectivesOf("dpo").flatMap(({ name, options }) => (option in options ? [name] : []));

describe("options belong to the objectives that can use them", () => {
  it("f-divergences to those of a difference of scores", () => {
    const names = [...overMargins, "ipo", "sigmoid_norm"];
    expect(new Set(having("fDivergence"))).toEqual(new Set(names));
    expect(new Set(having("fAlpha"))).toEqual(new Set(names));
  });

  it("DPO-positive and offsets to those of one margin", () => {
    for (const option of ["dpopLambda", "offsetAlpha", "offsetScale"])
      expect(new Set(having(option))).toEqual(new Set(overMargins));
  });

  it("nothing to sft, which knows no reference", () => {
    expect(Object.keys(objectivesOf("dpo").find(({ name }) => name === "sft")!.options)).toEqual([]);
  });
});

describe("f-divergences", () => {
  it.each(having("fDivergence"))("%s: alpha 1 is the reverse KL and alpha 0 the forward KL", async (name) => {
    const alpha = (fAlpha: number) => loss(name, { fDivergence: "alpha_divergence", fAlpha });
    expect(await lossesOf(alpha(1))).toEqual(await lossesOf(loss(name)));
    expectClose(await lossesOf(alpha(0)), await lossesOf(loss(name, { fDivergence: "forward_kl" })), 1e-12);
    expectClose(await lossesOf(alpha(1 - 1e-5)), await lossesOf(alpha(1)), 1e-3);
  });

  it.each(["forward_kl", "js_divergence", "alpha_divergence"])(
    "%s: its f' is 0 at the reference and there has a slope as the log-ratio has, or half of it",
    async (fDivergence) => {
      const start: Pair = { policy: [-5, -9], reference: [-5, -9], lengths: [3, 3] };
      const { losses, gradient } = await evaluatePairs(loss("sigmoid", { fDivergence }), [start]);
      const slope = fDivergence === "js_divergence" ? 1 / 2 : 1;
      expect(losses[0]).toBeCloseTo(Math.LN2, 12);
      expectClose(gradient[0]!, [-0.05 * slope, 0.05 * slope], 1e-12);
    },
  );

  it("are refused without a reference", () => {
    for (const name of having("fDivergence")) {
      expect(() => loss(name, { fDivergence: "forward_kl", referenceFree: true })).toThrow(
        "--f-divergence forward_kl is a divergence from the reference, which --reference-free leaves out. Leave out one of them.",
      );
    }
  });

  it("are refused an alpha that they do not have", () => {
    for (const name of having("fAlpha")) {
      expect(() => loss(name, { fDivergence: "forward_kl", fAlpha: 0.3 })).toThrow(
        "--f-alpha 0.3 has no effect with --f-divergence forward_kl: it is the alpha of alpha_divergence. Choose that, or leave it out.",
      );
      expect(() => loss(name, { fAlpha: 0.3 })).toThrow("--f-alpha 0.3 has no effect with --f-divergence reverse_kl");
    }
  });

  it("stop at e^40: float32 holds its square", async () => {
    const far = (a: number): Pair => ({ policy: [a, 0], reference: [0, 0], lengths: [1, 1] });
    const [near, at, beyond] = await lossesOf(loss("sigmoid", { fDivergence: "forward_kl" }), [
      far(-39),
      far(-40),
      far(-1e4),
    ]);
    expect(at).toBeCloseTo(0.1 * Math.exp(40), -10);
    expect(beyond).toBe(at);
    expect(near).toBeLessThan(at!);
  });
});

describe("LD-DPO", () => {
  it("at alpha 1 is the objective itself, bit for bit", async () => {
    for (const name of having("ldAlpha")) {
      expect(await lossesOf(loss(name, { ldAlpha: 1 }), byToken.pairs)).toEqual(
        await lossesOf(loss(name), byToken.pairs),
      );
    }
  });

  it("at alpha 0 knows nothing of what lies beyond the shorter completion", async () => {
    const pair = (tail: readonly number[]) =>
      pairOfTokens(
        [
          [-1, -2, ...tail],
          [-2, -0.5],
        ],
        [
          [-1.5, -1, ...tail.map((x) => x / 2)],
          [-1, -1],
        ],
      );
    for (const name of having("ldAlpha").filter((one) => one !== "ipo" && one !== "sigmoid_norm")) {
      const objective = loss(name, { ldAlpha: 0 });
      const found = await evaluatePairs(objective, [pair([-3, -4])]);
      expect(found.losses).toEqual(await lossesOf(objective, [pair([-0.25])]));
      expect(found.tokenGradient[0]!.slice(2).map(Math.abs)).toEqual([0, 0]);
    }
  });

  it("is nothing to completions of one length", async () => {
    const equal = [
      pairOfTokens(
        [
          [-1, -2],
          [-2, -0.5],
        ],
        [
          [-1.5, -1],
          [-1, -1],
        ],
      ),
    ];
    expectClose(
      await lossesOf(loss("sigmoid", { ldAlpha: 0.2 }), equal),
      await lossesOf(loss("sigmoid"), equal),
      1e-14,
    );
  });

  it("is part of the rewards, as in TRL", async () => {
    const { metrics } = await evaluatePairs(loss("sigmoid", { ldAlpha: 0 }), [
      pairOfTokens(
        [
          [-1, -2, -9],
          [-2, -0.5],
        ],
        [
          [-1.5, -1, -1],
          [-1, -1],
        ],
      ),
    ]);
    expect(metrics["rewards/chosen"]![0]).toBeCloseTo(0.1 * (-3 + 2.5), 12);
  });
});

describe("DPO-positive", () => {
  it.each(overMargins)(
    "%s: is DPO's margin while the chosen completion is no less likely than to the reference",
    async (name) => {
      const better: Pair = { policy: [-4, -9], reference: [-5, -7], lengths: [3, 3] };
      expect(await lossesOf(loss(name, { dpopLambda: 50 }), [better])).toEqual(await lossesOf(loss(name), [better]));
    },
  );

  it("is refused without a reference, to which the chosen completion would be held", () => {
    for (const name of overMargins) {
      expect(() => loss(name, { dpopLambda: 5, referenceFree: true })).toThrow(
        "--dpop-lambda holds the chosen completion at the reference, which --reference-free leaves out. Leave out one of them; --rpo-alpha holds its likelihood up without a reference.",
      );
    }
  });

  it("pulls the chosen completion up by 1 + lambda as much as the rejected down, once it is", async () => {
    const worse: Pair = { policy: [-6, -9], reference: [-5, -7], lengths: [3, 3] };
    const { losses, gradient } = await evaluatePairs(loss("sigmoid", { dpopLambda: 5 }), [worse]);
    expect(losses[0]).toBeCloseTo(Math.log1p(Math.exp(-0.1 * (1 - 5))), 12);
    expect(gradient[0]![0] / gradient[0]![1]).toBeCloseTo(-6, 12);
  });
});

describe("RPO's term", () => {
  it("is the chosen completion's negative log-likelihood a token, added to any objective", async () => {
    for (const name of having("rpoAlpha").filter((one) => !one.startsWith("tdpo"))) {
      const nll = pairs.map(({ policy, lengths }) => -policy[0] / lengths[0]);
      const plain = await lossesOf(loss(name));
      const expected = plain.map((value, i) => value + 0.7 * nll[i]!);
      expectClose(await lossesOf(loss(name, { rpoAlpha: 0.7 })), expected, 1e-12);
    }
  });
});

describe("an offset", () => {
  it("is what the scaled margin has to exceed: a row's margin times alpha, or its logarithm", async () => {
    const at = (z: number, margin = 1): Pair => ({
      policy: [z / 0.1, 0],
      reference: [0, 0],
      lengths: [1, 1],
      values: { margin, logMargin: Math.log(margin) },
    });
    for (const name of overMargins) {
      await fc.assert(
        fc.asyncProperty(
          fc.double({ min: -5, max: 5, noNaN: true }),
          fc.double({ min: 0.1, max: 9, noNaN: true }),
          async (z, margin) => {
            const plain = async (less: number) => lossesOf(loss(name), [at(z - less)]);
            const linear = loss(name, { offsetAlpha: 0.5 });
            expectClose(await lossesOf(linear, [at(z, margin)]), await plain(0.5 * margin), 1e-9);
            const logarithmic = loss(name, { offsetAlpha: 0.5, offsetScale: "log" });
            expectClose(await lossesOf(logarithmic, [at(z, margin)]), await plain(0.5 * Math.log(margin)), 1e-9);
          },
        ),
        { numRuns: 5 },
      );
    }
  });

  it("is read of rows where it is asked for, and else rows need none", () => {
    expect(loss("sigmoid").columns).toBeUndefined();
    expect(loss("sigmoid", { offsetAlpha: 1 }).columns).toEqual({ margin: "example" });
    expect(loss("sigmoid", { offsetAlpha: 1, offsetScale: "log" }).columns).toEqual({ logMargin: "example" });
    expect(loss("sigmoid,sft", { offsetAlpha: 1 }).columns).toEqual({ margin: "example" });
  });

  it("has no scale where there is none", () => {
    expect(() => loss("hinge", { offsetScale: "log" })).toThrow(
      "--offset-scale log has no effect without --offset-alpha, which says how much of a row's margin is asked for. Give that, or leave it out.",
    );
  });
});
