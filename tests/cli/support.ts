/** What the command line's tests share: invocations with their output, a tiny model on disk, preference files. */

import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { afterAll } from "vitest";
import type { JsonObject } from "../../src/checkpoints/checkpoint.ts";
import { writeCheckpoint } from "../../src/checkpoints/huggingface.ts";
import { runProgram } from "../../src/cli/program.ts";
import type { ScreenStream } from "../../src/cli/terminal/screen.ts";
import { modelFor } from "../../src/models/index.ts";
import { Random } from "../../src/random.ts";

/** A stream that keeps what is written to it. */
export function recorder(stream: Omit<ScreenStream, "write"> = {}): ScreenStream & { text(): string } {
  let text = "";
  return { ...stream, write: (piece: string) => (text += piece), text: () => text };
}

/** Runs one command line in this process. */
export async function preftune(...words: string[]): Promise<{ code: number; out: string; err: string }> {
  const [stdout, stderr] = [recorder(), recorder()];
  const code = await runProgram(words, { stdout, stderr });
  return { code, out: stdout.text(), err: stderr.text() };
}

/** What `npm run build` makes. */
export const executable = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

/** Starts the executable. `watch` sees its output grow. */
export function start(
  words: readonly string[],
  watch: (child: ChildProcess, out: string, err: string) => void = () => {},
): { child: ChildProcess; ended: Promise<Ended> } {
  const child = spawn(process.execPath, [executable, ...words], { stdio: ["ignore", "pipe", "pipe"] });
  const [out, err] = [recorder(), recorder()];
  const record = (stream: Readable, into: typeof out) =>
    stream.setEncoding("utf8").on("data", (piece: string) => {
      into.write(piece);
      watch(child, out.text(), err.text());
    });
  record(child.stdout, out);
  record(child.stderr, err);
  const ended = new Promise<Ended>((resolve) => {
    child.on("close", (code, signal) => resolve({ code, signal, out: out.text(), err: err.text() }));
  });
  return { child, ended };
}

/** A folder that is removed after the file's tests. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), "preftune-cli-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

const example = (name: string) => new URL(`../../examples/film-reviews/${name}`, import.meta.url);
const readJson = (name: string) => JSON.parse(readFileSync(example(name), "utf8")) as JsonObject;

const chatTemplate =
  "{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}" +
  "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}";

/** Writes a chat model of 80,000 random parameters, with the film reviews example's tokenizer. */
export function writeTinyModel(folder: string): string {
  const config: JsonObject = {
    architectures: ["LlamaForCausalLM"],
    model_type: "llama",
    vocab_size: 1024,
    hidden_size: 32,
    intermediate_size: 48,
    num_hidden_layers: 2,
    num_attention_heads: 4,
    num_key_value_heads: 2,
    max_position_embeddings: 512,
    tie_word_embeddings: false,
  };
  const random = new Random(7);
  const tensors = [...modelFor({ config, source: folder }).weights].map(([name, shape]) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const values = Float32Array.from({ length: size }, () => (shape.length === 1 ? 1 : random.next() - 0.5));
    return { name, shape, read: () => values };
  });
  const tokenizer = { tokenizer: readJson("model/tokenizer.json"), config: { eos_token: "<|im_end|>" }, chatTemplate };
  writeCheckpoint(folder, { config, tokenizer, tensors });
  return folder;
}

/** Writes the first `count` preference pairs of the film reviews example. */
export function writePairs(file: string, count: number, source = "preferences.jsonl"): string {
  const lines = readFileSync(example(source), "utf8").split("\n").slice(0, count);
  writeFileSync(file, `${lines.join("\n")}\n`);
  return file;
}
