/** `preftune score`: the log-probability of every completion, one JSON object a line. */

import { closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs";
import { z } from "zod";
import { systemReason } from "../../checkpoints/files.ts";
import { ConfigError } from "../../errors.ts";
import { type Score, score, scoreSchema } from "../../evaluation/score.ts";
import type { CommandDefinition, Invocation } from "../command.ts";
import { watchInterrupt } from "../interrupt.ts";
import { checkSettings } from "../settings.ts";
import { formatCount } from "../terminal/numbers.ts";
import { Screen } from "../terminal/screen.ts";
import { ledgerLines } from "../terminal/summary.ts";

const schema = z.strictObject({
  ...scoreSchema.shape,
  output: z.string().min(1).describe("the file to write, one JSON object a completion"),
});

export const scoreCommand: CommandDefinition<typeof schema> = {
  name: "score",
  summary: "Score the completions of preference pairs with a model",
  description:
    "Writes one JSON object a completion, in the order of the data: index, completion (chosen or rejected), prompt_tokens, " +
    "tokens, and logp, the sum of the tokens' log-probabilities in nats.",
  schema,
  groups: {
    "Model and data": {
      model: "path",
      adapter: "folder",
      data: "files",
      output: "file",
      limit: true,
      chat: true,
      onBadRow: true,
    },
    Length: { maxLength: true, maxPromptLength: true, truncation: true },
    Machine: { threads: true, microBatchTokens: true },
  },
  examples: ["preftune score --model SmolLM2-135M-Instruct.gguf --data pairs.jsonl --output scores.jsonl"],
  run,
};

async function run({ flags, given, io }: Invocation): Promise<number> {
  const { output, ...options } = checkSettings(schema, flags, given);
  const screen = new Screen(io.stdout);
  using file = new WholeFile(output);
  using interruption = watchInterrupt(() => {
    file[Symbol.dispose]();
    io.stderr.write("\npreftune: stopped; nothing is written.\n");
    process.exit(interruption.exitCode);
  });
  let [written, total] = [0, 0];
  const write = (row: Score) => {
    file.write(`${JSON.stringify(row)}\n`);
    screen.status(`${formatCount(++written)} of ${formatCount(total)} completions scored`);
  };
  const { pairs, ledger } = await score(options, write, (summary) => {
    total = 2 * summary.pairs;
  }).finally(() => screen.clearStatus());
  file.complete();
  screen.print(...ledgerLines("rows", ledger), `${formatCount(pairs)} pairs scored: ${output}`);
  return 0;
}

/** A text file that has its name only once it is complete. */
class WholeFile implements Disposable {
  private readonly temporary: string;
  private descriptor: number | undefined;

  constructor(private readonly path: string) {
    this.temporary = `${path}.tmp-${process.pid}`;
    try {
      this.descriptor = openSync(this.temporary, "w");
    } catch (error) {
      throw new ConfigError(`--output ${path} can't be written (${systemReason(error)}).`, { cause: error });
    }
  }

  write(text: string): void {
    writeSync(this.descriptor!, text);
  }

  complete(): void {
    this.close();
    renameSync(this.temporary, this.path);
  }

  /** Leaves nothing of a file that was not completed. */
  [Symbol.dispose](): void {
    this.close();
    rmSync(this.temporary, { force: true });
  }

  private close(): void {
    if (this.descriptor !== undefined) closeSync(this.descriptor);
    this.descriptor = undefined;
  }
}
