// One measured run of preftune: prints one line of JSON, like bench/trl.py, with the run's metrics and peak memory.
//   node bench/preftune.js OUTPUT '{"model": ..., "data": ...}'
import { dpo } from "../dist/index.js";

const [output, options] = process.argv.slice(2);
const steps = [];
const processorSeconds = [];
let used = process.cpuUsage();
const onStep = (metrics) => {
  steps.push(metrics);
  const { user, system } = process.cpuUsage(used);
  processorSeconds.push((user + system) / 1e6);
  used = process.cpuUsage();
};
await dpo({ ...JSON.parse(options), output, samplePrompts: 0, shuffle: false }, { observer: { onStep } });
console.log(
  JSON.stringify({
    losses: steps.map(({ loss }) => loss),
    pairsPerSecond: steps.map((step) => step.examples_per_second),
    tokensPerSecond: steps.map((step) => step.tokens_per_second),
    processorSeconds,
    peakMegabytes: process.resourceUsage().maxRSS / 1000,
  }),
);
