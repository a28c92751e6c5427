/** A training checkpoint: trained values, the optimizer's memory and the position, written whole and then renamed. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileWhole } from "../checkpoints/files.ts";
import { writeFolderWhole } from "../checkpoints/folders.ts";
import { SafetensorsFile } from "../checkpoints/safetensors.ts";
import { writeSafetensorsFile } from "../checkpoints/safetensors-writer.ts";
import { RunError } from "../errors.ts";
import type { FlatArray } from "./flat.ts";
import type { Optimizer } from "./optimizers.ts";
import type { LogLengths, RunDirectory } from "./run-directory.ts";

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
const OPTIMIZER = "optimizer.safetensors";
const STATE = "state.json";

export function writeTrainingCheckpoint(
  run: RunDirectory,
  { trainable, optimizer, state }: { trainable: FlatArray; optimizer: Optimizer; state: TrainingState },
): string {
  const folder = run.checkpointFolder(state.step);
  writeFolderWhole(folder, (temporary) => {
    const views = [...trainable.views].map(([name, { dims, data }]) => ({ name, shape: dims, read: () => data }));
    const moments = Object.entries(optimizer.moments).map(([name, data]) => ({
      name,
      shape: [data.length],
      read: () => data,
    }));
    writeSafetensorsFile(join(temporary, WEIGHTS), views);
    writeSafetensorsFile(join(temporary, OPTIMIZER), moments);
    writeFileWhole(join(temporary, STATE), (write) =>
      write(new TextEncoder().encode(`${JSON.stringify(state, null, 2)}\n`)),
    );
  });
  return folder;
}

/** Puts a checkpoint's values back. Throws RunError for a checkpoint of another model or optimizer. */
export function readTrainingCheckpoint(
  folder: string,
  { trainable, optimizer }: { trainable: FlatArray; optimizer: Optimizer },
): TrainingState {
  restore(
    join(folder, WEIGHTS),
    [...trainable.views].map(([name, { data }]) => [name, data]),
  );
  restore(join(folder, OPTIMIZER), Object.entries(optimizer.moments));
  return JSON.parse(readFileSync(join(folder, STATE), "utf8")) as TrainingState;
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
