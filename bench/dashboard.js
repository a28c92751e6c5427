// The dashboard on many long runs: how soon it lists them, opens one's charts, and compares them all.
//
//   npm run build:library && node bench/dashboard.js [--runs 50] [--steps 100000] [--folder DIR] [--keep]
//
// The runs are written first (73 MB each; four are different, the others are copies of them). Times are of whole requests, one
// after the other to one server that is new: the page's own, but for what Chromium takes to draw.
import {
  closeSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const DISTINCT = 4;
const EVALUATIONS = 100;

/** Normal enough, and the same in every run of this program. */
function noise(seed) {
  let state = seed + 0x9e3779b9;
  const uniform = () => {
    state = Math.imul(state ^ (state >>> 15), 0x85ebca6b) + 0x6d2b79f5;
    return ((state ^ (state >>> 13)) >>> 0) / 2 ** 32;
  };
  return () => uniform() + uniform() + uniform() - 1.5;
}

/** What a DPO run of `steps` steps logs, a line at a time. */
function* metricLines(steps, seed = 0) {
  const random = noise(seed);
  const every = Math.ceil(steps / EVALUATIONS);
  let time = 1.7e9 + seed * 1e6;
  const measured = (progress, wild) => {
    const [chosen, rejected] = [-progress + wild * random(), -3 * progress + wild * random()];
    const margins = chosen - rejected;
    return {
      loss: Math.log1p(Math.exp(-margins)),
      "rewards/chosen": chosen,
      "rewards/rejected": rejected,
      "rewards/margins": margins,
      "rewards/accuracies": Math.round(8 / (1 + Math.exp(-4 * margins))) / 8,
      "logps/chosen": -160 + 10 * chosen + 30 * wild * random(),
      "lengths/chosen": 96 + Math.round(160 * wild * random()) / 8,
      kl: 0.4 * progress + 0.1 * wild * random(),
      "drift/chosen": 10 * chosen,
      "logps/rejected": -180 + 10 * rejected + 30 * wild * random(),
      "lengths/rejected": 101 + Math.round(160 * wild * random()) / 8,
      "drift/rejected": 10 * rejected,
      "gradient_weights/p10": 0.3 + 0.05 * random(),
      "gradient_weights/p50": 0.5 + 0.05 * random(),
      "gradient_weights/p90": 0.7 + 0.05 * random(),
    };
  };
  const evaluation = (step) => ({
    step,
    ...Object.fromEntries(
      Object.entries(measured(1 - Math.exp((-4 * step) / steps), 0.05)).map(([k, v]) => [`eval_${k}`, v]),
    ),
    time,
    examples: 8 * step,
    memory_bytes: 1.8e9,
  });
  yield evaluation(0);
  for (let step = 1; step <= steps; step++) {
    time += 0.9 + 0.1 * random();
    yield {
      step,
      ...measured(1 - Math.exp((-4 * step) / steps), 0.5),
      grad_norm: 8 + 3 * random(),
      learning_rate: 5e-6 * (1 - step / steps),
      examples_per_second: 8.7 + random(),
      tokens_per_second: 1800 + 200 * random(),
      time,
      examples: 8 * step,
      memory_bytes: Math.round(1.8e9 + 1e7 * random()),
    };
    if (step % every === 0 || step === steps) yield evaluation(step);
  }
}

/** Writes a run directory as training leaves it. */
function writeRun(folder, steps, seed, copy) {
  mkdirSync(join(folder, "adapter"), { recursive: true });
  const config = {
    model: "models/SmolLM2-135M-Instruct",
    data: [`data/pairs-${seed % 3}.jsonl`],
    evalData: ["data/held-out.jsonl"],
    output: folder,
    method: "dpo",
    loss: ["sigmoid"],
    lossWeights: [1],
    beta: 0.1 * (1 + (seed % 5)),
    batchSize: 8,
    epochs: 1,
    maxSteps: steps,
    learningRate: 5e-6 * (1 + (seed % 2)),
    seed,
  };
  writeFileSync(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  writeFileSync(join(folder, "outcome.json"), `${JSON.stringify({ step: steps, steps, suspects: 0 })}\n`);
  const file = join(folder, "metrics.jsonl");
  if (copy !== undefined) {
    copyFileSync(copy, file);
    return file;
  }
  const descriptor = openSync(file, "w");
  let pending = "";
  for (const line of metricLines(steps, seed)) {
    pending += `${JSON.stringify(line)}\n`;
    if (pending.length > 2 ** 20) {
      writeSync(descriptor, pending);
      pending = "";
    }
  }
  writeSync(descriptor, pending);
  closeSync(descriptor);
  return file;
}

const metricsQuery = (names) => names.map((name) => `metric=${encodeURIComponent(name)}`).join("&");

/** Asks a new server what the page asks when it is opened, and prints after how long it is answered. */
async function measure(folder) {
  const { startDashboard } = await import(new URL("../dist/dashboard/server.js", import.meta.url).href);
  const dashboard = await startDashboard({ folder, page: false });
  const { origin } = new URL(dashboard.url);
  const entry = await fetch(dashboard.url, { redirect: "manual" });
  const cookie = entry.headers.getSetCookie()[0].split(";")[0];
  const ask = async (label, path) => {
    const start = performance.now();
    const response = await fetch(origin + path, { headers: { cookie } });
    const text = await response.text();
    if (!response.ok) throw new Error(`${path}: ${response.status} ${text}`);
    const seconds = ((performance.now() - start) / 1000).toFixed(2);
    const { series } = JSON.parse(text);
    const exact = series && `${series.length} series, ${series.filter((one) => one.exact).length} exact, `;
    console.log(`${label.padEnd(44)} ${seconds} s  ${exact ?? ""}${(text.length / 1e3).toFixed(0)} kB`);
    return JSON.parse(text);
  };
  const { runs } = await ask("list", "/api/runs");
  await ask("list again, nothing having changed", "/api/runs");
  const { id } = runs[0];
  const { metrics } = await ask("a run", `/api/runs/${id}`);
  const all = metricsQuery(metrics.map(({ name }) => name));
  await ask("its charts, first", `/api/series?run=${id}&${all}`);
  await ask("its charts, exactly", `/api/series?run=${id}&${all}&exact=1`);
  await ask("its charts, again", `/api/series?run=${id}&${all}&exact=1`);
  await ask("its charts over time", `/api/series?run=${id}&${all}&exact=1&axis=time`);
  const every = runs.map((run) => `run=${run.id}`).join("&");
  for (const metric of ["eval_loss", "loss"]) {
    await ask(`${metric} of all runs, first`, `/api/series?${every}&metric=${metric}`);
    await ask(`${metric} of all runs, exactly`, `/api/series?${every}&metric=${metric}&exact=1`);
    await ask(`${metric} of all runs, again`, `/api/series?${every}&metric=${metric}`);
  }
  await ask("settings in which all differ", `/api/difference?${every}`);
  console.log(`resident memory ${(process.memoryUsage().rss / 1e6).toFixed(0)} MB`);
  await dashboard[Symbol.asyncDispose]();
}

async function main() {
  const { values } = parseArgs({
    options: {
      runs: { type: "string", default: "50" },
      steps: { type: "string", default: "100000" },
      folder: { type: "string" },
      keep: { type: "boolean", default: false },
    },
  });
  const [runs, steps] = [Number(values.runs), Number(values.steps)];
  const folder = values.folder ?? mkdtempSync(join(tmpdir(), "preftune-dashboard-"));
  try {
    const files = [];
    for (let i = 0; i < runs; i++) {
      const run = join(folder, i % 2 ? "sweep" : "", `run-${String(i).padStart(2, "0")}`);
      if (existsSync(run)) files.push(join(run, "metrics.jsonl"));
      else files.push(writeRun(run, steps, i, i < DISTINCT ? undefined : files[i % DISTINCT]));
    }
    console.log(`${runs} runs of ${steps} steps, ${(statSync(files[0]).size / 1e6).toFixed(0)} MB each, in ${folder}`);
    await measure(folder);
  } finally {
    if (!values.keep) rmSync(folder, { recursive: true });
  }
}

await main();
