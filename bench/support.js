/** What the scripts of this folder have in common: flags, the model and rows that they measure with, clocks and tables. */
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { openCheckpoint } from "../dist/checkpoints/open.js";
import { loadPreferences } from "../dist/data/load.js";
import { packExamples, packedLength, planMicroBatches } from "../dist/data/microbatch.js";
import { loadWeights, modelFor } from "../dist/models/index.js";
import { tokenizerFromFiles } from "../dist/text/tokenizer.js";
import { methods, resolveConfig } from "../dist/training/methods.js";
import { newPolicy } from "../dist/training/policy/new-policy.js";

export const SMOLLM2 = "../shared/models/SmolLM2-135M-Instruct.Q4_1.gguf";
export const HH_PAIRS = "../shared/data/hh-rlhf-harmless-base-test.jsonl.gz";

/**
 * A script's flags by their defaults: whole numbers where the default is one, switches where it is false, "" where nothing is usual.
 * @template {Record<string, string | number | boolean>} T
 * @param {T} defaults
 * @returns {T}
 */
export function flags(defaults) {
  const options = Object.entries(defaults).map(([name, value]) =>
    typeof value === "boolean"
      ? [name, { type: /** @type {const} */ ("boolean") }]
      : [name, { type: /** @type {const} */ ("string") }],
  );
  const { values } = parseArgs({ options: Object.fromEntries(options) });
  const given = Object.entries(values).map(([name, value]) => {
    if (typeof defaults[name] !== "number") return [name, value];
    if (!/^\d+$/.test(String(value))) throw new Error(`--${name} ${value}: a whole number is needed.`);
    return [name, Number(value)];
  });
  return { ...defaults, ...Object.fromEntries(given) };
}

/**
 * The model and the pairs of a DPO run with these settings. Dispose of the checkpoint.
 * @param {Omit<import("../dist/training/methods.js").TrainingOptions, "output">} settings
 */
export async function openPairs(settings) {
  const dpo = /** @type {import("../dist/training/methods.js").Method} */ (methods.dpo);
  const config = resolveConfig(dpo, { ...settings, output: "unused" });
  const checkpoint = await openCheckpoint(config.model);
  const model = modelFor(checkpoint);
  const tokenizer = tokenizerFromFiles(checkpoint.tokenizer);
  const { examples } = await loadPreferences({ ...config, files: config.data, tokenizer });
  return { config, checkpoint, model, examples };
}

/**
 * The model and the pairs that a script's flags ask for, pairs that would have to be shortened left out, with further settings.
 * @param {{ model: string, data: string, pairs: number, "max-length": number }} flags
 * @param {Partial<Parameters<typeof openPairs>[0]>} settings
 */
export function openWholePairs({ model, data, pairs, "max-length": maxLength }, settings = {}) {
  return openPairs({ model, data, limit: pairs, maxLength, truncation: "drop", ...settings });
}

/**
 * What makes policies as such a run begins, each with an adapter of its own over the same weights.
 * @param {Awaited<ReturnType<typeof openPairs>>} opened
 */
export async function policiesOf({ config, checkpoint, model }) {
  const weights = await loadWeights(checkpoint, model);
  return () => newPolicy(config, model, weights);
}

/**
 * The sizes of the micro-batches in which a step takes these examples.
 * @param {readonly import("../dist/data/example.js").TokenizedExample[]} examples
 * @param {{ microBatchTokens: number }} config
 */
export function microBatches(examples, { microBatchTokens }) {
  return planMicroBatches(examples.map(packedLength), microBatchTokens).map((indices) => {
    const { tokens, rows, positions } = packExamples(indices.map((i) => examples[i]));
    return {
      tokens: tokens.length,
      rows: rows.length,
      examples: indices.length,
      completions: 2,
      positions: 1 + Math.max(...Array.from(positions, Number)),
    };
  });
}

/**
 * Whether a list with commas names an objective, by its name alone or after its method's; an empty one names all.
 * @param {string} list
 * @param {{ method: string, name: string }} definition
 */
export const isNamed = (list, { method, name }) =>
  list === "" || list.split(",").some((one) => one === name || one === `${method} ${name}`);

/** A file beside these scripts, by its path from here. */
export const beside = (path) => fileURLToPath(new URL(path, import.meta.url));

/** Seconds of the processor that this process has used. */
export function processorSeconds() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e6;
}

/** @param {readonly number[]} list */
export const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];

/** A line of a table of Markdown. */
export const row = (cells) => `| ${cells.join(" | ")} |`;
/** Its first two lines. */
export const head = (columns) => `${row(columns)}\n|${columns.map(() => "---").join("|")}|`;
