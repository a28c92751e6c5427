/**
 * What a run warns of: one table, an entry a warning, each with its threshold, the reason for it, and what to do. A
 * warning is given once a run. None is an error: the run goes on. docs/diagnostics.md shows the table.
 */

import { describeOrigin, type TokenizedExample } from "../../data/example.ts";
import type { Labels } from "../../data/ledger.ts";
import type { Conflicts } from "../../diagnostics/conflicts.ts";
import { advisedBalance, desirableBalance } from "../../objectives/kto.ts";
import type { TrainingConfig } from "../config.ts";
import { methods } from "../methods.ts";
import type { Warning } from "../observer.ts";
import { type History, WINDOW } from "./history.ts";
import { currentDivergence } from "./stopping.ts";

/** What a rule may look at. */
export interface RunView {
  readonly config: TrainingConfig;
  /** Values in the model. */
  readonly parameters: number;
  readonly train: readonly TokenizedExample[];
  /** Number of held-out examples. */
  readonly heldOut: number;
  readonly conflicts: Conflicts | undefined;
  /** How many training examples are desirable, where they are labelled. */
  readonly labels: Labels | undefined;
  readonly history: History;
  /** Optimizer steps of the whole run, and those done. */
  readonly steps: number;
  readonly step: number;
}

export interface Rule {
  readonly name: string;
  /** When it is looked at: before the first step, or after each step and each evaluation. */
  readonly when: "start" | "running";
  /** When it is given, in words, and the reason for just that. */
  readonly threshold: string;
  readonly reason: string;
  /** What to do. */
  readonly advice: string;
  /** What was found, in a sentence without its full stop; undefined where all is well. */
  find(view: RunView): string | undefined;
}

/** Fewer held-out rows than this say too little: the standard error of an accuracy among 50 is up to 0.07. */
const ENOUGH_ROWS = 50;
/** Nor do fewer samples. */
const ENOUGH_SAMPLES = 8;
/** What is called far above the usual learning rate; the little more is for rounding. */
const FAR_ABOVE = 10 * (1 + 1e-9);
/** Smaller models take, and need, larger steps than the defaults, which are for models of 0.1 to 10 billion parameters. */
const LARGE_MODEL = 5e7;

const conflictingPairs: Rule = {
  name: "conflicting-pairs",
  when: "start",
  threshold: "1 % of the training pairs stand in the data in both orders",
  reason: "such pairs cancel out; below one in a hundred the loss of data is not worth a word",
  advice: "Remove one or both of each; data.json names the first.",
  find: ({ conflicts, train }) => {
    const share = (conflicts?.pairs ?? 0) / train.length;
    if (conflicts === undefined || share < 0.01) return undefined;
    const [one, other] = conflicts.first[0]!.map(describeOrigin);
    return `${percent(share)} of the training pairs are also there with chosen and rejected exchanged (${one} and ${other})`;
  },
};

const unbalancedLabels: Rule = {
  name: "unbalanced-labels",
  when: "start",
  threshold:
    "desirable completions, by their number and weight, count less than undesirable ones by KTO, or more than 4/3 as much, by over a hundredth",
  reason: "KTO's authors advise to keep the balance in 1 to 4/3, or the smaller side is drowned out (equation 8)",
  advice: "Set --desirable-weight or --undesirable-weight so that the balance is in 1 to 1.33.",
  find: ({ labels, config }) => {
    const { desirableWeight, undesirableWeight } = config.objective;
    if (labels === undefined || !config.loss.includes("kto")) return undefined;
    const weights = { desirableWeight: Number(desirableWeight), undesirableWeight: Number(undesirableWeight) };
    const balance = desirableBalance(labels, weights);
    if (balance >= 0.99 * advisedBalance.least && balance <= 1.01 * advisedBalance.most) return undefined;
    const { desirable, undesirable } = labels;
    return `desirable completions count ${balance.toPrecision(2)} times as much as undesirable ones: there are ${desirable} and ${undesirable}, with weights of ${desirableWeight} and ${undesirableWeight}`;
  },
};

const learningRateHigh: Rule = {
  name: "learning-rate-high",
  when: "start",
  threshold:
    "more than ten times the method's default for this kind of tuning, in a model of at least 50 million parameters",
  reason:
    "DPO's family is tuned at rates near the defaults; SimPO's authors saw incoherent text from 1e-5 on under full tuning",
  advice: "Lower --learning-rate, or look closely at samples.jsonl.",
  find: ({ config, parameters }) => {
    const usual = methods[config.method]!.learningRate[config.tuning];
    if (parameters < LARGE_MODEL || config.learningRate <= FAR_ABOVE * usual) return undefined;
    return `the learning rate ${config.learningRate} is far above the usual ${usual} for --tuning ${config.tuning}`;
  },
};

