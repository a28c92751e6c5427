/**
 * A reference that follows the policy: Trust Region DPO, Gorbatovski et al. 2024 (arXiv 2404.09656). Every N steps
 *
 *   pi_ref <- alpha pi + (1 - alpha) pi_ref
 *
 * in all weights: a hard update for alpha = 1, a soft one below. What the reference holds of its own is
 *
 * - under full tuning, every weight;
 * - with an adapter and hard updates, the adapter as it was at the last one: nothing of the model is held twice;
 * - with an adapter and soft updates, the weights of the adapted layers. A mix of two adapters' matrices is not the mix of
 *   their products: alpha B A + (1 - alpha) B' A' has up to both their ranks together, and one more with every update, so no
 *   adapter can hold it. W_ref <- alpha (W + s B A) + (1 - alpha) W_ref is exact, at the price of these layers' memory.
 *
 * The reference moves before the step that follows a multiple of N, so that an evaluation there still compares with the
 * one that was trained against; TRL moves it right after the step, which trains the same, and shows a KL of 0 there.
 */

import { z } from "zod";
import { ConfigError } from "../../errors.ts";
import { loraScale } from "../../models/lora.ts";
import { checkpointParameters } from "../../models/parameters.ts";
import type { Objective } from "../../objectives/index.ts";
import type { Runtime } from "../../runtime/runtime.ts";
import { add, input, matmul, mul, type Program } from "../../tensor/index.ts";
import type { TrainingConfig } from "../config.ts";
import { FlatArray } from "./flat.ts";
import type { Policy, PolicyShape } from "./policy.ts";

/** Settings of the methods that have a reference. */
export const movingReferenceSettings = {
  syncReference: z
    .number()
    .int()
    .positive()
    .optional()
    .describe("let the reference follow the policy every N steps (TR-DPO); it stays if not given"),
  referenceMixup: z
    .number()
    .gt(0)
    .max(1)
    .optional()
    .describe(
      "share of the policy in the reference that follows it, 0.6 if not given; 1 copies it, and needs no memory for an adapter's layers",
    ),
};

export type MovingReferenceSettings = z.input<z.ZodObject<typeof movingReferenceSettings>>;

const DEFAULT_MIXUP = 0.6;

export interface MovingReference {
  /** What the reference holds of its own: a part of checkpoints. */
  readonly values: FlatArray;
  /** How many times it has moved since it was made. What was computed with it before is of another reference. */
  readonly moves: number;
  /** Moves it where this many steps done ask for it. */
  follow(step: number): Promise<void>;
  /** The step whose policy the reference last moved to, at an evaluation after `step` steps; 0 for the start. */
  since(step: number): number;
}

/** The share of the policy in an update, where the reference moves. Throws ConfigError for settings without effect. */
export function referenceMixup(
  { syncReference, referenceMixup: mixup, loss, earlyStopping, keepBest }: TrainingConfig,
  objective: Pick<Objective, "needsReference">,
): number | undefined {
  if (syncReference === undefined) {
    if (mixup === undefined) return undefined;
    throw new ConfigError(
      "--reference-mixup has no effect without --sync-reference, which says every how many steps the reference follows the policy.",
    );
  }
  if (!objective.needsReference) {
    throw new ConfigError(
      `--sync-reference moves the reference, and --loss ${loss.join(",")} has none with these settings. Leave it out, or choose an objective with a reference.`,
    );
  }
  if (earlyStopping !== undefined || keepBest) {
    const flag = keepBest ? "--keep-best" : "--early-stopping";
    throw new ConfigError(
      `${flag} compares evaluations, and --sync-reference moves what they are measured against. Leave one of them out.`,
    );
  }
  return mixup ?? DEFAULT_MIXUP;
}

interface MovingReferenceOptions {
  /** Steps from one update to the next. */
  readonly every: number;
  /** Share of the policy in an update. */
  readonly mixup: number;
  readonly runtime: Runtime;
  readonly threads?: number | undefined;
}

