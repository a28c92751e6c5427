// Peak memory of what opens a large model, against its weights in float32: they are to be held once.
//
//   npm run build && node bench/large-models.js [--shapes llama-3.2-1b,llama-3.1-8b] [--forms bf16,q8_0] [--folder DIR]
//
// Models have the shape of real ones, random weights and SmolLM2's tokenizer. They are written into the folder, which has to hold them
// (2.5 GB for a model of 1 billion parameters and 6.4 GB for 3 in bf16), and removed from it. A shape that can't fit this
// machine (llama-3.1-8b on most) is a file of the right size that takes no room on the disk: it is only to be refused.
import { spawnSync } from "node:child_process";
import {
  closeSync,
  existsSync,
  ftruncateSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { freemem, tmpdir } from "node:os";
import { join } from "node:path";
import { openCheckpoint } from "../dist/checkpoints/open.js";
import { modelFor } from "../dist/models/index.js";
import { parameterCount } from "../dist/models/weights.js";
import { beside, flags, head, row, SMOLLM2 } from "./support.js";

const values = flags({
  shapes: "llama-3.2-1b,llama-3.1-8b",
  forms: "bf16,q8_0",
  commands: "inspect,score,dpo,merge",
  folder: tmpdir(),
  tokenizer: SMOLLM2,
  threads: 2,
});

const llama3 = { architectures: ["LlamaForCausalLM"], model_type: "llama", vocab_size: 128256, rope_theta: 500000 };
const positions = { max_position_embeddings: 131072, rms_norm_eps: 1e-5, num_key_value_heads: 8, hidden_act: "silu" };
const scaling = {
  rope_type: "llama3",
  low_freq_factor: 1,
  high_freq_factor: 4,
  original_max_position_embeddings: 8192,
};
const shape = (hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, head_dim, factor, tied) => ({
  ...llama3,
  ...positions,
  ...{ hidden_size, intermediate_size, num_hidden_layers, num_attention_heads, head_dim },
  rope_scaling: { ...scaling, factor },
  tie_word_embeddings: tied,
});
const shapes = {
  "llama-3.2-1b": shape(2048, 8192, 16, 32, 64, 32, true),
  "llama-3.2-3b": shape(3072, 8192, 28, 24, 128, 32, true),
  "llama-3.1-8b": shape(4096, 14336, 32, 32, 128, 8, false),
  // So small that it only tries this script.
  tiny: { ...shape(64, 128, 2, 8, 64, 32, true), vocab_size: 1024 },
};

const scratch = mkdtempSync(join(values.folder, "preftune-large-"));
const sizeOf = (dims) => dims.reduce((a, b) => a * b, 1);

/** Writes a model folder in bf16. Without values its file is a hole. */
async function writeModel(folder, config, withValues) {
  mkdirSync(folder);
  const source = await openCheckpoint(values.tokenizer);
  source[Symbol.dispose]();
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  writeFileSync(join(folder, "tokenizer.json"), JSON.stringify(source.tokenizer.tokenizer));
  writeFileSync(join(folder, "tokenizer_config.json"), JSON.stringify(source.tokenizer.config));
  const { weights } = modelFor({ config, source: folder });
  let end = 0;
  const entries = [...weights].map(([name, dims]) => {
    const begin = end;
    end += 2 * sizeOf(dims);
    return [name, { dtype: "BF16", shape: dims, data_offsets: [begin, end] }];
  });
  const text = JSON.stringify(Object.fromEntries(entries));
  const header = Buffer.from(text.padEnd(8 * Math.ceil(text.length / 8)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  const file = openSync(join(folder, "model.safetensors"), "w");
  writeSync(file, length);
  writeSync(file, header);
  if (withValues) for (const dims of weights.values()) writeValues(file, dims);
  ftruncateSync(file, 8 + header.length + end);
  closeSync(file);
}

/** Matrices' values lie within 0.04 on either side of 0, gains are 1. */
function writeValues(file, dims) {
  const block = dims.length === 1 ? ones : random;
  for (let left = 2 * sizeOf(dims); left > 0; ) left -= writeSync(file, block, 0, Math.min(left, block.length));
}
const bits = Float32Array.from({ length: 2 ** 22 }, () => 0.08 * Math.random() - 0.04);
const random = Buffer.from(Uint16Array.from(new Uint32Array(bits.buffer), (value) => value >>> 16).buffer);
const ones = Buffer.from(new Uint16Array(2 ** 14).fill(0x3f80).buffer);

/** Runs the command line in a process of its own. */
function preftune(...words) {
  const started = performance.now();
  const { status, signal, stdout, stderr } = spawnSync(
    "node",
    ["--import", beside("peak.js"), beside("../dist/cli/main.js"), ...words],
    { encoding: "utf8" },
  );
  const [, peak] = /\npeak (\d+)\n$/.exec(stderr) ?? [];
  const said = stderr.replace(/\npeak \d+\n$/, "").trim();
  return { status: status ?? signal, peak: Number(peak), seconds: (performance.now() - started) / 1000, said, stdout };
}

const pair = {
  prompt: "Where is the film of the old house by the sea",
  chosen: " in the town",
  rejected: " nobody has seen it",
};
const data = join(scratch, "pairs.jsonl");
writeFileSync(data, `${JSON.stringify(pair)}\n`.repeat(4));
const common = ["--data", data, "--threads", String(values.threads)];
const commands = {
  inspect: (model) => ["inspect", "model", model, "--no-time"],
  score: (model) => ["score", "--model", model, ...common, "--output", join(scratch, "scores.jsonl")],
  dpo: (model) => [
    ...["dpo", "--model", model, ...common, "--output", join(scratch, "run")],
    ...["--batch-size", "2", "--max-steps", "2", "--lora-rank", "4", "--sample-prompts", "0"],
  ],
  // Of what dpo has left; computed once with the adapter on the model and once merged.
  merge: () => ["export", "--run", join(scratch, "run"), "--dtype", "bf16", "--output", join(scratch, "merged")],
};

function measure(name, form, path, size) {
  const file = statSync(form === "bf16" ? join(path, "model.safetensors") : path).size;
  for (const command of values.commands.split(",")) {
    if (command === "merge" && !existsSync(join(scratch, "run"))) continue;
    const { status, peak, seconds, said, stdout } = preftune(...commands[command](path));
    const [, planned = ""] = /memory +about ([\d.]+ [GM]B)/.exec(stdout) ?? [];
    const [gigabytes, ratio] = [(peak / 1e9).toFixed(2), (peak / size).toFixed(2)];
    const sizes = [(file / 1e9).toFixed(1), (size / 1e9).toFixed(1)];
    console.log(row([name, form, ...sizes, command, gigabytes, ratio, planned, seconds.toFixed(1), status]));
    if (status !== 0) console.log(`  ${said}`);
    rmSync(join(scratch, "merged"), { recursive: true, force: true });
  }
  rmSync(join(scratch, "run"), { recursive: true, force: true });
}

const columns = ["file, GB", "float32, GB", "command", "peak, GB", "of float32", "planned", "s", "exit"];
console.log(head(["shape", "form", ...columns]));
try {
  for (const name of values.shapes.split(",")) {
    const config = shapes[name];
    const size = 4 * parameterCount(modelFor({ config, source: name }));
    const fits = 1.2 * size < freemem();
    const folder = join(scratch, name);
    await writeModel(folder, config, fits);
    for (const form of values.forms.split(",")) {
      if (form === "bf16") {
        measure(name, form, folder, size);
      } else if (fits) {
        const file = join(scratch, `${name}.${form}.gguf`);
        const words = ["--model", folder, "--format", "gguf", "--dtype", form, "--output", file];
        const { status, peak, said } = preftune("export", ...words);
        if (status !== 0) throw new Error(said);
        const [gigabytes, ratio] = [(peak / 1e9).toFixed(2), (peak / size).toFixed(2)];
        console.log(row([name, form, "", "", "export", gigabytes, ratio, "", "", status]));
        measure(name, form, file, size);
        rmSync(file);
      }
    }
    rmSync(folder, { recursive: true });
  }
} finally {
  rmSync(scratch, { recursive: true });
}
