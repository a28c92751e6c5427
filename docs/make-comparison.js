// Tunes the embedded example by every objective at equal steps and writes docs/comparison.md: npm run compare
//
//   npm run compare -- [--only sigmoid,kto] [--pairs 512] [--samples 200] [--seed 0] [--threads 1]
//
// With --only the table is printed and nothing is written. Rows are printed as they are measured.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { loadPreferences } from "../dist/data/load.js";
import { demoRun } from "../dist/demo/demo.js";
import { divergenceOnSamples, scoreCompletions } from "../dist/demo/divergence.js";
import { sampleReviews, tally } from "../dist/demo/reviews.js";
import { loadModel } from "../dist/evaluation/loaded-model.js";
import { definitions } from "../dist/objectives/index.js";
import { methods, resolveConfig } from "../dist/training/methods.js";
import { tune } from "../dist/training/run.js";

const { values } = parseArgs({
  options: {
    only: { type: "string" },
    pairs: { type: "string" },
    samples: { type: "string", default: "200" },
    seed: { type: "string", default: "0" },
    threads: { type: "string", default: "1" },
  },
});
const number = (text) => (text === undefined ? undefined : Number(text));
const [samples, seed, threads] = [values.samples, values.seed, values.threads].map(number);
const scratch = mkdtempSync(join(tmpdir(), "preftune-comparison-"));

const { evalData, ...demo } = demoRun({ output: "", seed, threads, pairs: number(values.pairs) });
const base = await loadModel(demo.model, { threads });
const held = await loadPreferences({
  files: evalData,
  tokenizer: base.tokenizer,
  maxLength: base.model.maxPositions,
  maxPromptLength: base.model.maxPositions - 1,
  truncation: "error",
});
/** log pi(y | x) of every held-out completion, chosen before rejected. */
async function heldOutLogps(model) {
  const sequences = held.examples.flatMap(({ prompt, completions }) =>
    completions.map((completion) => ({ prompt, completion })),
  );
  return (await scoreCompletions(model, sequences)).map(({ logp }) => logp);
}
const baseLogps = await heldOutLogps(base);

/** Share of held-out pairs whose chosen completion has gained more log-probability than the rejected one. */
async function heldOutAccuracy(model) {
  const gains = (await heldOutLogps(model)).map((logp, i) => logp - baseLogps[i]);
  const right = held.examples.filter((_, pair) => gains[2 * pair] > gains[2 * pair + 1]);
  return right.length / held.examples.length;
}

/** The settings of the demo as far as the objective has them; as many texts a step, whatever an example is. */
function settingsFor({ method, name, rows, options }, output) {
  const { beta, batchSize, ...settings } = demo;
  const defaults = definitions.find((one) => one.method === "dpo" && one.name === "sigmoid").options.beta;
  const usual = options.beta?.safeParse(undefined).data === defaults.safeParse(undefined).data;
  return resolveConfig(methods[method], {
    ...settings,
    ...(usual && { beta }),
    loss: name,
    output,
    batchSize: rows === "labelled" ? 2 * batchSize : batchSize,
    samplePrompts: 0,
  });
}

/** Tunes by one objective: the result's folder, its steps, and the processor's seconds for them. */
async function tuned(definition) {
  const config = settingsFor(definition, join(scratch, `${definition.method}-${definition.name}`));
  const used = [];
  const onStep = () => used.push(process.cpuUsage());
  const { result, steps } = await tune(config, { observer: { onStep } });
  // From the end of the first step to that of the last, which is one step less than all.
  const [first, last] = [used[0], used.at(-1)];
  const seconds = (last.user + last.system - first.user - first.system) / 1e6;
  return { result, steps, seconds: (seconds * steps) / (steps - 1) };
}

const percent = (share) => `${Math.round(100 * share)} %`;
const columns = ["objective", "steps", "held-out accuracy", "KL, nats a review", "positive", "neither", "seconds"];
const lines = [`| ${columns.join(" | ")} |`, `|${columns.map(() => "---").join("|")}|`];
const say = (cells) => {
  lines.push(`| ${cells.join(" | ")} |`);
  console.log(lines.at(-1));
};
console.log(lines.join("\n"));
const shares = (reviews) => {
  const counts = tally(reviews);
  return [percent(counts.positive / reviews.length), percent(counts.unclear / reviews.length)];
};
const isWanted = ({ method, name }) =>
  method !== "reward" && (values.only?.split(",").some((one) => one === name || one === `${method} ${name}`) ?? true);
try {
  say(["none: the model as it is", "0", "", "0", ...shares(await sampleReviews(base, samples, seed)), ""]);
  for (const definition of definitions.filter(isWanted)) {
    const { result, steps, seconds } = await tuned(definition);
    const model = await loadModel(result, { threads });
    const reviews = await sampleReviews(model, samples, seed);
    const { mean, standardError } = await divergenceOnSamples(base, reviews);
    say([
      `${definition.method} ${definition.name}`,
      String(steps),
      percent(await heldOutAccuracy(model)),
      `${mean.toFixed(2)} ± ${standardError.toFixed(2)}`,
      ...shares(reviews),
      seconds.toFixed(1),
    ]);
    await model[Symbol.asyncDispose]();
    rmSync(result, { recursive: true });
  }
} finally {
  await base[Symbol.asyncDispose]();
  rmSync(scratch, { recursive: true });
}

const text = `# Objectives compared

<!-- Written by \`npm run compare\`. -->

The embedded example (\`examples/film-reviews\`) tuned by every objective: the demo's settings (all weights, learning rate
${demo.learningRate}, beta ${demo.beta} in place of the usual 0.1, ${demo.batchSize} pairs a step), equal steps on the same texts, and nothing else tuned for any of
them; other options are at their defaults. One seed: neighbours in this table may change places with another. KTO and BCO
learn from the pairs' completions one by one, \`sft\` from the chosen ones alone.

- **held-out accuracy**: of ${held.examples.length} pairs about other films, the share whose chosen completion has gained more log-probability than
  the rejected one, the same measure for all.
- **KL**: KL(policy || model as it is) in nats a review, on ${samples} reviews that the policy wrote at temperature 1, with its
  standard error.
- **positive**, **neither**: the share of these reviews that praise, and that neither praise nor complain; what is left complains.
- **seconds**: the processor's for the steps, on ${threads} thread${threads === 1 ? "" : "s"}, without loading, compiling and sampling. Where other programs
  run beside, it varies by a fifth: \`plackett_luce\` on pairs computes just what \`sigmoid\` does.

${lines.join("\n")}
`;
if (values.only === undefined) writeFileSync(new URL("comparison.md", import.meta.url), text);
