/** A few hundred of the files that bench/mutations.js makes by the ten thousand. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { mutated, randomFrom } from "../../bench/mutations/mutate.js";
import { targetsOf, verdictOf, writeTarget } from "../../bench/mutations/targets.js";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { readAdapter } from "../../src/checkpoints/peft.ts";
import { readRows } from "../../src/data/files/read.ts";
import { loadPreferences } from "../../src/data/load.ts";
import { PreftuneError } from "../../src/errors.ts";
import { loadWeights, modelFor } from "../../src/models/index.ts";
import { tokenizerFromFiles } from "../../src/text/tokenizer.ts";
import { scratchFolder } from "../support/scratch.ts";

const MUTATIONS = 8;

const targets = targetsOf({
  openCheckpoint,
  readAdapter,
  loadPreferences,
  readRows,
  loadWeights,
  modelFor,
  tokenizerFromFiles,
});
const { at } = scratchFolder();
const isRefusal = (error: unknown) => error instanceof PreftuneError;

describe("a file with something changed is read, or refused by name; as it was, it is read", () => {
  test.each(targets.map((target, i) => [target.name, target, i] as const))("%s", async (_, target, i) => {
    const folder = at(String(i));
    writeTarget(folder, target);
    await target.open(folder);
    for (let seed = 0; seed < MUTATIONS; seed++) {
      const bytes = mutated(target.files[target.mutated]!, randomFrom(seed * targets.length + i), target.isText);
      writeFileSync(join(folder, target.mutated), bytes);
      expect(await verdictOf(target, folder, isRefusal), `seed ${seed}`).toBeUndefined();
    }
  });
});

test("a Parquet page that has no end is given up after seconds of silence, however long a whole file may take", async () => {
  const { files, name } = targets.find((target) => target.name === "nested-v2.parquet")!;
  const path = at(name);
  writeFileSync(path, mutated(files[name]!, randomFrom(4_005_130), false));
  const start = performance.now();
  await expect(readRows(path).next()).rejects.toThrow("its rows have no end");
  expect(performance.now() - start).toBeLessThan(10_000);
});
