/**
 * LoRA adapters in PEFT's folder layout: `adapter_config.json` and `adapter_model.safetensors`. A module's weight W gains the
 * product s B A with A [rank, in], B [out, rank] and s = alpha / rank (alpha / sqrt(rank) with rsLoRA). Everything that PEFT
 * can do beyond that changes what the two matrices mean, so it is refused by name.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CheckpointError } from "../errors.ts";
import type { Json, JsonObject } from "./checkpoint.ts";
import { readJsonFile, writeFileWhole } from "./files.ts";
import { writeFolderWhole } from "./folders.ts";
import { describeJson, isJsonObject } from "./json.ts";
import { SafetensorsFile } from "./safetensors.ts";
import { writeSafetensorsFile } from "./safetensors-writer.ts";

export interface LoraModule {
  /** [rank, inFeatures], row-major. */
  readonly a: Float32Array;
  /** [outFeatures, rank], row-major. */
  readonly b: Float32Array;
  readonly inFeatures: number;
  readonly outFeatures: number;
}

export interface LoraAdapter {
  readonly rank: number;
  readonly alpha: number;
  /** Scale by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023). */
  readonly rsLora: boolean;
  /** The base model's weights are [in, out], as GPT-2's Conv1D has them; A and B are the same as of any other layer. */
  readonly fanInFanOut?: boolean;
  /** Last parts of the adapted modules' paths: "q_proj". */
  readonly targets: readonly string[];
  /** Name or path of the model that it was trained on, where it is known. */
  readonly baseModel?: string;
  /** By path of the adapted module: "model.layers.0.self_attn.q_proj". */
  readonly modules: ReadonlyMap<string, LoraModule>;
}

const CONFIG_FILE = "adapter_config.json";
const WEIGHTS_FILE = "adapter_model.safetensors";

/** Settings of PEFT that leave the meaning of A and B alone, or that are read here one by one. */
// biome-ignore format: a table of short entries
const HARMLESS_SETTINGS = new Set([
  "peft_type", "r", "lora_alpha", "use_rslora", "bias", "init_lora_weights", "fan_in_fan_out", "target_modules", "base_model_name_or_path",
  "auto_mapping", "peft_version", "revision", "task_type", "inference_mode", "lora_dropout", "exclude_modules",
  "layers_to_transform", "layers_pattern", "megatron_core", "qalora_group_size", "eva_config", "corda_config",
  "loftq_config", "lora_ga_config",
]);

/** Initial values of A and B that leave the base weights alone; PiSSA, OLoRA, LoftQ and others rewrite them. */
const HARMLESS_INITS: readonly Json[] = [true, false, "gaussian", "eva", "orthogonal"];

/** Reads an adapter folder. Throws CheckpointError when it is incomplete or is anything but plain LoRA. */
export function readAdapter(folder: string): LoraAdapter {
  const configPath = join(folder, CONFIG_FILE);
  if (!existsSync(configPath)) {
    const inner = join(folder, "adapter"); // As in a run's folder.
    const hint = existsSync(join(inner, CONFIG_FILE)) ? ` Give the one in it, ${inner}.` : "";
    throw new CheckpointError(`${folder}: has no ${CONFIG_FILE}, so it is not a PEFT adapter.${hint}`);
  }
  const config = readJsonFile(configPath);
  refuseBeyondLora(configPath, config);
  const rank = positive(configPath, config, "r");
  const alpha = positive(configPath, config, "lora_alpha");
  if (!Number.isInteger(rank)) throw new CheckpointError(`${configPath}: r is ${rank}; it must be a whole number.`);
  const baseModel = config.base_model_name_or_path;
  const modules = readModules(folder, rank);
  return {
    rank,
    alpha,
    rsLora: config.use_rslora === true,
    ...(config.fan_in_fan_out === true && { fanInFanOut: true }),
    targets: [...new Set([...modules.keys()].map((path) => path.slice(path.lastIndexOf(".") + 1)))],
    baseModel: typeof baseModel === "string" ? baseModel : undefined,
    modules,
  };
}

function refuseBeyondLora(path: string, config: JsonObject): void {
  const refuse = (key: string, reason: string): never => {
    throw new CheckpointError(`${path}: ${key} is ${describeJson(config[key])}; ${reason}.`);
  };
  if (config.peft_type !== "LORA") refuse("peft_type", "only LORA adapters are supported");
  if ((config.bias ?? "none") !== "none") refuse("bias", "adapters that train biases are not supported");
  if (!HARMLESS_INITS.includes(config.init_lora_weights ?? true)) {
    refuse(
      "init_lora_weights",
      "it changed the base weights; save it with PEFT's path_initial_model_for_weight_conversion",
    );
  }
  for (const [key, value] of Object.entries(config)) {
    if (!HARMLESS_SETTINGS.has(key) && !isEmpty(value))
      refuse(key, "only plain LoRA is supported, without this setting");
  }
}

function isEmpty(value: Json): boolean {
  if (Array.isArray(value)) return value.length === 0;
  return isJsonObject(value) ? Object.keys(value).length === 0 : value === null || value === false;
}

