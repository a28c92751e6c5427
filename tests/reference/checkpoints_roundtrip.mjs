/**
 * Writes what checkpoints_roundtrip.py then loads with transformers and peft, and reports what preftune reads of an adapter
 * that peft wrote. Run by that script after `npm run build`.
 *
 *   node tests/reference/checkpoints_roundtrip.mjs convert MODEL FOLDER     model to a sharded Hugging Face folder
 *   node tests/reference/checkpoints_roundtrip.mjs copy-adapter IN OUT      adapter read and written again
 */

import { writeCheckpoint } from "../../dist/checkpoints/huggingface.js";
import { openCheckpoint } from "../../dist/checkpoints/open.js";
import { readAdapter, writeAdapter } from "../../dist/checkpoints/peft.js";

const [command, from, to] = process.argv.slice(2);
if (command === "convert") {
  const checkpoint = await openCheckpoint(from);
  const { config, generationConfig, tokenizer } = checkpoint;
  const tensors = [...checkpoint.tensors.values()].map(({ name, shape }) => ({
    name,
    shape,
    read: () => checkpoint.read(name),
  }));
  writeCheckpoint(to, { config, generationConfig, tokenizer, tensors }, { maxShardBytes: 200_000_000 });
} else if (command === "copy-adapter") {
  writeAdapter(to, readAdapter(from));
} else {
  throw new Error(`unknown command ${command}`);
}
