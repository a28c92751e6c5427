/** `preftune generate`: a model's answers to prompts. */

import { z } from "zod";
import { loadPrompts } from "../../data/load.ts";
import { ConfigError } from "../../errors.ts";
import {
  type Answer,
  type AnswerOptions,
  LoadedModel,
  type OpenedModel,
  openModel,
} from "../../evaluation/loaded-model.ts";
import { scoreSchema } from "../../evaluation/score.ts";
import { datasetFinder } from "../../hub/index.ts";
import { promptIds } from "../../text/boundary.ts";
import type { Content } from "../../text/chat.ts";
import { trainingShape } from "../../training/config.ts";
import type { CommandDefinition, Invocation, Io } from "../command.ts";
import type { Settings } from "../config-file.ts";
import { rowFlags } from "../flag-groups.ts";
import { fetchNamed, hubOn } from "../hub.ts";
import { checkSettings } from "../settings.ts";
import { Screen } from "../terminal/screen.ts";
import { ledgerLines } from "../terminal/summary.ts";
import { printable } from "../terminal/text.ts";

const schema = z.strictObject({
  model: trainingShape.model,
  adapter: z.string().min(1).optional().describe("a PEFT adapter to put on the model"),
  prompt: z.string().min(1).optional().describe("the prompt itself"),
  prompts: z
    .string()
    .min(1)
    .optional()
    .describe("a file of rows with a prompt, of any kind that --data takes elsewhere"),
  format: trainingShape.format,
  columns: trainingShape.columns,
  limit: trainingShape.limit,
  onBadRow: trainingShape.onBadRow,
  system: z.string().optional().describe("a system message before the prompt"),
  raw: z.boolean().default(false).describe("continue the text as it stands, without the model's chat template"),
  maxNewTokens: z.number().int().positive().default(128).describe("longest answer, in tokens"),
  temperature: z.number().min(0).default(0).describe("0 takes the most probable token; larger draws more freely"),
  topP: z
    .number()
    .positive()
    .max(1)
    .default(1)
    .describe("draw from the most probable tokens of this total probability"),
  seed: trainingShape.seed,
  json: z.boolean().default(false).describe("print one JSON object a prompt"),
  threads: trainingShape.threads,
  force: scoreSchema.shape.force,
});

export const generateCommand: CommandDefinition<typeof schema> = {
  name: "generate",
  summary: "Answer prompts with a model",
  description:
    "A prompt is wrapped as a user's message where the model has a chat template; --raw continues the text as it stands.",
  schema,
  groups: {
    "Model and prompts": {
      model: "path",
      adapter: "folder",
      prompt: "text",
      prompts: "file",
      ...rowFlags,
      limit: true,
      onBadRow: true,
      system: "text",
      raw: true,
    },
    Sampling: { maxNewTokens: true, temperature: true, topP: true, seed: true },
    Output: { json: true, threads: true, force: true },
  },
  examples: [
    'preftune generate --model SmolLM2-135M-Instruct.gguf --adapter runs/first/adapter --prompt "What is a fjord?"',
    "preftune generate --model runs/full/model --prompts prompts.jsonl --temperature 0.7 --top-p 0.9 --json",
  ],
  run,
};

interface Prompt {
  /** The row's place in its file, counted from 0. */
  readonly index: number;
  readonly content: Content;
  readonly ids: Int32Array;
}

async function run({ flags, given, io }: Invocation): Promise<number> {
  const settings = schema.parse(checkSettings(schema, flags, given));
  if ((settings.prompt === undefined) === (settings.prompts === undefined)) {
    throw new ConfigError("Give either --prompt TEXT or --prompts FILE.");
  }
  refuseIdle(settings, given);
  const hub = hubOn(new Screen(io.stderr));
  const { adapter } = await fetchNamed({ adapter: settings.adapter, data: settings.prompts }, hub);
  using opened = await openModel(settings.model, "log-probability", { ...settings, adapter, hub });
  const prompts = await readPrompts(opened, settings, io);
  await using model = new LoadedModel(opened, await opened.load());
  const { maxNewTokens, temperature, topP, seed, json } = settings;
  const options: AnswerOptions = { maxNewTokens, temperature, topP, seed };
  const isStreamed = settings.prompt !== undefined && !json;
  const write = (text: string) => io.stdout.write(io.stdout.isTTY ? printable(text) : text);
  const answers = await model.generateFromIds(
    prompts.map(({ ids }) => ids),
    isStreamed ? { ...options, onText: write } : options,
  );
  if (isStreamed) io.stdout.write("\n");
  else if (json) printJson(io, prompts, answers);
  else printAnswers(io, prompts, answers);
  return 0;
}

/** Throws ConfigError for flags that would be without effect. */
function refuseIdle({ prompt, temperature, topP }: z.output<typeof schema>, given: Settings): void {
  if (temperature === 0 && topP < 1) {
    throw new ConfigError(
      "--top-p has no effect at temperature 0, which takes the most probable token. Give --temperature too, or leave it out.",
    );
  }
  const ofRows = ["format", "columns", "limit", "onBadRow"].find((key) => given.has(key));
  if (prompt === undefined || ofRows === undefined) return;
  throw new ConfigError(`${given.get(ofRows)!.where} is for the rows of --prompts, and has no effect with --prompt.`);
}

async function readPrompts(
  { tokenizer }: Pick<OpenedModel, "tokenizer">,
  { prompt, prompts, format, columns, system, raw, limit, onBadRow }: z.output<typeof schema>,
  io: Io,
): Promise<Prompt[]> {
  const options = { chat: !raw && tokenizer.hasChatTemplate, system };
  if (prompt !== undefined) return [{ index: 0, content: prompt, ids: promptIds(tokenizer, prompt, options) }];
  const source = { files: prompts!, format, columns, find: datasetFinder("training") };
  const loaded = await loadPrompts({ ...options, ...source, tokenizer, limit, onBadRow });
  for (const line of ledgerLines("prompts", loaded.ledger)) io.stderr.write(`${line}\n`);
  return loaded.prompts.map(({ origin, content, prompt: ids }) => ({ index: origin.line - 1, content, ids }));
}

function printJson(io: Io, prompts: readonly Prompt[], answers: readonly Answer[]): void {
  answers.forEach(({ text, tokens, reason }, i) => {
    const { index, content: prompt } = prompts[i]!;
    io.stdout.write(`${JSON.stringify({ index, prompt, completion: text, tokens: tokens.length, reason })}\n`);
  });
}

function printAnswers(io: Io, prompts: readonly Prompt[], answers: readonly Answer[]): void {
  const screen = new Screen(io.stdout);
  answers.forEach(({ text }, i) => {
    const { content } = prompts[i]!;
    const question = typeof content === "string" ? content : content.at(-1)!.content;
    screen.print(...(i === 0 ? [] : [""]), screen.paint("bold", printable(question.trim())), printable(text.trim()));
  });
}
