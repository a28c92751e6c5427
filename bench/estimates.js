// What `preftune inspect model` estimates against what runs take: memory at the peak, and the quickest optimizer step. Time is the
// processor's, on one thread, which what else the machine does disturbs the least.
//
//   npm run build && node bench/estimates.js [--only "smollm2 lora"] [--write tests/golden/inspection/estimates.json]
//
// Every run trains on pairs of one length, in a process of its own, without samples. With --write the measured memory is kept
// for the test that holds the estimate to it.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { tuningOf } from "../dist/inspection/model.js";
import { MachineSpeed } from "../dist/inspection/speed.js";
import { parameterCount } from "../dist/models/weights.js";
import { memoryOf, microBatchSizes } from "../dist/training/memory/memory.js";
import { objectiveOf } from "../dist/training/methods.js";
import { beside, flags, head, microBatches, openPairs, processorSeconds, row } from "./support.js";

const { models, only, threads, write } = flags({ models: "../shared/models", only: "", threads: 1, write: "" });
const BATCH = 2;

const stories = join(models, "stories260K");
const smollm2 = join(models, "SmolLM2-135M-Instruct.Q4_1.gguf");
const embedded = beside("../examples/film-reviews/model");
const cases = [
  { name: "stories260k", model: stories, tuning: "lora", words: { prompt: 60, completion: 30 } },
  { name: "stories260k", model: stories, tuning: "full", words: { prompt: 60, completion: 30 } },
  { name: "embedded", model: embedded, tuning: "lora", words: { prompt: 60, completion: 30 } },
  { name: "embedded", model: embedded, tuning: "full", words: { prompt: 60, completion: 30 } },
  { name: "smollm2", model: smollm2, tuning: "lora", words: { prompt: 40, completion: 20 } },
  { name: "smollm2", model: smollm2, tuning: "lora", words: { prompt: 130, completion: 50 } },
  { name: "smollm2", model: smollm2, tuning: "lora", words: { prompt: 300, completion: 100 } },
  { name: "smollm2", model: smollm2, tuning: "lora", words: { prompt: 480, completion: 240 } },
  { name: "smollm2", model: smollm2, tuning: "full", words: { prompt: 40, completion: 20 } },
  { name: "smollm2", model: smollm2, tuning: "full", words: { prompt: 130, completion: 50 } },
];

const vocabulary = "the film is good and a very long story of people who live by sea in old house with dog".split(" ");
let state = 1;
const word = () => {
  state = (state * 48271) % 2147483647;
  return vocabulary[state % vocabulary.length];
};
const text = (words) => Array.from({ length: words }, word).join(" ");

const scratch = mkdtempSync(join(tmpdir(), "preftune-estimates-"));
const speed = await MachineSpeed.measure({ threads, clock: processorSeconds });

/** Trains on pairs of these words in a process of its own: the run's settings, and what it took. */
function measure({ model, tuning, words }) {
  const steps = model === smollm2 ? 3 : 20;
  const data = join(scratch, "pairs.jsonl");
  const pairs = Array.from({ length: BATCH * steps }, () => ({
    prompt: text(words.prompt),
    chosen: ` ${text(words.completion)}`,
    rejected: ` ${text(words.completion)}`,
  }));
  writeFileSync(data, pairs.map((pair) => JSON.stringify(pair)).join("\n"));
  const settings = { model, data, tuning, batchSize: BATCH, threads };
  const output = join(scratch, "run");
  const said = execFileSync("node", [beside("preftune.js"), output, JSON.stringify(settings)], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  rmSync(output, { recursive: true });
  const { processorSeconds, peakMegabytes } = JSON.parse(said);
  return { settings, seconds: Math.min(...processorSeconds.slice(1)), megabytes: peakMegabytes };
}

/** What such a run is expected to take. All of its pairs have nearly the same length, so the first step stands for all. */
async function estimate(settings) {
  const { config, checkpoint, model, examples } = await openPairs(settings);
  const { cost, trained } = tuningOf(model, config.tuning, config.loraRank, objectiveOf(config));
  const batches = microBatches(examples.slice(0, BATCH), config);
  let seconds = 0;
  for (const batch of batches) {
    seconds += await speed.stepSeconds({ cost, sizes: microBatchSizes(batch), count: 1, trained: 0 });
  }
  const update = { step: { ...cost.step, products: () => [], nodes: 0, otherNumbers: () => 0 } };
  seconds += await speed.stepSeconds({ cost: update, sizes: new Map(), count: 1, trained });
  const largest = batches.reduce((most, batch) => (batch.tokens >= most.tokens ? batch : most));
  const held = { weights: parameterCount(model), trained, optimizer: config.optimizer };
  const megabytes = memoryOf(cost, held, microBatchSizes(largest)).total / 1e6;
  checkpoint[Symbol.dispose]();
  return { seconds, megabytes, batch: largest, loraRank: config.loraRank, config: checkpoint.config };
}

const recorded = [];
const columns = ["memory, MB", "estimated", "ratio", "step, s", "estimated", "ratio"];
console.log(head(["model", "tuning", "tokens", ...columns]));
try {
  for (const one of cases.filter(({ name, tuning }) => `${name} ${tuning}`.startsWith(only))) {
    const { name, tuning } = one;
    const { settings, ...took } = measure(one);
    const { batch, loraRank, config, ...expected } = await estimate(settings);
    recorded.push({ name, tuning, loraRank, batch, megabytes: Math.round(took.megabytes), config });
    const compared = (key, digits) => [
      took[key].toFixed(digits),
      expected[key].toFixed(digits),
      (expected[key] / took[key]).toFixed(2),
    ];
    console.log(row([name, tuning, batch.tokens, ...compared("megabytes", 0), ...compared("seconds", 3)]));
  }
} finally {
  rmSync(scratch, { recursive: true });
}
if (write) {
  const figures = {
    command: "node bench/estimates.js --write tests/golden/inspection/estimates.json",
    machine: `${cpus()[0].model}, ${threads} threads, Node ${process.version}`,
    runs: recorded,
  };
  writeFileSync(write, `${JSON.stringify(figures, null, 2)}\n`);
}
