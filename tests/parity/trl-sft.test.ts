/**
 * Supervised fine-tuning against TRL's SFTTrainer (tests/reference/trl_sft.py), which accumulates over micro-batches: the same
 * start, the same rows in the same order. Loss within 1e-3 relative at every step, and the same weights at the end.
 */

import { join } from "node:path";
import { afterAll, describe, it } from "vitest";
import type { Metrics } from "../../src/training/observer.ts";
import { sft } from "../../src/training/tuners.ts";
import { Distances } from "../support/distances.ts";
import {
  expectParameters,
  expectSteps,
  golden,
  type TrlParameters,
  type TrlSettings,
  trlOptions,
} from "../support/parity.ts";
import { scratchFolder } from "../support/scratch.ts";
import { HH_PAIRS, STORIES, sharedMissing } from "../support/shared.ts";

interface Golden {
  readonly settings: TrlSettings & { readonly loss: string };
  readonly steps: readonly Metrics[];
  readonly parameters: TrlParameters;
}

const { at } = scratchFolder();
const distances = new Distances("sft");
afterAll(() => distances.write());

describe.skipIf(sharedMissing).each(["nll", "dft"])("%s (skipped where ../shared is absent)", (name) => {
  const { settings, steps: expected, parameters } = golden<Golden>(`sft-${name}`);

  it("takes TRL's steps", { timeout: 120_000 }, async () => {
    const steps: Metrics[] = [];
    const { result } = await sft(
      {
        ...trlOptions(settings),
        model: STORIES,
        data: HH_PAIRS,
        output: at(name),
        loss: settings.loss,
        tuning: "full",
      },
      { observer: { onStep: (metrics) => steps.push(metrics) } },
    );
    expectSteps(steps, expected);
    const losses = { found: steps.map(({ loss }) => loss!), expected: expected.map(({ loss }) => loss!) };
    distances.add({ name: `sft ${name}`, method: "sft", loss: [name], options: { loss: name } }, losses);
    expectParameters(join(result!, "model.safetensors"), parameters);
  });
});
