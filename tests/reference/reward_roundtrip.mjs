/**
 * Trains the reward models that reward_roundtrip.py loads with transformers, and writes what preftune says of them. Run by that
 * script after `npm run build`.
 *
 *   node tests/reference/reward_roundtrip.mjs MODEL DATA FOLDER '{"tuning": "full", ...}'
 *
 * FOLDER gets run/model, and rewards.json: of each pair the token ids and the rewards, chosen first.
 */

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { openCheckpoint } from "../../dist/checkpoints/open.js";
import { loadPreferences } from "../../dist/data/load.js";
import { reward, scoreRewards } from "../../dist/index.js";
import { tokenizerFromFiles } from "../../dist/text/tokenizer.js";

const [model, data, folder, settings] = process.argv.slice(2);
const limits = { maxLength: 128, truncation: "drop", limit: 16 };
const { result } = await reward({
  ...{ model, data, output: join(folder, "run"), ...limits, batchSize: 8, learningRate: 1e-3 },
  ...JSON.parse(settings),
});
const rewards = [];
await scoreRewards({ model: result, data, ...limits }, (row) => rewards.push(row.reward));
const checkpoint = await openCheckpoint(result);
const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
const { examples } = await loadPreferences({ files: data, tokenizer, ...limits, maxPromptLength: 64 });
const rows = examples.flatMap(({ prompt, completions }) => completions.map((completion) => [...prompt, ...completion]));
writeFileSync(join(folder, "rewards.json"), JSON.stringify(rows.map((ids, i) => ({ ids, reward: rewards[i] }))));
