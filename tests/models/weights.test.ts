/** Reading weights takes long where there are many; meanwhile signals are heard. */

import { describe, expect, it } from "vitest";
import type { Checkpoint } from "../../src/checkpoints/checkpoint.ts";
import { loadWeights } from "../../src/models/index.ts";
import { tinyModel, tinyWeights } from "../support/tiny-model.ts";
import { weightsOnly } from "./golden.ts";

/** A checkpoint each of whose weights takes 20 ms, and how many have been read. */
function slowCheckpoint(): { readonly checkpoint: Checkpoint; reads(): number } {
  const plain = weightsOnly(tinyWeights());
  let reads = 0;
  const read = (name: string) => {
    reads++;
    const end = performance.now() + 20;
    while (performance.now() < end);
    return plain.read(name);
  };
  return { checkpoint: { ...plain, read }, reads: () => reads };
}

describe("reading weights", () => {
  it("lets through what waits, so that it can be stopped on the way", async () => {
    const { checkpoint, reads } = slowCheckpoint();
    const controller = new AbortController();
    setTimeout(() => controller.abort(new Error("stop")), 1);
    await expect(loadWeights(checkpoint, tinyModel, controller.signal)).rejects.toThrow("stop");
    expect(reads()).toBeGreaterThan(0);
    expect(reads()).toBeLessThan(tinyModel.weights.size / 2);
  });

  it("gives all of them, each once", async () => {
    const { checkpoint, reads } = slowCheckpoint();
    expect(await loadWeights(checkpoint, tinyModel)).toEqual(tinyWeights());
    expect(reads()).toBe(tinyModel.weights.size);
  });
});
