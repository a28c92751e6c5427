/** How far a policy has moved, estimated from samples: exact on distributions that can be summed over. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { divergenceOnData, divergenceOnSample } from "../../src/diagnostics/divergence.ts";
import { estimate } from "../../src/diagnostics/estimate.ts";

const logps = fc.array(
  fc.tuple(fc.double({ min: -20, max: 0, noNaN: true }), fc.double({ min: -5, max: 5, noNaN: true })),
);

/** A distribution over so many tokens, with every probability above 0. */
const distribution = (size: number) =>
  fc.array(fc.double({ min: 0.01, max: 1, noNaN: true }), { minLength: size, maxLength: size }).map((weights) => {
    const total = weights.reduce((a, b) => a + b, 0);
    return weights.map((weight) => weight / total);
  });

describe("the divergence on a sample", () => {
  it("is never negative, and 0 for the reference itself", () => {
    fc.assert(
      fc.property(logps, (tokens) => {
        const policy = tokens.map(([logp]) => logp);
        const reference = tokens.map(([logp, change]) => logp + change);
        expect(divergenceOnSample(policy, reference)).toBeGreaterThanOrEqual(0);
        expect(divergenceOnSample(policy, policy)).toBe(0);
      }),
    );
  });

  it("has KL(policy || reference) as its mean over what the policy says, answers of two tokens included", () => {
    fc.assert(
      fc.property(distribution(3), distribution(3), distribution(3), distribution(3), (p, q, p2, q2) => {
        let mean = 0;
        let exact = 0;
        p.forEach((first, i) => {
          // Token 0 ends the answer; after others a second token follows.
          const paths = i === 0 ? [[]] : p2.map((_, k) => [k]);
          for (const [second] of paths) {
            const probability = first * (second === undefined ? 1 : p2[second]!);
            const policy = [Math.log(first), ...(second === undefined ? [] : [Math.log(p2[second]!)])];
            const reference = [Math.log(q[i]!), ...(second === undefined ? [] : [Math.log(q2[second]!)])];
            mean += probability * divergenceOnSample(policy, reference);
            exact += probability * policy.reduce((sum, logp, t) => sum + logp - reference[t]!, 0);
          }
        });
        expect(mean).toBeCloseTo(exact, 10);
      }),
    );
  });

  it("keeps its digits where both are nearly the same", () => {
    // r - 1 - log r = d^2 / 2 + d^3 / 6 + ... for log r = d.
    expect(divergenceOnSample([-1], [-1 + 1e-6])).toBeCloseTo(5e-13, 17);
  });
});

describe("the divergence on data", () => {
  it("is that on samples to second order", () => {
    const policy = [-1, -2, -3];
    const reference = [-1.01, -1.99, -3.02];
    expect(divergenceOnData(policy, reference)).toBeCloseTo(3e-4, 12);
    expect(divergenceOnSample(policy, reference)).toBeCloseTo(3e-4, 5);
  });
});

describe("an estimate", () => {
  it("is the mean with the sample deviation over the root of the number of samples", () => {
    const { mean, standardError } = estimate([1, 2, 3, 4]);
    expect(mean).toBe(2.5);
    expect(standardError).toBeCloseTo(Math.sqrt(5 / 3 / 4), 12);
  });

  it("of one value has no error that can be told", () => {
    expect(estimate([3])).toEqual({ mean: 3, standardError: 0 });
  });
});
