/**
 * A Hugging Face model as llama.cpp's converter lays it out in GGUF: its settings as metadata, its tensors under GGUF's names and in
 * its order of rows. It is what the checkpoints' room reads, the other way round, and what was made is read again: where that is
 * another model, GGUF can't express this one.
 */

import type { Json, JsonObject } from "../checkpoints/checkpoint.ts";
import { type GgufArchitecture, ggufArchitectures, huggingFaceTensor } from "../checkpoints/gguf-architectures.ts";
import type { GgufEntry } from "../checkpoints/gguf-entries.ts";
import { GgufMetadata } from "../checkpoints/gguf-metadata.ts";
import { GgufSettings } from "../checkpoints/gguf-settings.ts";
import type { TensorSource } from "../checkpoints/safetensors-writer.ts";
import { CheckpointError } from "../errors.ts";
import { modelFor } from "../models/index.ts";
import type { LanguageModel } from "../models/model.ts";
import { writableFamilies, writtenSettings } from "./gguf-settings.ts";
import { computesTheSame } from "./same-model.ts";

interface GgufLayout {
  /** Settings as metadata. */
  readonly metadata: ReadonlyMap<string, GgufEntry>;
  /** The model's tensors under GGUF's names, rows in its order, and those that hold settings. */
  readonly tensors: readonly TensorSource[];
}

/** Throws CheckpointError for a family or a setting that GGUF can't express. */
export function ggufLayout(config: JsonObject, model: LanguageModel, tensors: readonly TensorSource[]): GgufLayout {
  if (!writableFamilies.includes(model.family) || model.scores === "reward") {
    const kind = model.scores === "reward" ? "reward models" : `models of the family "${model.family}"`;
    throw new CheckpointError(
      `GGUF: ${kind} can't be written (language models of these can: ${writableFamilies.join(", ")}). Use --format hf.`,
    );
  }
  const written = writtenSettings(config, model);
  const architecture = ggufArchitectures[written.architecture]!;
  const named = tensors.map((tensor) => ({ ...tensor, ggufName: ggufName(tensor.name, architecture) }));
  const names = new Map(named.map((tensor) => [tensor.ggufName, tensor.shape]));
  for (const { name, shape } of written.tensors) names.set(name, shape);
  const again = readAgain(written, architecture, names);
  refuseOther(config, model, again);
  return {
    metadata: written.metadata,
    tensors: [...named.map((tensor) => stored(tensor, architecture, again)), ...written.tensors],
  };
}

type Named = TensorSource & { readonly ggufName: string };

function ggufName(name: string, { top, layers, modules }: GgufArchitecture): string {
  const outside = Object.entries(top).find(([, each]) => each === name);
  if (outside) return outside[0];
  const [, layer, path, kind] = new RegExp(`^${layers}\\.(\\d+)\\.(.+)\\.(weight|bias)$`).exec(name) ?? [];
  const module = Object.entries(modules).find(([, each]) => each === path);
  if (module === undefined) throw new CheckpointError(`GGUF: has no name for the weight ${JSON.stringify(name)}.`);
  return `blk.${layer}.${module[0]}.${kind}`;
}

function stored(tensor: Named, architecture: GgufArchitecture, config: JsonObject): TensorSource {
  const layout = huggingFaceTensor("GGUF", architecture, config, tensor.ggufName)?.layout;
  const { ggufName: name, read } = tensor;
  if (layout === undefined) return { name, shape: tensor.shape, read };
  const shape = layout.transposes ? tensor.shape.toReversed() : tensor.shape;
  const [rows = 1, columns = 1] = shape;
  return { name, shape, read: () => layout.store(read(), rows, columns) };
}

/** The config.json that a reader makes of the settings. */
function readAgain(
  { architecture: name, metadata, tensors }: ReturnType<typeof writtenSettings>,
  architecture: GgufArchitecture,
  shapes: ReadonlyMap<string, readonly number[]>,
): JsonObject {
  const values = new Map([...metadata].map(([key, { value }]) => [key, value]));
  const known = new Map(
    [...shapes].map(([each, shape]) => [each, { name: each, shape, storage: "F32" as const, begin: 0, end: 0 }]),
  );
  const read = (each: { name: string }) => tensors.find((tensor) => tensor.name === each.name)!.read();
  return architecture.config(new GgufSettings(new GgufMetadata("GGUF", values), name, known, read));
}

/** Throws CheckpointError unless the settings make the same model. */
function refuseOther(config: JsonObject, model: LanguageModel, again: JsonObject): void {
  if (computesTheSame(model, modelFor({ config: again, source: "GGUF" }))) return;
  const ofName = new Set(["model_type", "architectures", "bos_token_id", "eos_token_id", "pad_token_id"]);
  const isSet = (value: Json | undefined) => value !== undefined && value !== null;
  const differing = ["sliding_window", ...Object.keys(again)].filter(
    (key) => !ofName.has(key) && isSet(config[key]) && JSON.stringify(config[key]) !== JSON.stringify(again[key]),
  );
  const named = differing.length > 0 ? ` (${[...new Set(differing)].join(", ")})` : "";
  throw new CheckpointError(
    `GGUF: can't express all settings of config.json${named}: its readers would compute another model. Use --format hf.`,
  );
}
