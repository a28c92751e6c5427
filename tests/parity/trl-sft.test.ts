/**
 * Supervised fine-tuning against TRL's SFTTrainer (tests/reference/trl_sft.py), which accumulates over micro-batches: the same
 * start, the same rows in the same order. Loss within 1e-3 relative at every step, and the same weights at the end.
 */

import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { SafetensorsFile } from "../../src/checkpoints/safetensors.ts";
import type { Metrics } from "../../src/training/observer.ts";
import { sft } from "../../src/training/tuners.ts";
import { Distances } from "../support/parity.ts";

const shared = new URL("../../../shared/", import.meta.url);
const data = new URL("data/hh-rlhf-harmless-base-test.jsonl.gz", shared).pathname;
const model = new URL("models/stories260K", shared).pathname;

interface Golden {
  readonly settings: {
    readonly loss: string;
    readonly steps: number;
    readonly batch_size: number;
    readonly max_length: number;
    readonly learning_rate: number;
  };
  readonly steps: readonly Metrics[];
  readonly parameters: Readonly<Record<string, { sum: number; norm: number; first: number[]; change: number }>>;
}

const scratch = mkdtempSync(join(tmpdir(), "preftune-parity-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const distances = new Distances("sft");
afterAll(() => distances.write());

describe.skipIf(!existsSync(model) || !existsSync(data)).each(["nll", "dft"])(
  "%s (skipped where ../shared is absent)",
  (name) => {
    const url = new URL(`../golden/parity/sft-${name}.json`, import.meta.url);
    const golden = JSON.parse(readFileSync(url, "utf8")) as Golden;
    const { settings } = golden;

    it("takes TRL's steps", { timeout: 120_000 }, async () => {
      const steps: Metrics[] = [];
      const { result } = await sft(
        {
          model,
          data,
          output: join(scratch, name),
          loss: settings.loss,
          tuning: "full",
          limit: settings.steps * settings.batch_size,
          shuffle: false,
          batchSize: settings.batch_size,
          learningRate: settings.learning_rate,
          maxLength: settings.max_length,
          truncation: "drop",
          samplePrompts: 0,
        },
        { observer: { onStep: (metrics) => steps.push(metrics) } },
      );
      expect(steps.length).toBe(golden.steps.length);
      steps.forEach((found, i) => {
        const expected = golden.steps[i]!;
        const where = `step ${i + 1}`;
        expect(found.learning_rate, where).toBeCloseTo(expected.learning_rate!, 12);
        expect(Math.abs(found.loss! / expected.loss! - 1), where).toBeLessThan(1e-3);
        expect(Math.abs(found.grad_norm! / expected.grad_norm! - 1), where).toBeLessThan(1e-2);
      });
      const losses = { found: steps.map(({ loss }) => loss!), expected: golden.steps.map(({ loss }) => loss!) };
      distances.add({ name: `sft ${name}`, method: "sft", loss: [name], options: { loss: name } }, losses);
      using weights = new SafetensorsFile(join(result!, "model.safetensors"));
      for (const [tensor, expected] of Object.entries(golden.parameters)) {
        const norm = Math.sqrt(weights.read(tensor).reduce((total, x) => total + x * x, 0));
        expect(Math.abs(norm - expected.norm), tensor).toBeLessThan(0.02 * expected.change + 1e-6 * expected.norm);
      }
    });
  },
);
