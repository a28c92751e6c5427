/** A training checkpoint: trained values, the optimizer's memory and the position, written whole and then renamed. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileWhole } from "../../checkpoints/files.ts";
import { writeFolderWhole } from "../../checkpoints/folders.ts";
import { SafetensorsFile } from "../../checkpoints/safetensors.ts";
import { writeSafetensorsFile } from "../../checkpoints/safetensors-writer.ts";
import { RunError } from "../../errors.ts";
import type { FlatArray } from "../policy/flat.ts";
import type { Optimizer } from "../step/optimizers.ts";
import { type LogLengths, onDisk, type RunDirectory } from "./run-directory.ts";

/** Where the run stands. Random numbers are derived from the seed and the epoch, so the step is all of their state. */
export interface TrainingState {
  /** Optimizer steps done. */
  readonly step: number;
  readonly logs: LogLengths;
  /** Whether the evaluation that is due after this step has still to be made. */
  readonly evaluationDue: boolean;
  /** What the objective remembers from step to step. */
  readonly objectiveState: readonly number[];
}

const WEIGHTS = "trainable.safetensors";
const REFERENCE = "reference.safetensors";
const OPTIMIZER = "optimizer.safetensors";
const ROWS = "rows.safetensors";
const STATE = "state.json";

/** The arrays of a checkpoint. */
interface TrainingArrays {
  readonly trainable: FlatArray;
  readonly optimizer: Optimizer;
  /** What a reference that moves holds of its own. */
  readonly reference?: FlatArray | undefined;
  /** What is known of each training example, by name. */
  readonly rows?: Readonly<Record<string, Float32Array>>;
}

export function writeTrainingCheckpoint(
  run: RunDirectory,
  { trainable, optimizer, reference, rows, state }: TrainingArrays & { readonly state: TrainingState },
): string {
  const folder = run.checkpointFolder(state.step);
  const fill = (temporary: string) => {
    writeSafetensorsFile(join(temporary, WEIGHTS), tensors(trainable));
    if (reference) writeSafetensorsFile(join(temporary, REFERENCE), tensors(reference));
    writeSafetensorsFile(join(temporary, OPTIMIZER), vectors(optimizer.moments));
    if (rows) writeSafetensorsFile(join(temporary, ROWS), vectors(rows));
    writeFileWhole(join(temporary, STATE), (write) =>
      write(new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`)),
    );
  };
  onDisk(folder, () => writeFolderWhole(folder, fill));
  return folder;
}

function tensors({ views }: FlatArray) {
  return [...views].map(([name, { dims, data }]) => ({ name, shape: dims, read: () => data }));
}

function vectors(arrays: Readonly<Record<string, Float32Array>>) {
  return Object.entries(arrays).map(([name, data]) => ({ name, shape: [data.length], read: () => data }));
}

/** Puts a checkpoint's values back. Throws RunError for a checkpoint of another model or optimizer. */
export function readTrainingCheckpoint(
  folder: string,
  { trainable, optimizer, reference, rows }: TrainingArrays,
): TrainingState {
  restoreTrainable(folder, trainable);
  if (reference) restoreViews(join(folder, REFERENCE), reference);
  restore(join(folder, OPTIMIZER), Object.entries(optimizer.moments));
  if (rows) restore(join(folder, ROWS), Object.entries(rows));
  return JSON.parse(readFileSync(join(folder, STATE), "utf8")) as TrainingState;
}

/** Puts the trained values alone back. Throws as readTrainingCheckpoint. */
export function restoreTrainable(folder: string, trainable: FlatArray): void {
  restoreViews(join(folder, WEIGHTS), trainable);
}

function restoreViews(path: string, { views }: FlatArray): void {
  restore(
    path,
    [...views].map(([name, { data }]) => [name, data]),
  );
}

function restore(path: string, targets: readonly (readonly [string, Float32Array])[]): void {
  using file = new SafetensorsFile(path);
  for (const [name, target] of targets) {
    const values = file.has(name) ? file.read(name) : undefined;
    if (values?.length !== target.length) {
      throw new RunError(
        `${path}: has no "${name}" of ${target.length} values, so it is of another model. Give the run the model that it was started with.`,
      );
    }
    target.set(values);
  }
}
