/** Output heads that checkpoints have apart from the embedding, and those that they should not have. */

import type { Checkpoint } from "../checkpoints/checkpoint.ts";
import { CheckpointError } from "../errors.ts";
import type { LanguageModel } from "./model.ts";

/** What a language model's head is called where it is not the embedding. */
export const OWN_HEADS: ReadonlySet<string> = new Set(["lm_head.weight", "embed_out.weight"]);

/**
 * Throws CheckpointError where the embedding is to serve as head too, but the checkpoint has a head with other values: then its
 * configuration is wrong, whose `tie_word_embeddings` is true in some families when it is missing. Many a tied head is stored twice.
 */
export function refuseOtherHead(
  checkpoint: Checkpoint,
  { weights, headWeight }: LanguageModel,
  embedding: Float32Array,
): void {
  const own = [...OWN_HEADS].find((name) => checkpoint.tensors.has(name) && !weights.has(name));
  if (own === undefined || equal(checkpoint.read(own), embedding)) return;
  throw new CheckpointError(
    `${checkpoint.source}: has the output head ${JSON.stringify(own)}, whose values are not those of "${headWeight}", but by config.json the two are one. Set tie_word_embeddings to false in config.json.`,
  );
}

function equal(a: Float32Array, b: Float32Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
