/**
 * The program that generation runs: T new tokens attend to S cached ones and to each other, and each wanted row yields
 * the logits of the token after it. It serves the prompt (S = 0) and every later token alike.
 */

import type { LanguageModel } from "../models/index.ts";
import type { Parameters } from "../models/parameters.ts";
import { rotaryInputs, rowLogits } from "../models/scoring.ts";
import { input, logSumExp, type Program, reshape } from "../tensor/index.ts";

/** What is cached of a token: a key and a value in each layer. */
export function cacheParts(layers: number): string[] {
  return Array.from({ length: layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat();
}

export const PAST_POSITIONS = "past.positions";
export const pastInput = (part: string): string => `past.${part}`;
export const ownOutput = (part: string): string => `own.${part}`;

/**
 * Builds the program. Inputs besides the parameters: "tokens", "positions" [T], "mask" [T, S + T], "rows" [R], the rotary
 * tables, the past of each cache part [S, cacheWidth], and its positions [S] where the model has sliding windows. Outputs: "logits" [R, V], "logNormalizers" [R] (their log-sum-exp),
 * and of each cache part the new tokens' own [T, cacheWidth].
 */
export function decodeProgram(model: LanguageModel, parameters: Parameters): Program {
  const past = (part: string) => input(pastInput(part), ["S", model.cacheWidth]);
  const { hidden, cache } = model.forward(parameters, {
    tokens: input("tokens", ["T"], "int64"),
    positions: input("positions", ["T"], "int64"),
    mask: input("mask", ["T", "S+T"]),
    rows: input("rows", ["R"], "int64"),
    rotary: rotaryInputs(model.rotaryTables(1).width),
    past: Array.from({ length: model.layers }, (_, layer) => ({
      key: past(`${layer}.key`),
      value: past(`${layer}.value`),
    })),
    pastPositions: input(PAST_POSITIONS, ["S"], "int64"),
  });
  const logits = rowLogits(model, hidden, parameters.tensor(model.headWeight));
  const own = cache.flatMap(({ key, value }, layer) => [
    [ownOutput(`${layer}.key`), key] as const,
    [ownOutput(`${layer}.value`), value] as const,
  ]);
  return { outputs: { logits, logNormalizers: reshape(logSumExp(logits), ["R"]), ...Object.fromEntries(own) } };
}
