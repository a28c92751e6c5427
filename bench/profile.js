// Where a step's time goes, by kinds of operations: onnxruntime's own trace of the reference's forward pass and of the step.
//
//   npm run build:library && node bench/profile.js [--pairs 1] [--max-length 256] [--rounds 8] [--threads 2] [--full] [--model M] [--data D]
//
// Runs of the two programs alternate; shown are medians over rounds, in milliseconds a run. "Idle" is what no operation
// accounts for: the way into the engine and out of it, and what lies between operations. With --full every product is shown by
// the shapes of what it multiplies, and every operation however short.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { packExamples, packedLength } from "../dist/data/microbatch.js";
import { rotaryInputValues } from "../dist/models/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { objectiveOf } from "../dist/training/methods.js";
import { batchInputs, completionScores } from "../dist/training/step/engine.js";
import { objectiveInputs } from "../dist/training/step/objective-inputs.js";
import { scoreProgram } from "../dist/training/step/step.js";
import { flags, HH_PAIRS, head, median, openWholePairs, policiesOf, row, SMOLLM2 } from "./support.js";

const { rounds, threads, full, ...given } = flags({
  model: SMOLLM2,
  data: HH_PAIRS,
  pairs: 1,
  "max-length": 256,
  rounds: 8,
  threads: 2,
  full: false,
});
/** Operations that take a smaller share are "the rest". */
const SHARE = 0.005;

const opened = await openWholePairs(given);
const { config, checkpoint, model, examples } = opened;
const scratch = mkdtempSync(join(tmpdir(), "preftune-profile-"));
try {
  const batch = packExamples(examples);
  const shape = `${batch.tokens.length} tokens, ${batch.rows.length} scored rows`;
  console.log(`${examples.length} pairs of ${shape}, LoRA rank ${config.loraRank}, ${threads} threads`);
  for (const [name, milliseconds] of await timed(batch)) {
    const kernels = traceOf(name);
    const kinds = full ? groups(kernels, describe) : [...products(kernels), ...others(kernels, milliseconds)];
    show(name, milliseconds, kinds);
  }
} finally {
  rmSync(scratch, { recursive: true });
  checkpoint[Symbol.dispose]();
}

/** Runs both programs so many rounds and one more, which warms up: milliseconds of each. Their traces are files. */
async function timed(batch) {
  const policy = (await policiesOf(opened))();
  const objective = objectiveOf(config);
  const compile = (name, program) => nodeRuntime.compile(program, { threads, profile: join(scratch, name) });
  const reference = await compile("reference", scoreProgram(model, policy.referenceParameters));
  const step = await compile("step", policy.step(objective));
  const common = {
    ...policy.weights,
    ...rotaryInputValues(model, Math.max(...examples.map(packedLength))),
    ...batchInputs(batch),
  };
  /** @type {Record<"reference" | "step", number[]>} */
  const clock = { reference: [], step: [] };
  for (let round = 0; round <= rounds; round++) {
    const started = performance.now();
    const scores = completionScores(batch, await reference.run(common));
    const between = performance.now();
    const scale = { dims: [], data: Float32Array.of(1) };
    await step.run({ ...common, ...objectiveInputs(objective, examples, scores, {}), scale });
    clock.reference.push(between - started);
    clock.step.push(performance.now() - between);
  }
  await reference[Symbol.asyncDispose]();
  await step[Symbol.asyncDispose]();
  return Object.entries(clock).map(([name, times]) => /** @type {const} */ ([name, median(times.slice(1))]));
}

/** What a program's trace has of every operation, the first run left out. */
function traceOf(name) {
  const file = readdirSync(scratch).find((entry) => entry.startsWith(name)) ?? "";
  const events = JSON.parse(readFileSync(join(scratch, file), "utf8"));
  const kernels = events.filter(({ cat, name: event }) => cat === "Node" && event.endsWith("_kernel_time"));
  const perRun = kernels.length / (rounds + 1);
  return kernels.slice(perRun).map(({ dur, args }, i) => {
    const [a, b, y] = [args.input_type_shape[0], args.input_type_shape[1], args.output_type_shape[0]].map(
      (typed) => Object.values(typed ?? {})[0] ?? [],
    );
    const isProduct = ["MatMul", "FusedMatMul", "Gemm"].includes(args.op_name);
    return { round: Math.floor(i / perRun), ms: dur / 1e3, op: args.op_name, isProduct, a, b, y };
  });
}

/** Operations by what `keyOf` calls them; each group's milliseconds are the median over rounds. */
function groups(kernels, keyOf) {
  const found = new Map();
  for (const kernel of kernels) {
    const key = keyOf(kernel);
    const group = found.get(key) ?? { key, runs: new Array(rounds).fill(0), count: 0, flops: 0 };
    found.set(key, group);
    group.runs[kernel.round] += kernel.ms;
    group.count += 1 / rounds;
    if (kernel.isProduct) group.flops += flopsOf(kernel) / rounds;
  }
  return [...found.values()].map((group) => ({ ...group, ms: median(group.runs) })).toSorted((a, b) => b.ms - a.ms);
}

function products(kernels) {
  const all = kernels.filter(({ isProduct }) => isProduct);
  return groups(all, kindOf);
}

function others(kernels, milliseconds) {
  const rest = kernels.filter(({ isProduct }) => !isProduct);
  const small = new Set(groups(rest, ({ op }) => op).flatMap(({ key, ms }) => (ms < SHARE * milliseconds ? key : [])));
  const named = rest.filter(({ op }) => !small.has(op));
  const unnamed = rest.filter(({ op }) => small.has(op));
  return [...groups(named, ({ op }) => op), ...groups(unnamed, () => "the rest")];
}

/**
 * What a product is, told by its operands: only attention's have a matrix a head, LoRA's have no weight of the checkpoint, and
 * those that add up completions' tokens have a single column.
 */
function kindOf({ a, b }) {
  const head = model.weights.get(model.headWeight);
  const has = (shape) => [a, b].some((operand) => String(operand) === String(shape));
  if (a.length > 2) return "attention's products";
  if (has(head)) return "the output head";
  const weights = [...model.weights.values()].filter((shape) => shape.length === 2);
  if (weights.some(has)) return "products with the model's weights";
  return a.includes(1) || b.includes(1) ? "sums of completions" : "LoRA's products";
}

function describe({ op, isProduct, a, b }) {
  return isProduct ? `${op} [${a}] x [${b}]` : op;
}

/** Of a [.., m, k] and y [.., m, n], and of their transposes: k is what a has beside m. */
function flopsOf({ a, y }) {
  const size = (shape) => shape.reduce((n, dim) => n * dim, 1);
  return (2 * size(y) * size(a)) / (size(y.slice(0, -2)) * y.at(-2));
}

function show(name, milliseconds, rows) {
  const busy = rows.reduce((sum, { ms }) => sum + ms, 0);
  console.log(`\n${name}: ${milliseconds.toFixed(0)} ms, of which idle ${(milliseconds - busy).toFixed(0)}\n`);
  console.log(head(["operation", "a run", "ms", "share", "GFLOP/s"]));
  for (const { key, count, flops, ms } of rows) {
    const share = `${((100 * ms) / milliseconds).toFixed(1)} %`;
    console.log(row([key, count.toFixed(0), ms.toFixed(1), share, flops ? (flops / ms / 1e6).toFixed(0) : ""]));
  }
}
