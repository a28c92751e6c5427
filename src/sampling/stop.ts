/** Which tokens end a model's answer. */

import type { Checkpoint, Json } from "../checkpoints/checkpoint.ts";
import type { Tokenizer } from "../text/tokenizer.ts";

/**
 * The end tokens that generation_config.json names (config.json where it names none), and the tokenizer's own: for a chat
 * model that is the end of a turn, which the configuration of many a model forgets.
 */
export function stopTokens(
  { config, generationConfig }: Pick<Checkpoint, "config" | "generationConfig">,
  { eosId }: Pick<Tokenizer, "eosId">,
): Set<number> {
  const named = tokenIds(generationConfig?.eos_token_id);
  const configured = named.length > 0 ? named : tokenIds(config.eos_token_id);
  return new Set(eosId === undefined ? configured : [...configured, eosId]);
}

/** A configuration writes one id, several, or null for none. */
function tokenIds(value: Json | undefined): number[] {
  return (Array.isArray(value) ? value : [value]).filter((id) => typeof id === "number");
}
