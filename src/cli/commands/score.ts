/** `preftune score`: the log-probability of every completion, or its reward, one JSON object a line. */

import { z } from "zod";
import { ConfigError } from "../../errors.ts";
import {
  type RewardScore,
  type Score,
  type ScoreSummary,
  score,
  scoreRewards,
  scoreSchema,
} from "../../evaluation/score.ts";
import type { HubOptions } from "../../hub/index.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { lengthFlags, rowFlags } from "../flag-groups.ts";
import { fetchNamed, hubOn } from "../hub.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings } from "../settings.ts";
import { formatCount } from "../terminal/numbers.ts";
import { Screen } from "../terminal/screen.ts";
import { ledgerLines } from "../terminal/summary.ts";
import { WholeFile } from "../whole-file.ts";

const schema = z.strictObject({
  ...scoreSchema.shape,
  model: scoreSchema.shape.model.optional(),
  rewardModel: z.string().min(1).optional().describe("score by this reward model's rewards instead"),
  output: z.string().min(1).describe("the file to write, one JSON object a completion"),
});

export const scoreCommand: CommandDefinition<typeof schema> = {
  name: "score",
  summary: "Score the completions of preference pairs with a model",
  description:
    "Writes one JSON object a completion, in the order of the data: index, completion (chosen or rejected), prompt_tokens, " +
    "tokens, and logp, the sum of the tokens' log-probabilities in nats; with --reward-model in its place reward.",
  schema,
  groups: {
    "Model and data": {
      model: "path",
      rewardModel: "folder",
      adapter: "folder",
      data: "files",
      ...rowFlags,
      output: "file",
      limit: true,
      chat: true,
      onBadRow: true,
    },
    Length: lengthFlags,
    Machine: { threads: true, microBatchTokens: true, force: true },
  },
  examples: [
    "preftune score --model SmolLM2-135M-Instruct.gguf --data pairs.jsonl --output scores.jsonl",
    "preftune score --reward-model runs/reward/model --data pairs.jsonl --output rewards.jsonl",
  ],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { output, ...settings } = checkSettings(schema, flags, given);
  refuseUnclear(settings);
  const screen = new Screen(io.stdout);
  using file = new WholeFile("--output", output);
  using interruption = watchInterrupt(() => {
    file[Symbol.dispose]();
    io.stderr.write("\npreftune: stopped; nothing is written.\n");
    process.exit(interruption.exitCode);
  });
  let [written, total] = [0, 0];
  const write = (row: Score | RewardScore) => {
    file.write(`${JSON.stringify(row)}\n`);
    screen.status(`${formatCount(++written)} of ${formatCount(total)} completions scored`);
  };
  const hub = hubOn(screen);
  const scorer = scorerOf(await fetchNamed(settings, hub), hub);
  const { pairs, ledger } = await scorer(write, (summary) => {
    file.refuseAmong(summary.ledger.toJSON().files);
    total = 2 * summary.pairs;
  }).finally(() => screen.clearStatus());
  file.complete();
  screen.print(...ledgerLines("rows", ledger), `${formatCount(pairs)} pairs scored: ${output}`);
  return 0;
}

type Settings = Omit<z.input<typeof schema>, "output">;

/** Throws ConfigError unless it is clear which model scores. */
function refuseUnclear({ model, rewardModel, adapter }: Settings): void {
  if (rewardModel === undefined && model === undefined) {
    throw new ConfigError("Give --model, or --reward-model to score by rewards.");
  }
  if (rewardModel !== undefined && (model !== undefined || adapter !== undefined)) {
    throw new ConfigError(`Give either --reward-model or --${model === undefined ? "adapter" : "model"}, not both.`);
  }
}

/** The model that scores. */
function scorerOf({ model, rewardModel, adapter, ...options }: Settings, hub: HubOptions) {
  type OnStart = (summary: ScoreSummary) => void;
  return rewardModel === undefined
    ? (write: (row: Score) => void, onStart: OnStart) =>
        score({ ...options, model: model!, adapter }, write, onStart, hub)
    : (write: (row: RewardScore) => void, onStart: OnStart) =>
        scoreRewards({ ...options, model: rewardModel }, write, onStart, hub);
}
