/** Every parser of files with a small valid file, and everything that preftune does with what such a file holds. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const at = (path) => new URL(`../../${path}`, import.meta.url);
const example = (name) => readFileSync(at(`examples/film-reviews/model/${name}`));
const golden = (name) => readFileSync(at(`tests/golden/${name}`));

/** A float32 safetensors file of these tensors. */
function safetensors(shapes) {
  let end = 0;
  const header = { __metadata__: { format: "pt" } };
  for (const [name, shape] of Object.entries(shapes)) {
    const begin = end;
    end += 4 * shape.reduce((a, b) => a * b, 1);
    header[name] = { dtype: "F32", shape, data_offsets: [begin, end] };
  }
  const json = Buffer.from(JSON.stringify(header));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, json, Buffer.alloc(end, 0x3d)]);
}

const config = {
  ...JSON.parse(example("config.json")),
  hidden_size: 8,
  intermediate_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  num_key_value_heads: 1,
  head_dim: 4,
  rope_scaling: { rope_type: "yarn", factor: 2, original_max_position_embeddings: 128 },
};
const layer = (name) => `model.layers.0.${name}.weight`;
const weights = {
  "model.embed_tokens.weight": [1024, 8],
  [layer("self_attn.q_proj")]: [8, 8],
  [layer("self_attn.k_proj")]: [4, 8],
  [layer("self_attn.v_proj")]: [4, 8],
  [layer("self_attn.o_proj")]: [8, 8],
  [layer("mlp.gate_proj")]: [8, 8],
  [layer("mlp.up_proj")]: [8, 8],
  [layer("mlp.down_proj")]: [8, 8],
  [layer("input_layernorm")]: [8],
  [layer("post_attention_layernorm")]: [8],
  "model.norm.weight": [8],
};
const json = (value) => Buffer.from(`${JSON.stringify(value, null, 1)}\n`);

const modelFiles = {
  "config.json": json(config),
  "generation_config.json": example("generation_config.json"),
  "tokenizer.json": example("tokenizer.json"),
  "tokenizer_config.json": example("tokenizer_config.json"),
  "chat_template.jinja": example("chat_template.jinja"),
  "model-00001-of-00001.safetensors": safetensors(weights),
  "model.safetensors.index.json": json({
    metadata: { total_size: 1 },
    weight_map: Object.fromEntries(Object.keys(weights).map((name) => [name, "model-00001-of-00001.safetensors"])),
  }),
};
const lora = "base_model.model.model.layers.0.self_attn.q_proj.lora_";
const adapterFiles = {
  "adapter_config.json": json({
    peft_type: "LORA",
    r: 2,
    lora_alpha: 4,
    bias: "none",
    target_modules: ["q_proj"],
    use_rslora: true,
  }),
  "adapter_model.safetensors": safetensors({ [`${lora}A.weight`]: [2, 8], [`${lora}B.weight`]: [8, 2] }),
};

const messages = (text) => [{ role: "user", content: text }];
const rows = [
  { prompt: "Is it good?", chosen: "Yes, it is.", rejected: "No." },
  { prompt: "How\nlong?", chosen: 'Two "hours".', rejected: "A <b>day</b> &amp; a night." },
  {
    prompt: messages("Hi"),
    chosen: [{ role: "assistant", content: "Hello" }],
    rejected: [{ role: "assistant", content: "Bye", tool_calls: [] }],
  },
  { chosen: "\n\nHuman: Hi\n\nAssistant: Hello.", rejected: "\n\nHuman: Hi\n\nAssistant: No." },
];
const lines = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(""));
const table = (separator) =>
  Buffer.from(
    ["prompt", "chosen", "rejected"]
      .join(separator)
      .concat("\n", ["Why?", '"a ""b"", c"', "no"].join(separator), "\n", ['"x\ny"', "1", "2"].join(separator), "\n"),
  );

