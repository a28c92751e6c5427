/** GGUF files as llama.cpp's converter lays them out: tests/reference/checkpoints_gguf_families.py. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { openGguf } from "../../src/checkpoints/gguf.ts";
import { openCheckpoint } from "../../src/checkpoints/open.ts";
import { checkpointParameters, loadWeights, modelFor } from "../../src/models/index.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { families, familyWeights } from "../models/families.ts";
import { compileScorer } from "../models/golden.ts";
import { expectClose } from "../support/programs.ts";
import { messageOf, temporaryFolder } from "./fixtures.ts";

const FOLDER = fileURLToPath(new URL("../golden/checkpoints/families/", import.meta.url));
const VARIANTS: Readonly<Record<string, string>> = {
  "qwen2.gguf": "qwen2",
  "qwen3-00001-of-00003.gguf": "qwen3",
  "gemma2.gguf": "gemma2",
  "gemma3.gguf": "gemma3-deep",
  "phi3.gguf": "phi3-short",
  "olmo2.gguf": "olmo2",
  "smollm3.gguf": "smollm3-deep",
  "gpt2.gguf": "gpt2",
  "gptneox.gguf": "gpt_neox",
};

describe.each(Object.entries(VARIANTS))("%s", (name, variant) => {
  const golden = families.variants[variant]!;

  test("has the weights of the Hugging Face model under its names", () => {
    using checkpoint = openGguf(join(FOLDER, name));
    const shapes = [...checkpoint.tensors].map(([key, { shape }]) => [key, shape]);
    expect(Object.fromEntries(shapes)).toEqual(golden.shapes);
    const expected = familyWeights(new Map(Object.entries(golden.shapes)));
    // Gemma's norms were stored plus one, which costs them their last bit or two.
    for (const [key, { data }] of Object.entries(expected)) {
      expectClose(checkpoint.read(key), data as Float32Array, 1.2e-7, { what: key });
    }
  });

  test("says what transformers says, so its settings are the same", async () => {
    using checkpoint = await openCheckpoint(join(FOLDER, name));
    const model = modelFor(checkpoint);
    expect(model.family).toBe(golden.config.model_type);
    expect(model.maxPositions).toBe(golden.config.max_position_embeddings ?? golden.config.n_positions);
    const score = await compileScorer({ model, parameters: checkpointParameters(model.weights), runtime: nodeRuntime });
    const scored = await score(families.examples, await loadWeights(checkpoint, model));
    expectClose(scored.tokens, golden.logps.flat(), 1e-5);
  });
});

describe("a split file", () => {
  const PARTS = readdirSync(FOLDER).filter((name) => name.startsWith("qwen3"));

  /** A folder with some of the parts, under the same or other names. */
  function partsAt(names: Readonly<Record<string, string>>): string {
    const folder = temporaryFolder();
    for (const [from, to] of Object.entries(names)) copyFileSync(join(FOLDER, from), join(folder, to));
    return folder;
  }
  const refusal = (path: string) => messageOf(() => openGguf(path));

  test("is read whole whichever part is given", () => {
    const whole = PARTS.map((name) => {
      using checkpoint = openGguf(join(FOLDER, name));
      return [checkpoint.config, [...checkpoint.tensors.keys()], checkpoint.read("model.norm.weight")];
    });
    expect(whole[0]![1]).toHaveLength(Object.keys(families.variants.qwen3!.shapes).length);
    expect(whole.slice(1)).toEqual([whole[0], whole[0]]);
  });

  test("with a part missing, under another name, or of another model is refused", () => {
    const [first, second, third] = PARTS as [string, string, string];
    expect(refusal(join(partsAt({ [first]: first, [third]: third }), first))).toMatch(
      /is one of 3 parts, and the part .*qwen3-00002-of-00003\.gguf is missing\. Copy or download it too\.$/,
    );
    expect(refusal(join(partsAt({ [first]: "model.gguf" }), "model.gguf"))).toMatch(
      /model\.gguf: is one of 3 parts, but its name does not say which/,
    );
    expect(refusal(join(partsAt({ [first]: first, [second]: third, [third]: second }), first))).toMatch(
      /qwen3-00002-of-00003\.gguf: says that it is part 3 of 3, not 2 of 3; the parts are not of one model\.$/,
    );
    const folder = partsAt({ [first]: first, [second]: second, [third]: third });
    const bytes = readFileSync(join(folder, second));
    const name = bytes.indexOf("blk.");
    bytes.write("blq.", name);
    writeFileSync(join(folder, second), bytes);
    expect(refusal(join(folder, first))).toMatch(/tensor "blq\..*" is not part of the Qwen 3 architecture/);
  });
});
