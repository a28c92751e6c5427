/** preftune as a library: tune a model on preferences, score completions, generate, read and write checkpoints. */

export type { Checkpoint, TokenizerFiles } from "./checkpoints/checkpoint.ts";
export { openCheckpoint } from "./checkpoints/open.ts";
export { type LoraAdapter, readAdapter, writeAdapter } from "./checkpoints/peft.ts";
export type { TokenizedExample } from "./data/example.ts";
export { loadPreferences, type PreferenceOptions } from "./data/load.ts";
export {
  CheckpointError,
  ConfigError,
  DataError,
  HubError,
  PreftuneError,
  RunError,
  ShapeError,
  TrainingError,
} from "./errors.ts";
export {
  type Answer,
  type AnswerOptions,
  type LoadedModel,
  type LoadModelOptions,
  loadModel,
} from "./evaluation/loaded-model.ts";
export {
  type RewardScore,
  type RewardScoreOptions,
  type Score,
  type ScoreOptions,
  score,
  scoreRewards,
} from "./evaluation/score.ts";
export { type Exported, type ExportOptions, exportModel } from "./export/export.ts";
export {
  type DataPurpose,
  type HubEvent,
  type HubOptions,
  type HubSettings,
  hubSettings,
  type Resolved,
  type ResolvedData,
  resolveAdapter,
  resolveDataset,
  resolveModel,
} from "./hub/index.ts";
export { type DataInspectionOptions, type DataReport, inspectData } from "./inspection/data.ts";
export { inspectModel, type ModelInspectionOptions, type ModelReport } from "./inspection/model.ts";
export type { Objective } from "./objectives/index.ts";
export type { Content, Message } from "./text/chat.ts";
export type { TrainingConfig } from "./training/config.ts";
export { type PublishOptions, publishRun } from "./training/directory/publish.ts";
export type {
  Best,
  EvalCompletion,
  EvalRow,
  Interruption,
  Metrics,
  RunObserver,
  RunResult,
  RunSummary,
  Sample,
  TokenScores,
  Warning,
} from "./training/observer.ts";
export type { RunControl } from "./training/run.ts";
export {
  bco,
  cpo,
  type DpoOptions,
  dpo,
  kto,
  type MpoOptions,
  mpo,
  orpo,
  reward,
  type SftOptions,
  sft,
  simpo,
} from "./training/tuners.ts";
