/** Generation: prompts as token ids in, continuations as token ids out. */

export { type GenerateOptions, Generator } from "./generator.ts";
export type { Generation } from "./session.ts";
export { stopTokens } from "./stop.ts";
