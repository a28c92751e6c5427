// Trains this folder's model again from nothing: `npm run build && node examples/film-reviews/train-model.js`.
// The same machine makes the same weights again; another one may round differently.

import { rmSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { writeCheckpoint } from "../../dist/checkpoints/huggingface.js";
import { exampleTokenizer } from "../../dist/demo/example-files.js";
import { generationConfig, modelConfig } from "../../dist/demo/model.js";
import { pretrain } from "../../dist/demo/pretrain.js";
import { tokenizerFromFiles } from "../../dist/text/tokenizer.js";

const options = { steps: 6000, batchSize: 16, learningRate: 3e-3, warmupSteps: 50, seed: 0, evaluateEvery: 250 };

const started = performance.now();
const tokenizer = exampleTokenizer();
console.log(`training on ${options.steps * options.batchSize} conversations in ${options.steps} steps`);
const weights = await pretrain(tokenizerFromFiles(tokenizer), options, ({ step, loss, heldOutLoss }) => {
  const seconds = Math.round((performance.now() - started) / 1000);
  console.log(
    `step ${step}  loss ${loss.toFixed(3)}  held-out loss ${heldOutLoss.toFixed(4)} nats a token  ${seconds} s`,
  );
});

const folder = fileURLToPath(new URL("model/", import.meta.url));
const tensors = Object.entries(weights).map(([name, { dims, data }]) => ({ name, shape: dims, read: () => data }));
rmSync(folder, { recursive: true, force: true });
writeCheckpoint(folder, { config: modelConfig, generationConfig, tokenizer, tensors });
console.log(`wrote ${folder}`);
