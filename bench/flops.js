// Floating-point operations of a training step, counted from the very programs that run: 2 m n k a matrix product.
import { openCheckpoint } from "../dist/checkpoints/open.js";
import { loadPreferences } from "../dist/data/load.js";
import { packExamples, packedLength, planMicroBatches } from "../dist/data/microbatch.js";
import { modelFor } from "../dist/models/index.js";
import { tokenizerFromFiles } from "../dist/text/tokenizer.js";
import { microBatchSizes, stepCost } from "../dist/training/memory/memory.js";
import { methods, objectiveOf, resolveConfig } from "../dist/training/methods.js";
import { loraPolicy } from "../dist/training/policy/policy.js";

/** Mean operations of an optimizer step with a fresh LoRA adapter: the reference's forward pass and the step itself. */
export async function stepFlops(options) {
  const config = resolveConfig(methods.dpo, { ...options, output: "unused" });
  const checkpoint = await openCheckpoint(config.model);
  const model = modelFor(checkpoint);
  const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
  const { examples } = await loadPreferences({ ...config, files: config.data, tokenizer });
  const adapter = {
    rank: config.loraRank,
    alpha: config.loraAlpha,
    rankStabilized: false,
    targets: "all-linear",
    seed: 0,
  };
  const policy = loraPolicy(model, {}, adapter);
  const objective = objectiveOf(config);
  const { step, reference } = stepCost(policy, policy.step(objective), objective);
  let total = 0;
  const steps = examples.length / config.batchSize;
  for (let s = 0; s < steps; s++) {
    const batch = examples.slice(s * config.batchSize, (s + 1) * config.batchSize);
    for (const indices of planMicroBatches(batch.map(packedLength), config.microBatchTokens)) {
      const { tokens, rows } = packExamples(indices.map((i) => batch[i]));
      const count = { tokens: tokens.length, rows: rows.length, examples: indices.length, completions: 2 };
      const sizes = microBatchSizes({ ...count, positions: model.maxPositions });
      total += step.flops(sizes) + reference.flops(sizes);
    }
  }
  checkpoint[Symbol.dispose]();
  return total / steps;
}
