/** A language model on disk as a reward model with a given head. */

import { writeCheckpoint } from "../../src/checkpoints/huggingface.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { modelFor, withRewardHead } from "../../src/models/index.ts";
import { mergedWeights } from "../../src/models/merge.ts";
import { REWARD_HEAD } from "../../src/models/reward.ts";

/** Writes the reward model, padded with another token than preftune would choose where `padToken` says so. */
export async function writeRewardModel(
  folder: string,
  { model, head, padToken }: { model: string; head: readonly number[]; padToken?: number },
): Promise<string> {
  using base = await openCheckpoint(model);
  const checkpoint = withRewardHead(base, modelFor(base), 0);
  const tensors = mergedWeights(checkpoint, modelFor(checkpoint)).map((tensor) =>
    tensor.name === REWARD_HEAD ? { ...tensor, read: () => Float32Array.from(head) } : tensor,
  );
  const config = padToken === undefined ? checkpoint.config : { ...checkpoint.config, pad_token_id: padToken };
  writeCheckpoint(folder, { config, tokenizer: checkpoint.tokenizer, tensors });
  return folder;
}