const learningRateLow: Rule = {
  name: "learning-rate-low",
  when: "start",
  threshold: "an adapter at the method's default for full tuning, or below it",
  reason:
    "an adapter starts at zero and needs steps tens of times as large; at a rate taken from a full-tuning recipe it hardly moves",
  advice: "Raise --learning-rate, or leave it out.",
  find: ({ config }) => {
    const { lora, full } = methods[config.method]!.learningRate;
    if (config.tuning !== "lora" || full >= lora || config.learningRate > full) return undefined;
    return `the learning rate ${config.learningRate} is one for all weights; an adapter's is usually ${lora}`;
  },
};

const lossStuck: Rule = {
  name: "loss-stuck",
  when: "running",
  threshold: `after 100 steps, or at the end of a run of 50 or more, the mean loss of the last ${WINDOW} steps is within 0.1 % of the first step's; not where the log-ratios of chosen and rejected completions are 0.1 nats apart, nor where --sync-reference lets the reference follow`,
  reason:
    "an objective with a reference begins at a loss that is the same for every pair (ln 2 = 0.6931 for sigmoid), so a mean that still stands there says that nothing is learned, unless a small beta hides it; a reference that follows brings the loss back there",
  advice:
    "Raise --learning-rate; make --warmup-steps shorter than the run; check that chosen and rejected differ in what they say.",
  find: ({ history, step, steps, config }) => {
    if (step < 50 || (step < 100 && step < steps) || config.syncReference !== undefined) return undefined;
    const [first, loss] = [history.first?.loss, history.recent("loss")];
    if (first === undefined || loss === undefined || Math.abs(loss - first) > 1e-3 * Math.abs(first)) return undefined;
    if (driftDifference(history) > 0.1) return undefined;
    return `the loss is still ${loss.toFixed(4)} after ${step} steps, as it was at the first`;
  },
};

const nothingLeftToLearn: Rule = {
  name: "nothing-left-to-learn",
  when: "running",
  threshold: `over the last ${WINDOW} steps accuracy is 1 and the loss between 0 and 2 % of the first step's`,
  reason:
    "the gradient weights are then a few percent at most, so further steps move the policy without teaching it; a loss that may be negative, as the robust one, has no such end",
  advice:
    "Train for fewer steps, lower --learning-rate or raise --beta; if it came early, chosen and rejected may differ in something trivial, such as their format.",
  find: ({ history }) => {
    const [accuracy, loss] = [history.recent("rewards/accuracies"), history.recent("loss")];
    if (history.last.length < WINDOW || accuracy !== 1) return undefined;
    if (loss! < 0 || !(loss! < 0.02 * history.first!.loss!)) return undefined;
    return `every pair of the last ${WINDOW} steps is ranked right, with a mean loss of ${loss!.toPrecision(2)}`;
  },
};

const ranksBackwards: Rule = {
  name: "ranks-backwards",
  when: "running",
  threshold: `over the last ${WINDOW} steps less than 0.4 of the pairs are ranked right, and chosen completions are on average 0.1 nats further below the reference than rejected ones`,
  reason:
    "at the reference chance ranks half of them right, and a step's pairs are met before they are learned: the policy has learned the opposite of the labels; discopop's slope leads there from the reference while --discopop-tau is below 0.102",
  advice:
    "With --loss discopop give --discopop-tau 0.2, or choose another; else lower --learning-rate, and look at the rows.",
  find: ({ history }) => {
    const [accuracy, difference] = [history.recent("rewards/accuracies"), driftDifference(history)];
    if (history.last.length < WINDOW || accuracy === undefined || accuracy >= 0.4 || difference > -0.1)
      return undefined;
    return `${percent(accuracy)} of the last ${WINDOW} steps' pairs are ranked right: chosen completions are ${(-difference).toFixed(2)} nats further below the reference than rejected ones`;
  },
};

const beyondLeash: Rule = {
  name: "beyond-max-kl",
  when: "running",
  threshold:
    "KL to the reference above --max-kl: on samples where --kl-samples draws them, else on held-out rows, else on the last training rows",
  reason: "the leash is the user's own",
  advice: "Lower --learning-rate, raise --beta or train for fewer steps; --max-kl-action stop ends the run here.",
  find: ({ config: { maxKl }, history }) => {
    const divergence = currentDivergence(history);
    if (maxKl === undefined || divergence === undefined || divergence.nats <= maxKl) return undefined;
    return `KL to the reference is ${divergence.nats.toFixed(2)} nats on ${divergence.on}, above --max-kl ${maxKl}`;
  },
};

