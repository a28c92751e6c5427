/** What needs more memory than there is: refused before a weight is read, with what it is needed for and what lowers it. */

import type { TokenizedExample } from "../../data/example.ts";
import { longestSequence, packedLength } from "../../data/microbatch.ts";
import { limitsWithin, shorten } from "../../data/truncate.ts";
import { ConfigError } from "../../errors.ts";
import type { LanguageModel } from "../../models/index.ts";
import { parameterCount } from "../../models/weights.ts";
import type { Objective } from "../../objectives/index.ts";
import type { TrainingConfig } from "../config.ts";
import { startingShape } from "../start.ts";
import { BASE_BYTES, FLOAT, type MemoryPlan, type MemoryWork, planMemory, scoresBesides, stepCost } from "./memory.ts";

const ELSEWHERE = "a smaller model, or a machine with more memory";

export interface PlannedRun {
  readonly plan: MemoryPlan;
  readonly work: MemoryWork;
  readonly objective: Objective;
  readonly config: TrainingConfig;
}

/** Throws ConfigError where the plan takes more than `available` bytes. */
export function refuseLack(run: PlannedRun, available: number): void {
  const { plan, config } = run;
  if (plan.total <= available) return;
  throw new ConfigError(
    `${config.model}: this run needs about ${bytesText(plan.total)} of memory, and ${bytesText(available)} are available. ` +
      `It takes ${partsText(plan)}. ${advice(run, available)} --force tries it as it is.`,
  );
}

/** Throws ConfigError where the model's weights alone take more than `available` bytes; `advice` is what helps, a sentence. */
export function refuseLargeModel(
  model: LanguageModel,
  path: string,
  available: number,
  advice = `Take ${ELSEWHERE}.`,
): void {
  const weights = FLOAT * parameterCount(model);
  if (weights + BASE_BYTES <= available) return;
  throw new ConfigError(
    `${path}: its weights take ${bytesText(weights)} of memory in float32, and ${bytesText(available)} are available. ` +
      `${advice} --force tries it as it is.`,
  );
}

/** What the memory is for, the largest first. */
function partsText({ weights, training, activations, engine }: MemoryPlan): string {
  const parts: [string, number][] = [
    ["weights", weights],
    ["gradients and optimizer", training],
    ["activations", activations],
    ["the engine", engine],
  ];
  return parts
    .sort(([, a], [, b]) => b - a)
    .map(([name, bytes]) => `${bytesText(bytes)} for ${name}`)
    .join(", ");
}

function advice(run: PlannedRun, available: number): string {
  const { plan, config } = run;
  if (config.tuning === "lora" && plan.weights + plan.engine > available)
    return `The weights alone are too many: take ${ELSEWHERE}.`;
  const helpful = alternatives(run, available).filter(([, total]) => total < 0.98 * plan.total);
  const enough = helpful.filter(([, total]) => total <= available);
  const ways = (enough.length > 0 ? enough : helpful).map(([flag, total]) => `${flag} (about ${bytesText(total)})`);
  if (enough.length > 0) return `It would fit with ${ways.join(", or with ")}.`;
  if (ways.length === 0) return `Take ${ELSEWHERE}.`;
  return `Less is needed with ${ways.join(", ")}; none of that is enough alone: combine them, or take ${ELSEWHERE}.`;
}

/** Settings that may lower the memory, and what it would be with each. */
function alternatives({ work, objective, config }: PlannedRun, available: number): [flag: string, total: number][] {
  const total = (changes: Partial<MemoryWork>, settings: Partial<TrainingConfig> = {}) =>
    planMemory({ ...work, ...changes }, { ...config, ...settings }).total;
  const ways: [string, number][] = [];
  if (config.tuning === "full") {
    const shape = startingShape({ ...config, tuning: "lora" }, work.shape.model, undefined);
    const cost = stepCost(shape, shape.step(objective), objective, scoresBesides(config, work.held));
    ways.push(["--tuning lora", total({ shape, cost })]);
  }
  if (config.optimizer === "adamw") ways.push(["--optimizer rmsprop", total({}, { optimizer: "rmsprop" })]);
  if (work.mixup !== undefined) ways.push(["--reference-mixup 1", total({ mixup: 1 })]);
  const longest = longestSequence(work.learned);
  const examples = [...work.learned, ...(work.held ?? [])];
  const largest = examples.reduce((most, example) => Math.max(most, packedLength(example)), 1);
  if (largest < config.microBatchTokens)
    ways.push([`--micro-batch-tokens ${largest}`, total({}, { microBatchTokens: largest })]);
  const shorter = halvesOf(longest).map((length): [number, number] => {
    const cut = (list: readonly TokenizedExample[]) => list.map((example) => shortened(example, length, config));
    return [length, total({ learned: cut(work.learned), held: work.held && cut(work.held) })];
  });
  const short = shorter.find(([, bytes]) => bytes <= available) ?? shorter.at(-1);
  if (short) ways.push([`--max-length ${short[0]}`, short[1]]);
  return ways;
}

const SHORTEST = 64;

/** Powers of two below a length, the longest first. */
function halvesOf(length: number): number[] {
  const list = [];
  for (let size = 2 ** Math.floor(Math.log2(length - 1)); size >= SHORTEST; size /= 2) list.push(size);
  return list;
}

/** As `--max-length` would shorten it, nearly: what stays fixed at a prompt's ends is not known any more. */
function shortened(example: TokenizedExample, maxLength: number, config: TrainingConfig): TokenizedExample {
  const { prompt, completions } = shorten(
    { ...example, fixed: () => ({ head: 0, tail: 0 }) },
    limitsWithin(config, maxLength),
  );
  const scored = example.scored?.map((flags, i) => flags.subarray(0, completions[i]!.length));
  return { ...example, prompt, completions, ...(scored && { scored }) };
}

function bytesText(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.ceil(bytes / 1e6)} MB`;
}
