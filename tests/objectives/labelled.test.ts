/** Objectives over labelled completions: KTO, unpaired APO-zero and BCO. */

import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { combine, definitions, type Objective } from "../../src/objectives/index.ts";
import { desirableBalance } from "../../src/objectives/kto.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { expectClose } from "../support/programs.ts";
import { contextValues, evaluateCompletions, type Outcome } from "./completions.ts";

interface Step {
  readonly policy: number[];
  readonly reference: number[];
  readonly label: number[];
}
interface GoldenStep extends Step {
  readonly losses: number[];
  readonly gradient: number[];
}
interface Golden {
  readonly kto: (GoldenStep & {
    readonly setting: { readonly loss: "kto" | "apo_zero_unpaired" } & Record<string, number>;
    readonly mismatched: Pick<Step, "policy" | "reference">;
  })[];
  readonly bco: { readonly beta: number; readonly steps: (GoldenStep & { readonly delta: number })[] }[];
}
const golden = JSON.parse(
  readFileSync(new URL("../golden/objectives/unpaired.json", import.meta.url), "utf8"),
) as Golden;

function create(name: "kto" | "apo_zero_unpaired" | "bco", options: Record<string, unknown> = {}): Objective {
  return definitions.find((definition) => definition.name === name)!.create(options as never);
}

/** The objective on labelled completions, given what it knows of the step. */
async function evaluate(objective: Objective, { policy, reference, label }: Step, step = {}, runtime = interpreter) {
  const counts = policy.map(() => 1);
  return evaluateCompletions(objective, { policy, reference, counts, columns: { label }, step }, runtime);
}

function expectGolden({ losses, gradient }: Outcome, expected: GoldenStep): void {
  expectClose(losses, expected.losses, 1e-13);
  // PyTorch's is the gradient of the mean loss.
  expectClose(
    gradient.map((x) => x / losses.length),
    expected.gradient,
    1e-13,
  );
}

describe("golden numbers", () => {
  it.each(golden.kto)("$setting: losses and gradients equal PyTorch's", async ({ setting, mismatched, ...step }) => {
    const { loss, ...options } = setting;
    const objective = create(loss, options);
    const known = objective.context ? contextValues(objective, mismatched).values : {};
    expectGolden(await evaluate(objective, step, known), step);
  });

  it.each(golden.bco)("BCO, beta $beta: two steps and their running mean equal PyTorch's", async ({ beta, steps }) => {
    const objective = create("bco", { beta });
    let state = objective.context!.initialState!;
    for (const step of steps) {
      const known = contextValues(objective, step, state);
      expect(known.values.meanReward).toBeCloseTo(step.delta, 14);
      expectGolden(await evaluate(objective, step, known.values), step);
      state = known.state!;
    }
    expect(state).toEqual([expect.closeTo(steps.at(-1)!.delta, 14), 8]);
  });

  it("one completion of each kind about a reference point of 0.2", async () => {
    const step = { policy: [-12, -20], reference: [-13.5, -18], label: [1, 0] };
    const { losses } = await evaluate(create("kto"), step, { z0: 0.2 });
    expectClose(losses, [0.467546, 0.445221], 1e-6);
  });
});

const logp = fc.double({ min: -300, max: 0, noNaN: true });
const completion = fc.record({ policy: logp, reference: logp, label: fc.constantFrom(0, 1) });
const steps = fc.array(completion, { minLength: 1, maxLength: 5 }).map(
  (rows): Step => ({
    policy: rows.map((row) => row.policy),
    reference: rows.map((row) => row.reference),
    label: rows.map((row) => row.label),
  }),
);

/** Every objective with all it has, about a reference point that is not 0 where it has one. */
const all = [
  { name: "KTO", objective: create("kto", { desirableWeight: 1.3, undesirableWeight: 0.6 }), step: { z0: 0.7 } },
  { name: "unpaired APO-zero", objective: create("apo_zero_unpaired", { beta: 0.3 }), step: {} },
  { name: "BCO", objective: create("bco", { beta: 0.2 }), step: { meanReward: -0.4 } },
] as const;