const displacement: Rule = {
  name: "likelihood-displacement",
  when: "running",
  threshold:
    "chosen completions have lost more than 0.2 nats a token since the start, and rejected ones have lost too: held-out ones, or where there are none those of the last training steps",
  reason:
    "DPO raises the margin and may lower both sides for it (Razin et al. 2024, arXiv 2410.08847); 0.2 nats make a preferred token a fifth less probable on average, and that probability goes to answers that nobody has preferred",
  advice:
    "Use --rpo-alpha or --dpop-lambda, which hold the chosen likelihood up, --loss apo_zero, or a smaller --learning-rate.",
  find: ({ history }) => {
    const [chosen, rejected] = [changeInLikelihood(history, "chosen"), changeInLikelihood(history, "rejected")];
    if (chosen === undefined || rejected === undefined || chosen >= -0.2 || rejected >= 0) return undefined;
    return `chosen completions became less likely together with the rejected ones: ${chosen.toFixed(2)} and ${rejected.toFixed(2)} nats a token since the start`;
  },
};

const lengthBias: Rule = {
  name: "length-bias",
  when: "running",
  threshold: `a correlation of 0.7 or more, either way, between the margin and the difference in length, among ${ENOUGH_ROWS} held-out pairs or more`,
  reason: "from 0.7 on length alone explains half of the margin's variance",
  advice:
    "Balance the lengths in the data, or use an objective that is normalized by length: --loss sigmoid_norm, --loss ipo, --ld-alpha, preftune simpo.",
  find: ({ history, heldOut }) => {
    const r = history.evaluations.at(-1)?.eval_length_correlation;
    if (r === undefined || heldOut < ENOUGH_ROWS || Math.abs(r) < 0.7) return undefined;
    return `the margin goes with the ${r > 0 ? "longer" : "shorter"} completion: its correlation with the difference in length is ${r.toFixed(2)}`;
  },
};

const overfitting: Rule = {
  name: "overfitting",
  when: "running",
  threshold: `from the second epoch on, accuracy in the last ${WINDOW} training steps is above the held-out accuracy by more than 0.1 and by more than 3 standard errors of the difference; not where --sync-reference lets the reference follow`,
  reason:
    "a tenth is what one pays attention to, three standard errors are what chance does not do in a run's few evaluations",
  advice: "Train for fewer epochs, use --early-stopping, lower --learning-rate, or get more data.",
  find: (view) => (isFirstEpoch(view) ? undefined : accuracyGap(view)),
};

const heldOutDiffers: Rule = {
  name: "held-out-differs",
  when: "running",
  threshold: "the same gap within the first epoch",
  reason:
    "there the training rows were not seen before either, so this is not overfitting: what is learned of them does not hold for the held-out rows",
  advice:
    "Look at eval-rows.jsonl. Check that held-out rows are of the same kind as the training rows and labelled the same way round, and that training rows do not repeat each other.",
  find: (view) => (isFirstEpoch(view) ? accuracyGap(view) : undefined),
};

const worseThanStart: Rule = {
  name: "worse-than-start",
  when: "running",
  threshold: `held-out loss more than 10 % above what it was before the first step, among ${ENOUGH_ROWS} held-out rows or more; not where --sync-reference lets the reference follow`,
  reason:
    "a policy that has learned nothing keeps its first loss, so a higher one is confident error; 10 % is beyond what the choice of rows does",
  advice:
    "Lower --learning-rate, train for fewer epochs, or check that held-out rows are of the same kind as the training rows, and labelled the same way round.",
  find: ({ history: { evaluations }, heldOut, config }) => {
    const [first, last] = [evaluations[0]?.eval_loss, evaluations.at(-1)?.eval_loss];
    if (config.syncReference !== undefined || heldOut < ENOUGH_ROWS) return undefined;
    if (first === undefined || last === undefined) return undefined;
    if (!(last - first > 0.1 * Math.abs(first))) return undefined;
    return `the held-out loss is ${last.toFixed(4)}; before the first step it was ${first.toFixed(4)}`;
  },
};

const repetitive: Rule = {
  name: "repetitive-samples",
  when: "running",
  threshold: `0.3 of the 4-grams in ${ENOUGH_SAMPLES} sampled answers or more have stood in the same answer before, and 0.2 more than before the first step`,
  reason:
    "answers drawn at temperature 1 repeat a few percent of their 4-grams; the first evaluation says what is usual for this model and these prompts",
  advice: "Look at samples.jsonl; lower --learning-rate, raise --beta, or go back to an earlier checkpoint.",
  find: ({ history: { evaluations }, config }) => {
    const [first, last] = [evaluations[0], evaluations.at(-1)].map((line) => line?.["eval_samples/repetition"]);
    if (config.klSamples < ENOUGH_SAMPLES || last === undefined || last < 0.3 || last - first! < 0.2) return undefined;
    return `sampled answers repeat themselves: ${percent(last)} of their 4-grams, ${percent(first!)} before training`;
  },
};

