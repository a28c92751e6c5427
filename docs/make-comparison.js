// Tunes the embedded example by every objective at equal steps and writes docs/comparison.md: npm run compare
//
//   npm run compare -- [--only sigmoid,kto] [--pairs 512] [--samples 200] [--seed 0] [--threads 1]
//
// With --only the table is printed and nothing is written. Rows are printed as they are measured.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { flags, head, isNamed, processorSeconds, row } from "../bench/support.js";
import { loadPreferences } from "../dist/data/load.js";
import { demoRun } from "../dist/demo/demo.js";
import { divergenceOnSamples, scoreCompletions } from "../dist/demo/divergence.js";
import { sampleReviews, tally } from "../dist/demo/reviews.js";
import { loadModel } from "../dist/evaluation/loaded-model.js";
import { definitions } from "../dist/objectives/index.js";
import { methods, resolveConfig } from "../dist/training/methods.js";
import { tune } from "../dist/training/run.js";

const { only, pairs, samples, seed, threads } = flags({ only: "", pairs: 512, samples: 200, seed: 0, threads: 1 });
const scratch = mkdtempSync(join(tmpdir(), "preftune-comparison-"));

const { evalData, ...demo } = demoRun({ output: "", seed, threads, pairs });
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

/** The default of the objectives whose beta the demo's takes the place of. */
const USUAL_BETA = 0.1;

/** The settings of the demo as far as the objective has them; as many texts a step, whatever an example is. */
function settingsFor({ method, name, rows, options }, output) {
  const { beta, batchSize, ...settings } = demo;
  const usual = options.beta?.safeParse(undefined).data === USUAL_BETA;
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
  const onStep = () => used.push(processorSeconds());
  const { result, steps } = await tune(config, { observer: { onStep } });
  // From the end of the first step to that of the last, which is one step less than all.
  const seconds = Math.max(...used) - Math.min(...used);
  if (result === undefined) throw new Error(`The run by ${definition.name} was stopped.`);
  return { result, steps, seconds: (seconds * steps) / (steps - 1) };
}

const percent = (share) => `${Math.round(100 * share)} %`;
const columns = ["objective", "steps", "held-out accuracy", "KL, nats a review", "positive", "neither", "seconds"];
const lines = [];
const say = (line) => {
  lines.push(line);
  console.log(line);
};
say(head(columns));
const shares = (reviews) => {
  const counts = tally(reviews);
  return [percent(counts.positive / reviews.length), percent(counts.unclear / reviews.length)];
};
const wanted = definitions.filter((one) => one.method !== "reward" && isNamed(only, one));
try {
  say(row(["none: the model as it is", "0", "", "0", ...shares(await sampleReviews(base, samples, seed)), ""]));
  for (const definition of wanted) {
    const { result, steps, seconds } = await tuned(definition);
    const model = await loadModel(result, { threads });
    const reviews = await sampleReviews(model, samples, seed);
    const { mean, standardError } = await divergenceOnSamples(base, reviews);
    const measured = [percent(await heldOutAccuracy(model)), `${mean.toFixed(2)} ± ${standardError.toFixed(2)}`];
    const name = `${definition.method} ${definition.name}`;
    say(row([name, String(steps), ...measured, ...shares(reviews), seconds.toFixed(1)]));
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
${demo.learningRate}, beta ${demo.beta} in place of the usual ${USUAL_BETA}, ${demo.batchSize} pairs a step), equal steps on the same texts, and nothing else tuned for any of
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
if (only === "") writeFileSync(new URL("comparison.md", import.meta.url), text);
