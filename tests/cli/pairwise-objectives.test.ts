/** Objectives over pairs and what changes them, as flags of `preftune dpo`. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { scratchFolder } from "../support/scratch.ts";
import { writePairs, writeTinyModel } from "../support/tiny-model.ts";
import { preftune } from "./support.ts";

const { at } = scratchFolder();
const model = writeTinyModel(at("model"));
const data = writePairs(at("pairs.jsonl"), 4);

/** One step of tuning with these flags, and its configuration where there is one. */
async function run(name: string, ...flags: string[]) {
  const output = at(name);
  const common = ["--model", model, "--data", data, "--max-steps", "1", "--sample-prompts", "0", "--threads", "1"];
  const ended = await preftune("dpo", ...common, "--quiet", "--output", output, ...flags);
  const config = ended.code === 0 ? JSON.parse(readFileSync(join(output, "config.json"), "utf8")) : undefined;
  return { ...ended, config };
}

test("several with weights", async () => {
  const { code, err, config } = await run("sum", "--loss", "sigmoid,bco_pair,sft", "--loss-weights", "0.8,0.2,1");
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(config).toMatchObject({ loss: ["sigmoid", "bco_pair", "sft"], lossWeights: [0.8, 0.2, 1], beta: 0.1 });
});

test("f-divergence, DPO-positive, LD-DPO, RPO and smoothing at once", async () => {
  const { code, err, config } = await run(
    "all",
    ...["--f-divergence", "alpha_divergence", "--f-alpha", "0.3", "--dpop-lambda", "5", "--ld-alpha", "0.5"],
    ...["--rpo-alpha", "0.2", "--label-smoothing", "0.1"],
  );
  expect({ code, err }).toEqual({ code: 0, err: "" });
  expect(config).toMatchObject({ fDivergence: "alpha_divergence", fAlpha: 0.3, dpopLambda: 5, ldAlpha: 0.5 });
  expect(config).toMatchObject({ rpoAlpha: 0.2, labelSmoothing: 0.1 });
});

test("an option that the objective can't use is refused by name", async () => {
  const { code, err } = await run("idle", "--loss", "nca_pair", "--f-divergence", "forward_kl");
  expect(code).not.toBe(0);
  expect(err).toContain("--f-divergence has no effect with --loss nca_pair. It is an option of ");
});

test("an offset needs rows with a margin, and says which row has none", async () => {
  const { code, err } = await run("offset", "--offset-alpha", "0.5");
  expect(code).not.toBe(0);
  expect(err).toContain(`${data} line 1: the row has no \`margin\`, nor the scores`);
});