describe.each(all)("$name", ({ objective, step: known }) => {
  it("pulls desirable completions up and others down", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (step) => {
        const { gradient } = await evaluate(objective, step, known);
        gradient.forEach((slope, i) => {
          expect(slope * (step.label[i] === 1 ? -1 : 1)).toBeGreaterThanOrEqual(0);
        });
      }),
      { numRuns: 20 },
    );
  });

  it("does not change with what policy and reference think of the prompt", async () => {
    await fc.assert(
      fc.asyncProperty(steps, fc.double({ min: -50, max: 0, noNaN: true }), async (step, shift) => {
        const moved = (values: number[]) => values.map((value) => value + shift);
        const shifted = { ...step, policy: moved(step.policy), reference: moved(step.reference) };
        const [before, after] = [await evaluate(objective, step, known), await evaluate(objective, shifted, known)];
        expectClose(after.losses, before.losses, 1e-9);
        expectClose(after.gradient, before.gradient, 1e-9);
      }),
      { numRuns: 20 },
    );
  });

  it("looks at each completion by itself once the step is known", async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (step) => {
        const together = await evaluate(objective, step, known);
        for (const i of step.policy.keys()) {
          const one = { policy: [step.policy[i]!], reference: [step.reference[i]!], label: [step.label[i]!] };
          const alone = await evaluate(objective, one, known);
          expect(alone.losses).toEqual([together.losses[i]]);
          expect(alone.gradient).toEqual([together.gradient[i]]);
        }
      }),
      { numRuns: 10 },
    );
  });

  it("gives rewards and log-probabilities to the metrics of its own kind alone", async () => {
    const step = { policy: [-3, -7], reference: [-5, -6], label: [1, 0] };
    const { metrics } = await evaluate(objective, step, known);
    expect(metrics["rewards/chosen"]).toEqual([expect.any(Number), Number.NaN]);
    expect(metrics["rewards/chosen"]![0]! / metrics["rewards/rejected"]![1]!).toBeCloseTo(-2, 12);
    expect(metrics["logps/chosen"]).toEqual([-3, Number.NaN]);
    expect(metrics["logps/rejected"]).toEqual([Number.NaN, -7]);
  });

  it("counts as accurate what is on its own side of the reference point, by more than rounding", async () => {
    const [point = 0] = Object.values(known);
    const at = objective.name === "bco" ? point / 0.2 : point;
    const accuracies = async (distance: number) => {
      const policy = [at + distance, at - distance, at + distance, at - distance];
      const step = { policy, reference: [0, 0, 0, 0], label: [1, 1, 0, 0] };
      return (await evaluate(objective, step, known)).metrics["rewards/accuracies"];
    };
    expect(await accuracies(0.01)).toEqual([1, 0, 0, 1]);
    expect(await accuracies(1e-4)).toEqual([0, 0, 0, 0]);
  });

  it.each([["interpreter", interpreter] as const, ["engine", nodeRuntime] as const])(
    "stays finite at log-probabilities of -10,000, on the %s",
    async (_, runtime) => {
      const step = { policy: [0, -1e4, 0, -1e4], reference: [-1e4, 0, -1e4, 0], label: [1, 1, 0, 0] };
      const { losses, gradient } = await evaluate(objective, step, known, runtime);
      for (const value of [...losses, ...gradient]) expect(Number.isFinite(value)).toBe(true);
      // The right way round there is nothing left to learn; far on the wrong side the value function of KTO is flat too.
      expect(gradient.filter((_, i) => i === 0 || i === 3).map(Math.abs)).toEqual([0, 0]);
    },
  );
});