/** How many numbers a reference that moves with this share of the policy holds of its own. */
export function movingNumbers({ model, trained, adapted }: PolicyShape, mixup: number): number {
  const shapes =
    adapted && mixup < 1
      ? adapted.map((module) => model.weights.get(`${module}.weight`)!)
      : trained.map(({ shape }) => shape);
  return shapes.reduce((numbers, shape) => numbers + shape.reduce((a, b) => a * b, 1), 0);
}

/** The policy with a reference that follows it. It starts where the policy does. */
export async function withMovingReference(policy: Policy, options: MovingReferenceOptions): Promise<Policy> {
  const { every } = options;
  const { values, parameters, update } = await ownWeights(policy, options);
  let moves = 0;
  const moving: MovingReference = {
    values,
    get moves() {
      return moves;
    },
    async follow(step) {
      if (step === 0 || step % every !== 0) return;
      await update();
      moves++;
    },
    since: (step) => Math.max(0, Math.floor((step - 1) / every)) * every,
  };
  const referenceWeights = { ...policy.referenceWeights, ...Object.fromEntries(values.views) };
  return { ...policy, referenceParameters: parameters, referenceWeights, moving };
}

interface OwnWeights extends Pick<Policy, "parameters"> {
  readonly values: FlatArray;
  readonly update: () => void | Promise<void>;
}

async function ownWeights(policy: Policy, options: MovingReferenceOptions): Promise<OwnWeights> {
  const { mixup } = options;
  if (policy.adapter && mixup < 1) return await adaptedLayers(policy, policy.adapter, options);
  const { trainable, parameters } = policy;
  const values = new FlatArray([...trainable.views].map(([name, { dims }]) => ({ name, shape: dims })));
  values.data.set(trainable.data);
  return { values, parameters, update: () => mixInto(values.data, trainable.data, mixup) };
}

/** reference <- share policy + (1 - share) reference; a whole share is a copy, bit for bit. */
function mixInto(reference: Float32Array, policy: Float32Array, share: number): void {
  if (share === 1) {
    reference.set(policy);
    return;
  }
  for (let i = 0; i < reference.length; i++) reference[i] = share * policy[i]! + (1 - share) * reference[i]!;
}

/** The adapted layers' weights with the adapter in them. Its products are the engine's work. */
async function adaptedLayers(
  { model, weights }: Policy,
  adapter: NonNullable<Policy["adapter"]>,
  { mixup, runtime, threads }: MovingReferenceOptions,
): Promise<OwnWeights> {
  const names = [...adapter().modules.keys()].map((module) => `${module}.weight`);
  const values = new FlatArray(names.map((name) => ({ name, shape: model.weights.get(name)! })));
  const mix = async (share: number) => {
    const { modules, ...shape } = adapter();
    const scale = loraScale({ ...shape, rankStabilized: shape.rsLora, modules: [] });
    await using program = await runtime.compile(mixProgram(scale, share, model.fanInFanOut), { threads });
    for (const [module, { a, b, inFeatures, outFeatures }] of modules) {
      const reference = values.views.get(`${module}.weight`)!;
      const rank = a.length / inFeatures;
      const { mixed } = await program.run({
        reference,
        weight: weights[`${module}.weight`]!,
        a: { dims: [rank, inFeatures], data: a },
        b: { dims: [outFeatures, rank], data: b },
      });
      reference.data.set(mixed!.data as Float32Array);
    }
  };
  await mix(1);
  return { values, parameters: checkpointParameters(model.weights), update: () => mix(mixup) };
}

/** share (weight + scale b a) + (1 - share) reference: b [O, R], a [R, I], the others [O, I], or [I, O] with (b a)^T. */
function mixProgram(scale: number, share: number, fanInFanOut = false): Program {
  const shape = fanInFanOut ? ["I", "O"] : ["O", "I"];
  const [reference, weight] = [input("reference", shape), input("weight", shape)];
  const [a, b] = [input("a", ["R", "I"]), input("b", ["O", "R"])];
  const product = fanInFanOut
    ? matmul(a, b, { transA: true, transB: true, alpha: scale })
    : matmul(b, a, { alpha: scale });
  const policy = add(weight, product);
  return { outputs: { mixed: add(mul(share, policy), mul(1 - share, reference)) } };
}
