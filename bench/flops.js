// Floating-point operations of a training step, counted from the very programs that run: 2 m n k a matrix product.
import { openCheckpoint } from "../dist/checkpoints/open.js";
import { loadPreferences } from "../dist/data/load.js";
import { packExamples, packedLength, planMicroBatches } from "../dist/data/microbatch.js";
import { modelFor } from "../dist/models/index.js";
import { evaluateDim, onnxFused, optimize, topologicalOrder } from "../dist/tensor/index.js";
import { tokenizerFromFiles } from "../dist/text/tokenizer.js";
import { methods, objectiveOf, resolveConfig } from "../dist/training/methods.js";
import { loraPolicy } from "../dist/training/policy.js";
import { scoreProgram } from "../dist/training/step.js";

/** The matrix products of a program as functions from its sizes to their cost. */
function products(program) {
  const { outputs } = optimize(program, { fused: onnxFused });
  return topologicalOrder(Object.values(outputs))
    .filter((node) => node.op === "matmul")
    .map((node) => {
      const inner = node.inputs[0].shape.at(node.attributes.transA ? -2 : -1);
      return [2, inner, ...node.outputs[0].shape];
    });
}

const cost = (matrices, sizes) =>
  matrices.reduce((total, dims) => total + dims.reduce((n, dim) => n * evaluateDim(dim, sizes), 1), 0);

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
  const step = products(policy.step(objectiveOf(config)));
  const reference = products(scoreProgram(model, policy.referenceParameters));
  let total = 0;
  const steps = examples.length / config.batchSize;
  for (let s = 0; s < steps; s++) {
    const batch = examples.slice(s * config.batchSize, (s + 1) * config.batchSize);
    for (const indices of planMicroBatches(batch.map(packedLength), config.microBatchTokens)) {
      const { tokens, rows } = packExamples(indices.map((i) => batch[i]));
      const sizes = new Map([
        ["T", tokens.length],
        ["R", rows.length],
        ["E", indices.length],
        ["C", 2 * indices.length],
      ]);
      total += cost(step, sizes) + cost(reference, sizes);
    }
  }
  checkpoint[Symbol.dispose]();
  return total / steps;
}