function positive(path: string, config: JsonObject, key: string): number {
  const value = config[key];
  if (typeof value === "number" && value > 0) return value;
  throw new CheckpointError(`${path}: ${key} is ${describeJson(value)}; it must be a number above 0.`);
}

function readModules(folder: string, rank: number): Map<string, LoraModule> {
  const path = join(folder, WEIGHTS_FILE);
  if (!existsSync(path)) {
    throw new CheckpointError(
      `${folder}: has no ${WEIGHTS_FILE}. Load the adapter with PEFT and save it with save_pretrained.`,
    );
  }
  const file = new SafetensorsFile(path);
  try {
    for (const [name, dtype] of file.unreadable) {
      throw new CheckpointError(
        `${path}: tensor ${JSON.stringify(name)} has the dtype ${dtype}; LoRA matrices must be F32, F16 or BF16.`,
      );
    }
    const paths = new Set([...file.tensors.keys()].map((name) => moduleOf(path, name)));
    const modules = new Map([...paths].map((module) => [module, readModule(file, module, rank)]));
    if (modules.size === 0) throw new CheckpointError(`${path}: holds no LoRA matrices.`);
    return modules;
  } finally {
    file[Symbol.dispose]();
  }
}

function moduleOf(path: string, name: string): string {
  const [, module] = /^base_model\.model\.(.+)\.lora_[AB]\.weight$/.exec(name) ?? [];
  if (module !== undefined) return module;
  throw new CheckpointError(
    `${path}: tensor ${JSON.stringify(name)} is not a LoRA matrix of a linear module; only those are supported.`,
  );
}

function readModule(file: SafetensorsFile, module: string, rank: number): LoraModule {
  const [a, b] = [tensorName(module, "A"), tensorName(module, "B")];
  const [rowsA, inFeatures] = matrixShape(file, a);
  const [outFeatures, columnsB] = matrixShape(file, b);
  if (rowsA !== rank || columnsB !== rank) {
    throw new CheckpointError(
      `${file.path}: ${module} has lora_A [${rowsA}, ${inFeatures}] and lora_B [${outFeatures}, ${columnsB}], which do not fit the rank ${rank} of ${CONFIG_FILE}.`,
    );
  }
  return { a: file.read(a), b: file.read(b), inFeatures, outFeatures };
}

function matrixShape(file: SafetensorsFile, name: string): [number, number] {
  const shape = file.tensors.get(name)?.shape;
  if (shape === undefined)
    throw new CheckpointError(`${file.path}: lacks tensor ${JSON.stringify(name)}, whose other half is there.`);
  const [rows, columns] = shape;
  if (shape.length !== 2 || rows === undefined || columns === undefined) {
    throw new CheckpointError(
      `${file.path}: tensor ${JSON.stringify(name)} has the shape [${shape.join(", ")}]; only linear modules are supported.`,
    );
  }
  return [rows, columns];
}

function tensorName(module: string, side: "A" | "B"): string {
  return `base_model.model.${module}.lora_${side}.weight`;
}

/**
 * Writes an adapter folder that `PeftModel.from_pretrained` loads, whole or not at all, with further text `files` (a model card)
 * beside it. Throws CheckpointError when `folder` exists and is not empty.
 */
export function writeAdapter(folder: string, adapter: LoraAdapter, files: Readonly<Record<string, string>> = {}): void {
  const tensors = [...adapter.modules].flatMap(([module, { a, b, inFeatures, outFeatures }]) => [
    { name: tensorName(module, "A"), shape: [adapter.rank, inFeatures], read: () => a },
    { name: tensorName(module, "B"), shape: [outFeatures, adapter.rank], read: () => b },
  ]);
  const config = `${JSON.stringify(configOf(adapter), null, 2)}\n`;
  writeFolderWhole(folder, (temporary) => {
    for (const [name, text] of Object.entries({ [CONFIG_FILE]: config, ...files })) {
      writeFileWhole(join(temporary, name), (write) => write(new TextEncoder().encode(text)));
    }
    writeSafetensorsFile(join(temporary, WEIGHTS_FILE), tensors);
  });
}

function configOf({ rank, alpha, rsLora, fanInFanOut, targets, baseModel }: LoraAdapter): JsonObject {
  return {
    alpha_pattern: {},
    auto_mapping: null,
    base_model_name_or_path: baseModel ?? null,
    bias: "none",
    exclude_modules: null,
    fan_in_fan_out: fanInFanOut ?? false,
    inference_mode: true,
    init_lora_weights: true,
    layer_replication: null,
    layers_pattern: null,
    layers_to_transform: null,
    loftq_config: {},
    lora_alpha: alpha,
    lora_bias: false,
    lora_dropout: 0,
    megatron_config: null,
    megatron_core: "megatron.core",
    modules_to_save: null,
    peft_type: "LORA",
    r: rank,
    rank_pattern: {},
    revision: null,
    target_modules: [...targets],
    target_parameters: null,
    task_type: "CAUSAL_LM",
    trainable_token_indices: null,
    use_dora: false,
    use_rslora: rsLora,
  };
}
