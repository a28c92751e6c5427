/** Real models and data beside the checkout; tests that need them are skipped where they are not. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const shared = (path: string) => fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));

export const SMOLLM2 = shared("models/SmolLM2-135M-Instruct.Q4_1.gguf");
export const STORIES = shared("models/stories260K");
/** 2,312 preference pairs, the harmless part of HH-RLHF's test set. */
export const HH_PAIRS = shared("data/hh-rlhf-harmless-base-test.jsonl.gz");

/** Rows of Alpaca's shape. */
export const POLITE = shared("data/polite-instructions.json");

export const sharedMissing = ![SMOLLM2, STORIES, HH_PAIRS, POLITE].every((path) => existsSync(path));
