/**
 * Objectives that see the whole distribution at every token, WPO and TDPO, from raw logits: their losses and gradients
 * against PyTorch's, on both engines, and at extremes.
 */

import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/errors.ts";
import { completionInputs, definitions, type Objective } from "../../src/objectives/index.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import type { Runtime } from "../../src/runtime/runtime.ts";
import * as t from "../../src/tensor/index.ts";
import { referenceHeadInput, referenceRowsInput, rowStatistics } from "../../src/training/step/row-statistics.ts";
import { arrayOf, evaluate, expectClose } from "../support/programs.ts";

interface Rows {
  readonly vocabulary: number;
  readonly lengths: readonly number[];
  readonly tokens: readonly number[];
  /** Logits [R, V], row-major. */
  readonly policy: readonly number[];
  readonly reference: readonly number[];
}

interface Golden extends Rows {
  readonly results: readonly {
    readonly setting: { readonly loss: string } & Readonly<Record<string, number | boolean | string>>;
    readonly losses: readonly number[];
    readonly gradient: readonly number[];
  }[];
}

const golden = JSON.parse(readFileSync(new URL("../golden/objectives/tokens.json", import.meta.url), "utf8")) as Golden;

function objectiveOf({ loss, ...options }: Golden["results"][number]["setting"]): Objective {
  const definition = definitions.find(({ name, method }) => name === loss && method === "dpo")!;
  return (definition.create as (options: object) => Objective)(options);
}

/** Losses [E], metrics, and the gradient of the mean loss with respect to the policy's logits [R, V]. */
async function measure(objective: Objective, rows: Rows, runtime: Runtime = interpreter) {
  const { vocabulary: width, lengths } = rows;
  const [count, pairs] = [rows.tokens.length, lengths.length / 2];
  const given = completionInputs(objective);
  const logits = t.input("logits", ["R", width]);
  const column = (sums: t.Tensor) => t.reshape(sums, [sums.shape[0]!]);
  const tokensOf = (z: t.Tensor) => {
    const picked = t.reduceSum(t.mul(z, t.input("picked", ["R", width])), [1], { keepDims: true });
    return column(t.sub(picked, t.logSumExp(z)));
  };
  const completionsOf = (values: t.Tensor) => column(t.matmul(given.tokens.membership, t.reshape(values, ["R", 1])));
  const policy = tokensOf(logits);
  const reference = tokensOf(t.input(referenceRowsInput, ["R", width]));
  const { losses, metrics } = objective.build({
    ...given,
    policy: completionsOf(policy),
    reference: completionsOf(reference),
    tokens: {
      ...given.tokens,
      policy,
      reference,
      statistics: rowStatistics(objective, { hiddenSize: width, vocabularySize: width }, logits),
    },
  });
  const [gradient] = t.gradients(t.div(t.reduceSum(losses), pairs), [logits]);
  const owner = lengths.flatMap((length, c) => new Array<number>(length).fill(c));
  // Hidden rows are the logits themselves where the head is the identity.
  const identity = Array.from({ length: width * width }, (_, i) => +(i % (width + 1) === 0));
  const results = await evaluate(
    { losses, gradient: gradient!, ...metrics },
    {
      logits: arrayOf([count, width], rows.policy),
      picked: arrayOf(
        [count, width],
        rows.tokens.flatMap((id) => identity.slice(id * width, (id + 1) * width)),
      ),
      membership: arrayOf(
        [lengths.length, count],
        lengths.flatMap((_, c) => owner.map((o) => +(o === c))),
      ),
      lengths: arrayOf([lengths.length], lengths),
      [referenceRowsInput]: arrayOf([count, width], rows.reference),
      [referenceHeadInput]: arrayOf([width, width], identity),
    },
    runtime,
  );
  const { losses: values, gradient: slope, ...rest } = results;
  return { losses: values!, gradient: slope!, metrics: rest };
}

describe.each([
  ["the interpreter", interpreter],
  ["the engine", nodeRuntime],
])("on %s", (_, runtime) => {
  // The golden logits are doubles, which the tests' arrays round to float32.
  it.each(golden.results)("$setting gives PyTorch's losses and gradients", async ({ setting, losses, gradient }) => {
    const found = await measure(objectiveOf(setting), golden, runtime);
    expectClose(found.losses, losses, 1e-6);
    expectClose(found.gradient, gradient, 1e-6);
  });
});

const settings = golden.results.map(({ setting }) => setting);

describe.each(settings)("$setting", (setting) => {
  const objective = objectiveOf(setting);

  it("is finite with logits of +-1e4, whichever way policy and reference lean", async () => {
    const extreme = (sign: number) => golden.policy.map((_, i) => sign * 1e4 * Math.sign(Math.sin(3 * i + 1)));
    for (const [policy, reference] of [
      [1, -1],
      [1, 1],
      [-1, 1],
    ]) {
      const rows = { ...golden, policy: extreme(policy!), reference: extreme(reference!) };
      const found = await measure(objective, rows, nodeRuntime);
      const numbers = [found.losses, found.gradient, ...Object.values(found.metrics)].flat();
      expect(numbers.every(Number.isFinite)).toBe(true);
    }
  });

  it("has the same losses with all of a row's logits shifted", async () => {
    const shifted = (logits: readonly number[]) => logits.map((z, i) => z + Math.floor(i / golden.vocabulary));
    const before = await measure(objective, golden);
    const after = await measure(objective, {
      ...golden,
      policy: shifted(golden.policy),
      reference: shifted(golden.reference),
    });
    expectClose(after.losses, before.losses, 1e-5);
    expectClose(after.gradient, before.gradient, 1e-5);
  });
});

