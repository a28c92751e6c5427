// What an objective costs: the pairs (or completions) a second of each as a ratio to sigmoid's, in one run on the same rows.
//
//   npm run bench:objectives -- [--only hinge,'kto kto'] [--pairs 4] [--max-length 256] [--rounds 7] [--threads 2] [--model M] [--data D]
//
// Each round takes one optimizer step by sigmoid and one by the other objective, in an order that changes from round to
// round, so that a noisy machine is noisy for both; shown are medians over rounds of their ratios, of the wall clock and of
// the processor's time, which other programs on the machine disturb less. A step is all of it:
// the reference's forward pass, what the objective must know of the whole step, forward, backward, and the update. Each
// objective has the examples of its kind: pairs, or the same completions one by one with their prompts.
import { packedLength } from "../dist/data/microbatch.js";
import { definitions } from "../dist/objectives/index.js";
import { interpreter } from "../dist/runtime/interpreter.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { ObjectiveEvaluator } from "../dist/training/measurements/evaluate.js";
import { objectiveOf } from "../dist/training/methods.js";
import { Engine } from "../dist/training/step/engine.js";
import { Trainer } from "../dist/training/step/trainer.js";
import {
  flags,
  HH_PAIRS,
  head,
  isNamed,
  median,
  openWholePairs,
  policiesOf,
  processorSeconds,
  row,
  SMOLLM2,
} from "./support.js";

const given = flags({
  model: SMOLLM2,
  data: HH_PAIRS,
  only: "",
  pairs: 4,
  "max-length": 256,
  rounds: 7,
  threads: 2,
});
const { rounds, threads } = given;
const opened = await openWholePairs(given, { learningRate: 1e-9, threads });
const { config, checkpoint, examples } = opened;
const newPolicy = await policiesOf(opened);

/** The pairs in the form that an objective learns from. */
function examplesOf({ roles }) {
  if (roles.length === 2) return examples;
  if (roles === "any") {
    const values = { rank: [0, 1], preference: [1, -1], regularizes: [1, 0] };
    return examples.map((example) => ({ ...example, values }));
  }
  return examples.flatMap((example) =>
    example.completions.map((completion, i) => ({ ...example, completions: [completion], values: { label: 1 - i } })),
  );
}

/** A trainer of the objective on a fresh adapter, as a function that takes one step and returns its seconds. */
async function stepperOf(objective) {
  const policy = newPolicy();
  const own = examplesOf(objective);
  const maxPositions = Math.max(...own.map(packedLength));
  const engine = await Engine.create({ policy, objective, runtime: nodeRuntime, threads, maxPositions });
  const evaluator = await ObjectiveEvaluator.create(objective, interpreter);
  const score = (group) => engine.score("reference", group);
  const trainer = new Trainer({
    policy,
    objective,
    engine,
    evaluator,
    ...(objective.needsReference && { reference: { of: score } }),
    config,
    steps: 10 * rounds,
  });
  let index = 0;
  const step = async () => {
    const [started, used] = [performance.now(), processorSeconds()];
    // New examples each time: of the last ones the engine may still know what the reference said.
    await trainer.step(
      index++,
      own.map((example) => ({ ...example })),
    );
    return { wall: (performance.now() - started) / 1e3, processor: processorSeconds() - used };
  };
  return { step, [Symbol.asyncDispose]: () => engine[Symbol.asyncDispose]() };
}

const measured = definitions.filter(
  (one) => one.method !== "sft" && one.method !== "reward" && isNamed(given.only, one),
);
const sigmoid = await stepperOf(objectiveOf(config));
await sigmoid.step(); // The first step warms up.

const tokens = examples.reduce((n, example) => n + packedLength(example), 0);
console.log(
  `Steps of ${examples.length} pairs, ${tokens} tokens, LoRA rank ${config.loraRank}, ${rounds} rounds, ${threads} threads; medians.\n`,
);
console.log(head(["objective", "pairs a second, as a share of sigmoid's", "by processor time", "sigmoid, pairs/s"]));
for (const definition of measured) {
  const objective = definition.create();
  const other = await stepperOf(objective);
  await other.step();
  const samples = [];
  for (let round = 0; round < rounds; round++) {
    const times = new Map();
    for (const stepper of round % 2 === 0 ? [sigmoid, other] : [other, sigmoid])
      times.set(stepper, await stepper.step());
    samples.push([times.get(sigmoid), times.get(other)]);
  }
  await other[Symbol.asyncDispose]();
  const ratio = (clock) => median(samples.map(([a, b]) => a[clock] / b[clock])).toFixed(3);
  const rate = median(samples.map(([{ wall }]) => examples.length / wall)).toFixed(2);
  const unit = objective.roles.length === 1 ? ", by completions" : "";
  console.log(row([`${definition.method} ${definition.name}${unit}`, ratio("wall"), ratio("processor"), rate]));
}
await sigmoid[Symbol.asyncDispose]();
checkpoint[Symbol.dispose]();
