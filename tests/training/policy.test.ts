/** Policies: which layers an adapter is on, how it starts, and that the reference stays what it was. */

import { describe, expect, it } from "vitest";
import type { LoraAdapter, LoraModule } from "../../src/checkpoints/peft.ts";
import { ConfigError } from "../../src/errors.ts";
import { dpo } from "../../src/objectives/index.ts";
import {
  continuedPolicy,
  fullPolicy,
  type LoraOptions,
  loraPolicy,
  type Policy,
} from "../../src/training/policy/policy.ts";
import { fingerprint } from "../../src/training/step/reference.ts";
import { tinyModel, tinyPairs, tinyWeights } from "../support/tiny-model.ts";
import { engineOf } from "../support/trainers.ts";

const weights = tinyWeights();
const options: LoraOptions = { rank: 4, alpha: 8, rankStabilized: false, targets: "all-linear", seed: 0 };
const pairs = tinyPairs(3);
const lora = (changes: Partial<LoraOptions> = {}) => loraPolicy(tinyModel, weights, { ...options, ...changes });

/** Sets every B, so that the adapter says something. */
function randomizeB(policy: Policy): void {
  for (const [name, { data }] of policy.trainable.views) {
    if (name.endsWith(".lora_B")) data.set(data.map((_, i) => 0.1 * Math.sin(i + name.length)));
  }
}

/** Log-probabilities of every completion of the pairs. */
async function scores(policy: Policy, ...whose: readonly ("policy" | "reference")[]): Promise<number[][]> {
  await using engine = await engineOf(policy, dpo({ beta: 0.1 }));
  const found: number[][] = [];
  for (const who of whose) found.push((await engine.score(who, pairs)).map(({ logp }) => logp));
  return found;
}

const distance = (a: readonly number[], b: readonly number[]) => Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));
const copyOf = ({ modules, ...rest }: LoraAdapter): LoraAdapter => ({
  ...rest,
  modules: new Map(
    [...modules].map(([name, module]) => [name, { ...module, a: module.a.slice(), b: module.b.slice() }]),
  ),
});

