// What `preftune inspect model` estimates against what runs take: memory at the peak, and the quickest optimizer step. Time is the
// processor's, on one thread, which what else the machine does disturbs the least.
//
//   npm run build && node bench/estimates.js [--only smollm2] [--write tests/golden/inspection/estimates.json]
//
// Every run trains on pairs of one length, in a process of its own, without samples. With --write the measured memory is kept
// for the test that holds the estimate to it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { openCheckpoint } from "../dist/checkpoints/open.js";
import { loadPreferences } from "../dist/data/load.js";
import { packExamples, packedLength, planMicroBatches } from "../dist/data/microbatch.js";
import { tuningOf } from "../dist/inspection/model.js";
import { MachineSpeed } from "../dist/inspection/speed.js";
import { modelFor } from "../dist/models/index.js";
import { parameterCount } from "../dist/models/weights.js";
import { tokenizerFromFiles } from "../dist/text/tokenizer.js";
import { memoryOf, microBatchSizes } from "../dist/training/memory/memory.js";
import { methods, objectiveOf, resolveConfig } from "../dist/training/methods.js";

const { values } = parseArgs({
  options: {
    models: { type: "string", default: "../shared/models" },
    only: { type: "string", default: "" },
    threads: { type: "string", default: "1" },
    write: { type: "string" },
  },
});
const threads = Number(values.threads);
const BATCH = 2;

const stories = join(values.models, "stories260K");
const smollm2 = join(values.models, "SmolLM2-135M-Instruct.Q4_1.gguf");
const embedded = new URL("../examples/film-reviews/model", import.meta.url).pathname;
/** Model, tuning, and words of the prompt and of each completion. */
const cases = [
  ["stories260k", stories, "lora", 60, 30],
  ["stories260k", stories, "full", 60, 30],
  ["embedded", embedded, "lora", 60, 30],
  ["embedded", embedded, "full", 60, 30],
  ["smollm2", smollm2, "lora", 40, 20],
  ["smollm2", smollm2, "lora", 130, 50],
  ["smollm2", smollm2, "lora", 300, 100],
  ["smollm2", smollm2, "lora", 480, 240],
  ["smollm2", smollm2, "full", 40, 20],
  ["smollm2", smollm2, "full", 130, 50],
].filter(([name]) => name.startsWith(values.only));

const vocabulary = "the film is good and a very long story of people who live by sea in old house with dog".split(" ");
let state = 1;
const word = () => {
  state = (state * 48271) % 2147483647;
  return vocabulary[state % vocabulary.length];
};
const text = (words) => Array.from({ length: words }, word).join(" ");

const scratch = mkdtempSync(join(tmpdir(), "preftune-estimates-"));
const clock = () => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
};
const speed = await MachineSpeed.measure({ threads, clock });
const recorded = [];
console.log("| model | tuning | tokens | memory, MB | estimated | ratio | step, s | estimated | ratio |");
console.log("|---|---|---|---|---|---|---|---|---|");
try {
  for (const [name, path, tuning, prompt, completion] of cases) {
    const steps = path === smollm2 ? 3 : 20;
    const data = join(scratch, "pairs.jsonl");
    const rows = Array.from({ length: BATCH * steps }, () => ({
      prompt: text(prompt),
      chosen: ` ${text(completion)}`,
      rejected: ` ${text(completion)}`,
    }));
    writeFileSync(data, rows.map((row) => JSON.stringify(row)).join("\n"));
    const options = { model: path, data, tuning, batchSize: BATCH, threads };
    const run = JSON.parse(
      execFileSync(
        "node",
        [new URL("preftune.js", import.meta.url).pathname, join(scratch, "run"), JSON.stringify(options)],
        { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
      ),
    );
    rmSync(join(scratch, "run"), { recursive: true });
    const checkpoint = await openCheckpoint(path);
    const model = modelFor(checkpoint);
    const config = resolveConfig(methods.dpo, { ...options, output: "unused" });
    const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
    const { examples } = await loadPreferences({ ...config, files: data, tokenizer });
    const { cost, trained } = tuningOf(model, tuning, config.loraRank, objectiveOf(config));
    // All pairs have nearly the same length, so the first step stands for all.
    let seconds = 0;
    let largest;
    for (const indices of planMicroBatches(examples.slice(0, BATCH).map(packedLength), config.microBatchTokens)) {
      const batch = packExamples(indices.map((i) => examples[i]));
      const sizes = {
        tokens: batch.tokens.length,
        rows: batch.rows.length,
        examples: indices.length,
        completions: 2,
        positions: 1 + Math.max(...Array.from(batch.positions, Number)),
      };
      if (!(largest?.tokens > sizes.tokens)) largest = sizes;
      seconds += await speed.stepSeconds({ cost, sizes: microBatchSizes(sizes), count: 1, trained: 0 });
    }
    seconds += await speed.stepSeconds({
      cost: { step: { ...cost.step, products: () => [], nodes: 0, otherNumbers: () => 0 } },
      sizes: new Map(),
      count: 1,
      trained,
    });
    const held = { weights: parameterCount(model), trained, optimizer: config.optimizer };
    const { total: bytes } = memoryOf(cost, held, microBatchSizes(largest));
    const measured = Math.min(...run.processorSeconds.slice(1));
    const megabytes = run.peakMegabytes;
    recorded.push({
      name,
      tuning,
      loraRank: config.loraRank,
      batch: largest,
      megabytes: Math.round(megabytes),
      config: checkpoint.config,
    });
    console.log(
      `| ${name} | ${tuning} | ${largest.tokens} | ${megabytes.toFixed(0)} | ${(bytes / 1e6).toFixed(0)} | ${(bytes / 1e6 / megabytes).toFixed(2)} | ${measured.toFixed(3)} | ${seconds.toFixed(3)} | ${(seconds / measured).toFixed(2)} |`,
    );
    checkpoint[Symbol.dispose]();
  }
} finally {
  rmSync(scratch, { recursive: true });
}
if (values.write) {
  const figures = {
    command: "node bench/estimates.js --write tests/golden/inspection/estimates.json",
    machine: `${cpus()[0].model}, ${threads} threads, Node ${process.version}`,
    runs: recorded,
  };
  writeFileSync(values.write, `${JSON.stringify(figures, null, 2)}\n`);
}