const dataFiles = {
  "rows.jsonl": lines,
  "rows.json": json(rows.slice(0, 2)),
  "rows.csv": table(","),
  "rows.tsv": table("\t"),
  "rows.jsonl.gz": gzipSync(lines),
  "rows.jsonl.zst": golden("data/streamed.jsonl.zst"),
  "other.jsonl.zst": golden("data/two-frames.jsonl.zst"),
  "nested.parquet": golden("data/nested.parquet"),
  "nested-v2.parquet": golden("data/nested-v2.parquet"),
  "none.parquet": golden("data/pairs-none.parquet"),
  "snappy.parquet": golden("data/pairs-snappy.parquet"),
  "zstd.parquet": golden("data/pairs-zstd.parquet"),
  "gzip.parquet": golden("data/pairs-gzip.parquet"),
  "brotli.parquet": golden("data/pairs-brotli.parquet"),
  "lz4.parquet": golden("data/pairs-lz4.parquet"),
};

/**
 * The targets, each with the files of a folder, the one that is mutated, and what reads it. `library` has preftune's own functions,
 * from its sources or built.
 */
export function targetsOf(library) {
  const { openCheckpoint, modelFor, loadWeights, tokenizerFromFiles, readAdapter, loadPreferences, readRows } = library;
  const openModel = async (path) => {
    const checkpoint = await openCheckpoint(path);
    try {
      for (const name of checkpoint.tensors.keys()) checkpoint.read(name);
      const model = modelFor(checkpoint);
      await loadWeights(checkpoint, model);
      model.rotaryTables(16);
      const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
      tokenizer.decode(tokenizer.encode("Is it <|im_end|> 12 good?\n\n  Yes \u00e9\u2581."));
      if (tokenizer.hasChatTemplate) tokenizer.chat.render(messages("Hi"), { addGenerationPrompt: true });
    } finally {
      checkpoint[Symbol.dispose]();
    }
  };
  const tokenizer = tokenizerFromFiles({
    tokenizer: JSON.parse(example("tokenizer.json")),
    config: JSON.parse(example("tokenizer_config.json")),
    chatTemplate: String(example("chat_template.jinja")),
  });
  const openData = (path) =>
    loadPreferences({
      files: path,
      tokenizer,
      maxLength: 64,
      maxPromptLength: 32,
      truncation: "keep_end",
      onBadRow: "drop",
    });
  const openRows = async (path) => {
    for await (const row of readRows(path)) if (row === undefined) return;
  };
  const openAdapter = async (path) => readAdapter(path);
  const inFolder = (name, open, files) => ({ name, files, mutated: name, isText: /\.(json|jinja)$/.test(name), open });
  const alone = (name, open, bytes) => ({
    name,
    files: { [name]: bytes },
    mutated: name,
    isText: /\.(jsonl|json|csv|tsv)$/.test(name),
    open: (folder) => open(join(folder, name)),
  });
  return [
    ...Object.keys(modelFiles).map((name) => inFolder(name, openModel, modelFiles)),
    alone("tiny.gguf", openModel, golden("checkpoints/tiny.gguf")),
    ...Object.keys(adapterFiles).map((name) => inFolder(name, openAdapter, adapterFiles)),
    ...Object.entries(dataFiles).map(([name, bytes]) =>
      alone(name, name.startsWith("nested") ? openRows : openData, bytes),
    ),
  ];
}

/** Writes a target's files into a folder. */
export function writeTarget(folder, target) {
  mkdirSync(folder, { recursive: true });
  for (const [name, bytes] of Object.entries(target.files)) writeFileSync(join(folder, name), bytes);
}

/**
 * What is wrong with how a file was read, undefined for nothing: it may be read, or refused by an error of preftune's own that names it.
 */
export async function verdictOf(target, folder, isRefusal) {
  try {
    await target.open(folder);
  } catch (error) {
    if (!isRefusal(error)) return `not refused but crashed: ${error?.stack ?? error}`;
    if (error.name !== "ConversationError" && !error.message.includes(folder))
      return `refused without its name: ${error.message}`;
    if (error.message.length > 10_000)
      return `refused with ${error.message.length} characters: ${error.message.slice(0, 200)}`;
  }
  return undefined;
}