const endless: Rule = {
  name: "answers-do-not-end",
  when: "running",
  threshold: `the share of sampled answers that end within --sample-tokens is lower than before the first step by 0.3, and by 3 standard errors, among ${ENOUGH_SAMPLES} or more`,
  reason: "a policy that forgets its end token runs on in use; three standard errors are what chance does not do",
  advice:
    "Check that completions end in the end token (data.json) and are not cut by --max-length; use an objective that is normalized by length, or a smaller --learning-rate.",
  find: ({ history: { evaluations }, config: { klSamples } }) => {
    const [first, last] = [evaluations[0], evaluations.at(-1)].map((line) => line?.["eval_samples/ended"]);
    if (klSamples < ENOUGH_SAMPLES || first === undefined || last === undefined) return undefined;
    const error = standardErrorOfDifference(first, klSamples, last, klSamples);
    if (first - last <= 0.3 || first - last <= 3 * error) return undefined;
    return `${percent(last)} of the sampled answers end, ${percent(first)} did before training`;
  },
};

const choicesSettled: Rule = {
  name: "choices-settled",
  when: "running",
  threshold: `choices/undecided, of MPO, is below 0.1 in the mean of the first 3 to ${WINDOW} steps`,
  reason:
    "a pair pulls in proportion to it, so below a tenth nearly all pairs are decided before training, by their lengths, and teach nothing (docs/mpo.md)",
  advice: "Use --per-token --beta 2, or lower --beta.",
  find: ({ history, step }) => {
    const undecided = history.recent("choices/undecided");
    if (undecided === undefined || step < 3 || step > WINDOW || undecided >= 0.1) return undefined;
    return `the policy was certain of most choices before it learned any: choices/undecided is ${undecided.toPrecision(2)}`;
  },
};

export const rules: readonly Rule[] = [
  conflictingPairs,
  unbalancedLabels,
  learningRateHigh,
  learningRateLow,
  lossStuck,
  nothingLeftToLearn,
  ranksBackwards,
  beyondLeash,
  displacement,
  lengthBias,
  overfitting,
  heldOutDiffers,
  worseThanStart,
  repetitive,
  endless,
  choicesSettled,
];

/** The warnings that are due now and were not given before. */
export function warningsOf(when: Rule["when"], view: RunView, given: ReadonlySet<string>): Warning[] {
  return rules
    .filter((rule) => rule.when === when && !given.has(rule.name))
    .flatMap(({ name, advice, find }) => {
      const found = find(view);
      return found === undefined ? [] : [{ step: view.step, name, found, advice }];
    });
}

/** Nats a token since the start: of held-out completions, or against the reference in the last training steps. */
function changeInLikelihood(history: History, role: string): number | undefined {
  const [first, last] = [history.evaluations[0], history.evaluations.at(-1)];
  const [before, after] = [first, last].map((line) => line?.[`eval_logps/${role}`]);
  const heldOut = last?.[`eval_lengths/${role}`] ?? last?.["eval_lengths/completion"];
  if (before !== undefined && after !== undefined && heldOut !== undefined) return (after - before) / heldOut;
  const [drift, length] = [history.recent(`drift/${role}`), history.recent(`lengths/${role}`)];
  return drift === undefined || length === undefined ? undefined : drift / length;
}

/** By how many nats chosen completions have lately moved further up from the reference than rejected ones; 0 without a reference. */
function driftDifference(history: History): number {
  const [chosen = 0, rejected = 0] = ["drift/chosen", "drift/rejected"].map((name) => history.recent(name));
  return chosen - rejected;
}

function isFirstEpoch({ step, train, config }: RunView): boolean {
  return step <= Math.ceil(train.length / config.batchSize);
}

/** Accuracy that is higher on training rows than on held-out ones by more than chance makes it, in words. */
function accuracyGap({ history, train, heldOut, config }: RunView): string | undefined {
  const last = history.evaluations.at(-1);
  const [gap, held] = [last?.["eval_gap/accuracies"], last?.["eval_rewards/accuracies"]];
  if (config.syncReference !== undefined || gap === undefined || held === undefined || gap <= 0.1) return undefined;
  const trained = history.last.length * Math.min(config.batchSize, train.length);
  if (gap <= 3 * standardErrorOfDifference(held + gap, trained, held, heldOut)) return undefined;
  return `accuracy is ${percent(held + gap)} on training rows and ${percent(held)} on held-out ones`;
}

/** Of two shares, each among so many. */
function standardErrorOfDifference(a: number, among: number, b: number, amongOthers: number): number {
  return Math.sqrt((a * (1 - a)) / among + (b * (1 - b)) / amongOthers);
}

function percent(share: number): string {
  return `${(100 * share).toFixed(1)} %`;
}