describe("WPO's weights", () => {
  const weights = async (rows: Rows) =>
    (await measure(objectiveOf({ loss: "sigmoid", wpo: true }), rows)).metrics["wpo/weights"]!;
  const rows = { vocabulary: 4, lengths: [2, 1], tokens: [0, 1, 2] };

  it("are 1 where every token is as likely as every other", async () => {
    const flat = new Array<number>(12).fill(0.3);
    expectClose(await weights({ ...rows, policy: flat, reference: flat }), [1], 1e-6);
  });

  it("are above 1 for likely tokens and below 1 for unlikely ones, by the mean over tokens", async () => {
    // Probabilities 1/2, 1/6, 1/6, 1/6: the sum of squares is 1/3, and a token's ratio 3/2 or 1/2.
    const logits = [Math.log(3), 0, 0, 0, Math.log(3), 0, 0, 0, Math.log(3), 0, 0, 0];
    const [weight] = await weights({ ...rows, policy: logits, reference: logits });
    expect(weight).toBeCloseTo(Math.sqrt(1.5 * 0.5) * 0.5, 6);
    const [likely] = await weights({ ...rows, tokens: [0, 0, 0], policy: logits, reference: logits });
    expect(likely).toBeCloseTo(1.5 * 1.5, 6); // Not clamped.
  });

  it("are numbers to the gradient: it is the unweighted loss's, times the weight", async () => {
    const one = { ...golden, lengths: golden.lengths.slice(0, 2), tokens: golden.tokens.slice(0, 8) };
    const cut = (logits: readonly number[]) => logits.slice(0, 8 * golden.vocabulary);
    const pair = { ...one, policy: cut(golden.policy), reference: cut(golden.reference) };
    const weighted = await measure(objectiveOf({ loss: "sigmoid", wpo: true }), pair);
    const plain = await measure(objectiveOf({ loss: "sigmoid" }), pair);
    const [weight] = weighted.metrics["wpo/weights"]!;
    expectClose(
      weighted.losses,
      plain.losses.map((x) => x * weight!),
      1e-12,
    );
    expectClose(
      weighted.gradient,
      plain.gradient.map((x) => x * weight!),
      1e-12,
    );
  });

  it.each(["aot", "aot_unpaired"])("are refused for %s, whose terms are not of pairs", (loss) => {
    const create = () => objectiveOf({ loss, wpo: true });
    expect(create).toThrow(ConfigError);
    expect(create).toThrow(`--wpo weighs each pair, and the terms of --loss ${loss} are not of pairs`);
  });
});

describe("TDPO", () => {
  it("is DPO at the reference: ln 2, no sequential KL, and DPO's gradient", async () => {
    const atReference = { ...golden, reference: golden.policy };
    const dpo = await measure(objectiveOf({ loss: "sigmoid", beta: 0.4 }), atReference);
    for (const loss of ["tdpo1", "tdpo2"]) {
      const { losses, metrics, gradient } = await measure(objectiveOf({ loss, beta: 0.4 }), atReference, nodeRuntime);
      expectClose(losses, [Math.LN2, Math.LN2, Math.LN2, Math.LN2], 1e-7);
      expect([...metrics["sequential_kl/chosen"]!, ...metrics["sequential_kl/rejected"]!]).toEqual(
        new Array(8).fill(0),
      );
      expectClose(gradient, dpo.gradient, 1e-6);
    }
  });

  it("2 is DPO without its weight, whatever the divergence", async () => {
    const dpo = await measure(objectiveOf({ loss: "sigmoid", beta: 0.7 }), golden);
    const { losses, gradient } = await measure(objectiveOf({ loss: "tdpo2", beta: 0.7, tdpoAlpha: 0 }), golden);
    expect(losses).toEqual(dpo.losses);
    expectClose(gradient, dpo.gradient, 1e-12);
  });

  it("2 has no gradient through the chosen completion's divergence, TDPO1 has", async () => {
    // The part of the gradient of a chosen row that is not along the row's own token is DPO's in TDPO2, not in TDPO1.
    const dpo = objectiveOf({ loss: "sigmoid", beta: 0.5 });
    const direction = async (objective: Objective) => {
      const { gradient } = await measure(objective, golden);
      const row = gradient.slice(0, golden.vocabulary);
      return row.map((x) => x / Math.hypot(...row));
    };
    const [plain, one, two] = await Promise.all(
      [dpo, objectiveOf({ loss: "tdpo1", beta: 0.5 }), objectiveOf({ loss: "tdpo2", beta: 0.5 })].map(direction),
    );
    expectClose(two!, plain!, 1e-12);
    expect(Math.max(...one!.map((x, i) => Math.abs(x - plain![i]!)))).toBeGreaterThan(0.05);
  });
});
