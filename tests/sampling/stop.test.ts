import { expect, test } from "vitest";
import { stopTokens } from "../../src/sampling/index.ts";

test("a model stops where generation_config.json says, and at its tokenizer's own end token", () => {
  const config = { eos_token_id: 5 };
  expect(stopTokens({ config, generationConfig: { eos_token_id: [7, 8] } }, { eosId: 9 })).toEqual(new Set([7, 8, 9]));
  expect(stopTokens({ config, generationConfig: { eos_token_id: 7 } }, { eosId: 7 })).toEqual(new Set([7]));
});

test("config.json speaks where there is no generation_config.json, or it names no end token", () => {
  const config = { eos_token_id: 5 };
  expect(stopTokens({ config }, { eosId: undefined })).toEqual(new Set([5]));
  expect(stopTokens({ config, generationConfig: { eos_token_id: null } }, { eosId: undefined })).toEqual(new Set([5]));
});

test("without any end token nothing stops a sequence but its length", () => {
  expect(stopTokens({ config: { eos_token_id: null } }, { eosId: undefined })).toEqual(new Set());
});
