/** What a run keeps of itself on the way: checkpoints to go on from, the best of them, and what is restored of one. */

import { relative } from "node:path";
import type { TrainingConfig } from "../config.ts";
import type { RunObserver } from "../observer.ts";
import type { Policy } from "../policy/policy.ts";
import type { Trainer } from "../step/trainer.ts";
import { checkFiniteWeights } from "../watch/self-checks.ts";
import type { Watch } from "../watch/watch.ts";
import { readTrainingCheckpoint, restoreTrainable, type TrainingState, writeTrainingCheckpoint } from "./checkpoint.ts";
import type { RunDirectory } from "./run-directory.ts";

interface KeeperOptions {
  readonly run: RunDirectory;
  readonly config: TrainingConfig;
  readonly policy: Policy;
  readonly trainer: Trainer;
  readonly watch: Watch;
  readonly observer: RunObserver | undefined;
}

/** Where a run stands in its course. */
export type Position = Pick<TrainingState, "step" | "evaluationDue">;

export class Keeper {
  constructor(private readonly o: KeeperOptions) {}

  /** Writes a checkpoint, unless the run has just come from it. */
  save({ step, evaluationDue }: Position): void {
    const { run, policy, trainer, watch, config, observer } = this.o;
    if (run.checkpointSteps().at(-1) === step) return;
    observer?.onStage?.("saving");
    checkFiniteWeights(policy.trainable, step);
    const { objectiveState } = trainer;
    const folder = writeTrainingCheckpoint(run, {
      ...this.arrays(),
      state: { step, evaluationDue, logs: run.logLengths(), objectiveState },
    });
    run.keepCheckpoints(config.keepCheckpoints, watch.best?.step);
    watch.writeSuspects();
    observer?.onCheckpoint?.(folder, step);
  }

  /** Keeps a checkpoint of what was now found the best, where that is asked for. */
  saveBest(position: Position): void {
    const { run, watch } = this.o;
    const { best } = watch;
    if (best?.step !== position.step) return;
    this.save(position);
    run.writeJson("best.json", { ...best, checkpoint: relative(run.path, run.checkpointFolder(best.step)) });
  }

  /** Goes back to the newest checkpoint, or to the beginning, and cuts the logs accordingly. */
  restore(): Position {
    const { run, trainer, watch } = this.o;
    const newest = run.checkpointSteps().at(-1);
    if (newest === undefined) {
      run.restoreLogs({});
      return { step: 0, evaluationDue: true };
    }
    const { logs, objectiveState, ...position } = readTrainingCheckpoint(run.checkpointFolder(newest), this.arrays());
    run.restoreLogs(logs);
    trainer.objectiveState = objectiveState;
    watch.recall();
    return position;
  }

  /** Gives the policy the values of the best evaluation, where they are kept and were not the last. */
  restoreBest(step: number): void {
    const { run, policy, watch } = this.o;
    const { best } = watch;
    if (best && best.step !== step) restoreTrainable(run.checkpointFolder(best.step), policy.trainable);
    checkFiniteWeights(policy.trainable, step);
  }

  private arrays() {
    const { policy, trainer, watch } = this.o;
    return {
      trainable: policy.trainable,
      optimizer: trainer.optimizer,
      reference: policy.moving?.values,
      rows: watch.rows,
    };
  }
}
