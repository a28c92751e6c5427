// Where a step's time goes, by operation: onnxruntime's own trace of the reference's forward pass and of the step.
//
//   npm run build:library && node bench/profile.js [--pairs 1] [--max-length 256] [--rounds 8] [--threads 2] [--model M] [--data D]
//
// Runs of the two programs alternate; shown are medians over rounds, in milliseconds a run. "Idle" is what no operation
// accounts for: the way into the engine and out of it, and what lies between operations.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openCheckpoint } from "../dist/checkpoints/open.js";
import { loadPreferences } from "../dist/data/load.js";
import { packExamples, packedLength } from "../dist/data/microbatch.js";
import { loadWeights, modelFor, rotaryInputValues } from "../dist/models/index.js";
import { nodeRuntime } from "../dist/runtime/node.js";
import { tokenizerFromFiles } from "../dist/text/tokenizer.js";
import { methods, objectiveOf, resolveConfig } from "../dist/training/methods.js";
import { loraPolicy } from "../dist/training/policy/policy.js";
import { batchInputs, completionScores } from "../dist/training/step/engine.js";
import { objectiveInputs } from "../dist/training/step/objective-inputs.js";
import { scoreProgram } from "../dist/training/step/step.js";

const { values } = parseArgs({
  options: {
    model: { type: "string", default: "../shared/models/SmolLM2-135M-Instruct.Q4_1.gguf" },
    data: { type: "string", default: "../shared/data/hh-rlhf-harmless-base-test.jsonl.gz" },
    pairs: { type: "string", default: "1" },
    "max-length": { type: "string", default: "256" },
    rounds: { type: "string", default: "8" },
    threads: { type: "string", default: "2" },
  },
});
const [pairs, maxLength, rounds, threads] = ["pairs", "max-length", "rounds", "threads"].map((key) =>
  Number(values[key]),
);
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

const config = resolveConfig(methods.dpo, {
  model: values.model,
  data: values.data,
  output: "unused",
  limit: pairs,
  maxLength,
  truncation: "drop",
});
const checkpoint = await openCheckpoint(config.model);
const model = modelFor(checkpoint);
const weights = loadWeights(checkpoint, model);
const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
const { examples } = await loadPreferences({ ...config, files: config.data, tokenizer });
const objective = objectiveOf(config);
const policy = loraPolicy(model, weights, {
  rank: config.loraRank,
  alpha: config.loraAlpha,
  rankStabilized: false,
  targets: "all-linear",
  seed: 0,
});

const batch = packExamples(examples);
const common = {
  ...policy.weights,
  ...rotaryInputValues(model, Math.max(...examples.map(packedLength))),
  ...batchInputs(batch),
};
const scratch = mkdtempSync(join(tmpdir(), "preftune-profile-"));
try {
  const compile = (name, program) => nodeRuntime.compile(program, { threads, profile: join(scratch, name) });
  const reference = await compile("reference", scoreProgram(model, policy.referenceParameters));
  const step = await compile("step", policy.step(objective));
  const clock = { reference: [], step: [] };
  const timed = async (name, run) => {
    const started = performance.now();
    const outputs = await run();
    clock[name].push(performance.now() - started);
    return outputs;
  };
  for (let round = 0; round <= rounds; round++) {
    const scores = completionScores(batch, await timed("reference", () => reference.run(common)));
    const scale = { dims: [], data: Float32Array.of(1) };
    await timed("step", () => step.run({ ...common, ...objectiveInputs(objective, examples, scores, {}), scale }));
  }
  await reference[Symbol.asyncDispose]();
  await step[Symbol.asyncDispose]();
  console.log(
    `${batch.tokens.length} tokens, ${batch.rows.length} scored rows, LoRA rank ${config.loraRank}, ${threads} threads`,
  );
  for (const name of ["reference", "step"]) show(name, median(clock[name].slice(1)));
} finally {
  rmSync(scratch, { recursive: true });
  checkpoint[Symbol.dispose]();
}

/** Prints the trace of a program whose runs took `wall` milliseconds: products by their shapes, all else by operation. */
function show(name, wall) {
  const file = readdirSync(scratch).find((entry) => entry.startsWith(name));
  const events = JSON.parse(readFileSync(join(scratch, file), "utf8"));
  const kernels = events.filter(({ cat, name: event }) => cat === "Node" && event.endsWith("_kernel_time"));
  // Every run has the same operations, and the first run warms up.
  const perRun = kernels.length / (rounds + 1);
  const groups = new Map();
  kernels.slice(perRun).forEach(({ dur, args }, i) => {
    const { key, flops } = describe(args);
    const group = groups.get(key) ?? { runs: new Array(rounds).fill(0), count: 0, flops };
    groups.set(key, group);
    group.runs[Math.floor(i / perRun)] += dur / 1e3;
    group.count += 1 / rounds;
  });
  const rows = [...groups].map(([key, { runs, count, flops }]) => ({ key, count, flops, ms: median(runs) }));
  const busy = rows.reduce((sum, { ms }) => sum + ms, 0);
  console.log(`\n${name}: ${wall.toFixed(0)} ms, of which idle ${(wall - busy).toFixed(0)}\n`);
  console.log("| operation | a run | ms | share | GFLOP/s |");
  console.log("|---|---|---|---|---|");
  for (const { key, count, flops, ms } of rows.toSorted((a, b) => b.ms - a.ms)) {
    if (ms < wall / 500) continue;
    const rate = flops ? ((flops * count) / ms / 1e6).toFixed(0) : "";
    console.log(`| ${key} | ${count.toFixed(0)} | ${ms.toFixed(1)} | ${((100 * ms) / wall).toFixed(1)} % | ${rate} |`);
  }
}

function describe({ op_name: op, input_type_shape: inputs, output_type_shape: outputs }) {
  const shapeOf = (typed) => Object.values(typed ?? {})[0] ?? [];
  if (!["MatMul", "FusedMatMul", "Gemm"].includes(op)) return { key: op };
  const [a, b, y] = [shapeOf(inputs[0]), shapeOf(inputs[1]), shapeOf(outputs[0])];
  const size = (shape) => shape.reduce((n, dim) => n * dim, 1);
  // Of a [.., m, k] and y [.., m, n], and of their transposes: k is what a has beside m.
  const m = y.at(-2);
  return { key: `${op} [${a}] x [${b}]`, flops: (2 * size(y) * size(a)) / (size(y.slice(0, -2)) * m) };
}
