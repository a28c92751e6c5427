// preftune against TRL on the same rows of the same model, in one run: pairs a second, peak memory, share of the SGEMM peak.
//
//   npm run bench -- --model M.gguf --data HH.jsonl.gz [--python DIR/bin/python] [--steps 4] [--rounds 2] [--trl fp32-mb1,bf16-weights]
//
// Each round runs the matrix product, preftune and every TRL configuration once, one after the other, so that a noisy
// machine is noisy for all. The first step of a run is left out: it warms up. Without --python only preftune is measured.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { stepFlops } from "./flops.js";
import { beside, flags, HH_PAIRS, head, median, row, SMOLLM2 } from "./support.js";

const { model, data, python, trl, steps, rounds, threads } = flags({
  model: SMOLLM2,
  data: HH_PAIRS,
  python: "",
  trl: "fp32-mb1,bf16-weights",
  steps: 4,
  rounds: 2,
  threads: 2,
});
const BATCH = 8;
const MAX_LENGTH = 512;
const options = {
  model,
  data,
  limit: steps * BATCH,
  batchSize: BATCH,
  maxLength: MAX_LENGTH,
  learningRate: 1e-5,
  threads,
};

const run = (command, args) => {
  const output = execFileSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], maxBuffer: 1e8 });
  return JSON.parse(output.slice(output.trimEnd().lastIndexOf("\n") + 1));
};
/** Pairs a second over all steps but the first. */
const overall = (rates) => (rates.length - 1) / rates.slice(1).reduce((seconds, rate) => seconds + 1 / rate, 0);

const scratch = mkdtempSync(join(tmpdir(), "preftune-bench-"));
const measured = new Map();
const peaks = [];
const record = (name, sample) => measured.set(name, [...(measured.get(name) ?? []), sample]);
try {
  for (let round = 0; round < rounds; round++) {
    peaks.push(run("node", [beside("sgemm.js"), String(threads)]).gigaflops);
    const own = run("node", [beside("preftune.js"), join(scratch, `run-${round}`), JSON.stringify(options)]);
    record("preftune float32", { rate: overall(own.pairsPerSecond), megabytes: own.peakMegabytes, losses: own.losses });
    for (const config of python ? trl.split(",") : []) {
      const numbers = ["--steps", String(steps), "--limit", String(steps * BATCH), "--threads", String(threads)];
      const theirs = run(python, [beside("trl.py"), "--config", config, "--model", model, "--data", data, ...numbers]);
      record(`TRL ${config}`, {
        rate: theirs.pairs_per_second,
        megabytes: theirs.peak_rss_mib * 1.048576,
        losses: theirs.losses,
      });
    }
  }
} finally {
  rmSync(scratch, { recursive: true });
}

const flops = await stepFlops(options);
const own = measured.get("preftune float32");
const rate = median(own.map((sample) => sample.rate));
console.log(`${steps - 1} steps of ${BATCH} pairs, ${rounds} rounds, ${threads} threads; medians\n`);
console.log(head(["", "pairs/s", "preftune is", "peak memory, MB", "first loss"]));
for (const [name, samples] of measured) {
  const theirs = median(samples.map((sample) => sample.rate));
  const megabytes = median(samples.map((sample) => sample.megabytes));
  const loss = samples[0].losses[0].toFixed(4);
  console.log(row([name, theirs.toFixed(3), `${(rate / theirs).toFixed(2)} x`, megabytes.toFixed(0), loss]));
}
const achieved = (flops / BATCH / 1e9) * rate;
const peak = median(peaks);
console.log(
  `\npreftune computes ${(flops / BATCH / 1e9).toFixed(0)} GFLOP a pair in matrix products: ${achieved.toFixed(0)} GFLOP/s, ${((100 * achieved) / peak).toFixed(0)} % of the SGEMM peak of ${peak.toFixed(0)}`,
);