describe("KTO", () => {
  const start = { policy: [-30, -40], reference: [-30, -40], label: [1, 0] };

  it("starts at half of each example's weight, about a reference point of 0", async () => {
    const objective = create("kto", { desirableWeight: 1.5 });
    const { values } = contextValues(objective, { policy: [-9, -8], reference: [-9, -8] });
    expect(values).toEqual({ z0: 0 });
    const { losses, metrics } = await evaluate(objective, start, values as { z0: number });
    expect(losses).toEqual([0.75, 0.5]);
    expect(metrics["kto/z0"]).toEqual([0, 0]);
  });

  it("measures its reference point as a mean that is never below 0", () => {
    const z0 = (policy: number[], reference: number[]) => contextValues(create("kto"), { policy, reference }).values.z0;
    expect(z0([-9, -4], [-10, -6])).toBe(1.5);
    expect(z0([-9, -4], [-6, -4])).toBe(0);
    expect(z0([], [])).toBe(0);
  });

  it("sees a desirable completion as far above the point as an undesirable one as far below", async () => {
    await fc.assert(
      fc.asyncProperty(logp, fc.double({ min: 0, max: 50, noNaN: true }), async (distance, z0) => {
        const step = { policy: [z0 + distance, z0 - distance], reference: [0, 0], label: [1, 0] };
        const { losses, gradient } = await evaluate(create("kto"), step, { z0 });
        expectClose([losses[1]!], [losses[0]!], 1e-12);
        expectClose([-gradient[1]!], [gradient[0]!], 1e-12);
      }),
    );
  });

  it("about a reference point of 0 is unpaired APO-zero", async () => {
    const step: Step = golden.kto[0]!;
    const [kto, apo] = [
      await evaluate(create("kto"), step, { z0: 0 }),
      await evaluate(create("apo_zero_unpaired"), step),
    ];
    expect(apo.losses).toEqual(kto.losses);
    expect(apo.gradient).toEqual(kto.gradient);
  });

  it("may leave out one kind of completions, but not both", () => {
    expect(create("kto", { undesirableWeight: 0 }).name).toBe("kto");
    for (const name of ["kto", "apo_zero_unpaired"] as const) {
      expect(() => create(name, { desirableWeight: 0, undesirableWeight: 0 })).toThrow(
        "--desirable-weight and --undesirable-weight are both 0, so there would be nothing to learn. Give one of them more than 0.",
      );
    }
  });

  it("beside unpaired APO-zero leaves it its reference point of 0", async () => {
    const step = { policy: [-12, -20], reference: [-13.5, -18], label: [1, 0] };
    const parts = [create("kto"), create("apo_zero_unpaired")];
    const alone = await Promise.all([
      evaluate(parts[0]!, step, { z0: 5 }).then(({ losses }) => losses),
      evaluate(parts[1]!, step).then(({ losses }) => losses),
    ]);
    const both = await evaluate(combine(parts, [1, 2]), step, { z0: 5 });
    expectClose(
      both.losses,
      alone[0]!.map((loss, i) => loss + 2 * alone[1]![i]!),
      1e-14,
    );
  });

  it("says how desirable completions weigh against the others", () => {
    const weights = { desirableWeight: 1, undesirableWeight: 1.5 };
    expect(desirableBalance({ desirable: 300, undesirable: 100 }, weights)).toBe(2);
  });
});

describe("BCO", () => {
  it("over a pair is at least DPO's loss, and starts at ln 2 a completion", async () => {
    const beta = 0.1;
    await fc.assert(
      fc.asyncProperty(logp, logp, async (chosen, rejected) => {
        const step = { policy: [chosen, rejected], reference: [0, 0], label: [1, 0] };
        const objective = create("bco", { beta });
        const { losses } = await evaluate(objective, step, { meanReward: (beta * (chosen + rejected)) / 2 });
        const z = beta * (chosen - rejected);
        const dpo = Math.log1p(Math.exp(-Math.abs(z))) + Math.max(0, -z);
        expect(losses[0]! + losses[1]!).toBeGreaterThanOrEqual(dpo - 1e-12);
      }),
    );
    const start = { policy: [-3, -4], reference: [-3, -4], label: [1, 0] };
    expectClose((await evaluate(create("bco"), start, { meanReward: 0 })).losses, [Math.LN2, Math.LN2], 1e-15);
  });
});
