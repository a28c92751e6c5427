// Floating-point operations of a training step, counted from the very programs that run: 2 m n k a matrix product.
import { tuningOf } from "../dist/inspection/model.js";
import { microBatchSizes } from "../dist/training/memory/memory.js";
import { objectiveOf } from "../dist/training/methods.js";
import { microBatches, openPairs } from "./support.js";

/**
 * Mean operations of a DPO run's optimizer step: the reference's forward pass and the step itself.
 * @param {Parameters<typeof openPairs>[0]} settings
 */
export async function stepFlops(settings) {
  const { config, checkpoint, model, examples } = await openPairs(settings);
  const { cost } = tuningOf(model, config.tuning, config.loraRank, objectiveOf(config));
  let total = 0;
  for (let first = 0; first < examples.length; first += config.batchSize) {
    for (const batch of microBatches(examples.slice(first, first + config.batchSize), config)) {
      const sizes = microBatchSizes(batch);
      total += cost.step.flops(sizes) + (cost.reference?.flops(sizes) ?? 0);
    }
  }
  checkpoint[Symbol.dispose]();
  return total / (examples.length / config.batchSize);
}