describe("a new adapter", () => {
  it("is on every linear layer but the output head under all-linear", () => {
    const { modules, targets } = lora().adapter!();
    expect([...modules.keys()]).toEqual(tinyModel.linearModules);
    expect(targets.toSorted()).toEqual(
      ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"].toSorted(),
    );
    expect(modules.has("lm_head")).toBe(false);
  });

  it("is on the named layers of every block alone", () => {
    const { modules, targets } = lora({ targets: ["v_proj", "down_proj"] }).adapter!();
    expect([...modules.keys()].toSorted()).toEqual([
      "model.layers.0.mlp.down_proj",
      "model.layers.0.self_attn.v_proj",
      "model.layers.1.mlp.down_proj",
      "model.layers.1.self_attn.v_proj",
    ]);
    expect(targets.toSorted()).toEqual(["down_proj", "v_proj"]);
  });

  it("can't be on a layer that the model does not have", () => {
    const misspelt = () => lora({ targets: ["q_proj", "c_attn"] });
    expect(misspelt).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: --lora-targets: the model has no linear layer "c_attn" (it has q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj)]`,
    );
  });

  it("starts as PEFT's: every A uniform within 1 / sqrt(in), every B zero", () => {
    const { modules } = lora({ rank: 16 }).adapter!();
    for (const [name, { a, b, inFeatures }] of modules) {
      const bound = 1 / Math.sqrt(inFeatures);
      expect(
        b.every((x) => x === 0),
        name,
      ).toBe(true);
      expect(
        a.every((x) => Math.abs(x) <= bound),
        name,
      ).toBe(true);
      // Uniform on +-bound: mean 0 with deviation bound / sqrt(3 n), variance bound^2 / 3, values near both ends.
      const mean = a.reduce((n, x) => n + x, 0) / a.length;
      const variance = a.reduce((n, x) => n + x * x, 0) / a.length;
      expect(Math.abs(mean), name).toBeLessThan((5 * bound) / Math.sqrt(3 * a.length));
      expect(Math.abs(variance / (bound * bound) - 1 / 3), name).toBeLessThan(5 * Math.sqrt(4 / 45 / a.length));
      expect(Math.max(...a), name).toBeGreaterThan(0.97 * bound);
      expect(Math.min(...a), name).toBeLessThan(-0.97 * bound);
    }
  });

  it("starts the same for the same seed, else for another, each matrix of its own", () => {
    const start = (seed: number) => Array.from(lora({ seed }).trainable.data);
    expect(start(1)).toEqual(start(1));
    expect(start(1)).not.toEqual(start(2));
    const firsts = [...lora().adapter!().modules.values()].map(({ a }) => a[0]);
    expect(new Set(firsts).size).toBe(firsts.length);
  });

  it("leaves the policy what the reference is, until it is trained", async () => {
    const policy = lora();
    const [before, reference] = await scores(policy, "policy", "reference");
    expect(distance(before!, reference!)).toBeLessThan(1e-4);
    randomizeB(policy);
    const [after, same] = await scores(policy, "policy", "reference");
    expect(same).toEqual(reference);
    expect(distance(after!, reference!)).toBeGreaterThan(0.1);
  });

  it("is scaled by alpha / rank, rank-stabilized by alpha / sqrt(rank)", async () => {
    const scored = async (changes: Partial<LoraOptions>) => {
      const policy = lora(changes);
      randomizeB(policy);
      return (await scores(policy, "policy"))[0]!;
    };
    const stabilized = await scored({ rank: 4, alpha: 8, rankStabilized: true });
    expect(await scored({ rank: 4, alpha: 16 })).toEqual(stabilized);
    expect(distance(await scored({ rank: 4, alpha: 8 }), stabilized)).toBeGreaterThan(0.1);
  });

  it("shares the model's weights with the reference", () => {
    const { weights: bound, referenceWeights } = lora();
    for (const name of tinyModel.weights.keys()) {
      expect(bound[name]!.data).toBe(weights[name]!.data);
      expect(referenceWeights[name]!.data).toBe(weights[name]!.data);
    }
  });
});

describe("a continued adapter", () => {
  const trained = (changes: Partial<LoraOptions> = {}) => {
    const policy = lora(changes);
    randomizeB(policy);
    return copyOf(policy.adapter!());
  };

  it("is taken as it is, and given back as it is", () => {
    const adapter = trained({ rank: 3, alpha: 5, rankStabilized: true, targets: ["q_proj", "v_proj", "up_proj"] });
    expect(continuedPolicy(tinyModel, weights, adapter).adapter!()).toEqual(adapter);
  });

  it("may be on some layers only, in any order", () => {
    const { modules, ...rest } = trained();
    const some = new Map([...modules].filter(([name]) => /layers\.1\..*(v_proj|q_proj)/.test(name)).toReversed());
    const { modules: found, targets } = continuedPolicy(tinyModel, weights, { ...rest, modules: some }).adapter!();
    expect(new Map(found)).toEqual(some);
    expect(targets).toEqual(["q_proj", "v_proj"]);
  });

  it("is its own reference, which stays while the policy moves", async () => {
    const adapter = trained();
    const policy = continuedPolicy(tinyModel, weights, adapter);
    const [start, reference] = await scores(policy, "policy", "reference");
    expect(start).toEqual(reference);
    const [base] = await scores(fullPolicy(tinyModel, weights), "reference");
    expect(distance(reference!, base!)).toBeGreaterThan(0.1);
    policy.trainable.data.set(policy.trainable.data.map((x) => x + 0.05));
    const [moved, same] = await scores(policy, "policy", "reference");
    expect(same).toEqual(reference);
    expect(distance(moved!, reference!)).toBeGreaterThan(0.1);
  });

  it("of another model is refused, by the module that does not fit", () => {
    const { modules, ...rest } = trained();
    const [name, module] = [...modules][0]!;
    const withOnly = (other: string, changed: Partial<LoraModule>) => () =>
      continuedPolicy(tinyModel, weights, { ...rest, modules: new Map([[other, { ...module, ...changed }]]) });
    expect(withOnly("model.layers.7.mlp.up_proj", {})).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: The adapter has a module "model.layers.7.mlp.up_proj", which is not a linear layer of the model. Is it another model's?]`,
    );
    expect(withOnly("lm_head", {})).toThrow(ConfigError); // It has weights, but PEFT's all-linear leaves it out as well.
    expect(withOnly(name, { outFeatures: 576 })).toThrowErrorMatchingInlineSnapshot(
      `[ConfigError: The adapter's module "model.layers.0.self_attn.q_proj" is for a layer of [576, 32]; the model's is [32, 32]. Is it another model's?]`,
    );
  });
});

describe("full tuning", () => {
  it("trains every weight, and leaves the checkpoint's as the reference", async () => {
    const policy = fullPolicy(tinyModel, weights);
    expect([...policy.trainable.views.keys()]).toEqual([...tinyModel.weights.keys()]);
    const [start, reference] = await scores(policy, "policy", "reference");
    expect(start).toEqual(reference);
    policy.trainable.data.set(policy.trainable.data.map((x, i) => x + 0.01 * Math.sin(i)));
    const [moved, same] = await scores(policy, "policy", "reference");
    expect(same).toEqual(reference);
    expect(distance(moved!, reference!)).toBeGreaterThan(0.1);
    expect(fingerprint(weights)).toBe(fingerprint(tinyWeights()));
    expect(policy.adapter).toBeUndefined();
  });
});
