/**
 * The reference's log-probabilities, computed once an example and kept by content: the key is the tokens of the prompt
 * and of the completions with which of them are scored, and the store belongs to one set of reference weights. A run of
 * several epochs keeps its store on disk as well, so that a resumed run reads what the interrupted one computed.
 */

import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import type { TokenizedExample } from "../data/example.ts";
import type { Weights } from "../models/index.ts";
import type { CompletionScore } from "./engine.ts";
import { onDisk } from "./run-directory.ts";

type Sequence = Pick<TokenizedExample, "prompt" | "completions" | "scored">;
type Scorer = (examples: readonly Sequence[]) => Promise<CompletionScore[]>;

export class ReferenceScores {
  private readonly known = new Map<string, readonly CompletionScore[]>();
  private readonly score: Scorer;
  private readonly file: string | undefined;

  /** `store` names a file to read from and append to, and the fingerprint of the weights that its values are of. */
  constructor(score: Scorer, store?: { file: string; fingerprint: () => string }) {
    this.score = score;
    this.file = store?.file;
    if (store) this.open(store);
  }

  /** The scores of every example's completions. What is not known is computed in one run for the whole group. */
  async of(examples: readonly Sequence[]): Promise<CompletionScore[]> {
    const keys = examples.map(exampleKey);
    if (keys.some((key) => !this.known.has(key))) {
      const scores = await this.score(examples);
      let start = 0;
      examples.forEach(({ completions }, i) => {
        this.remember(keys[i]!, scores.slice(start, start + completions.length));
        start += completions.length;
      });
    }
    return keys.flatMap((key) => this.known.get(key)!);
  }

  /** The first value of an example stays: a later run in another group may round differently. */
  private remember(key: string, scores: readonly CompletionScore[]): void {
    if (this.known.has(key)) return;
    this.known.set(key, scores);
    const { file } = this;
    if (!file) return;
    const rows = scores.map(({ logp, tokens }) => [
      logp,
      Buffer.from(tokens.buffer, tokens.byteOffset, tokens.byteLength).toString("base64"),
    ]);
    onDisk(file, () => appendFileSync(file, `${JSON.stringify([key, rows])}\n`));
  }

  private open({ file, fingerprint }: { file: string; fingerprint: () => string }): void {
    const header = `${JSON.stringify({ fingerprint: fingerprint() })}\n`;
    const text = existsSync(file) ? readFileSync(file, "utf8") : "";
    if (!text.startsWith(header)) {
      writeFileSync(file, header);
      return;
    }
    // A run that was killed may have left half a line; what follows the last line break is not a value.
    const end = text.lastIndexOf("\n") + 1;
    truncateSync(file, end);
    for (const line of text.slice(header.length, end).split("\n").slice(0, -1)) {
      const [key, rows] = JSON.parse(line) as [string, [number, string][]];
      this.known.set(
        key,
        rows.map(([logp, tokens]) => ({
          logp,
          tokens: new Float32Array(Uint8Array.from(Buffer.from(tokens, "base64")).buffer),
        })),
      );
    }
  }
}

function exampleKey({ prompt, completions, scored = [] }: Sequence): string {
  const hash = createHash("sha256").update(Int32Array.of(prompt.length, ...completions.map((c) => c.length)));
  for (const values of [prompt, ...completions, ...scored]) hash.update(values);
  return hash.digest("base64");
}

/** A hash of all examples' tokens, and of the numbers that their rows carry, in their order. */
export function hashOfExamples(examples: readonly TokenizedExample[]): string {
  const hash = createHash("sha256");
  for (const example of examples) {
    hash.update(exampleKey(example));
    if (example.values) hash.update(JSON.stringify(example.values));
  }
  return hash.digest("hex");
}

/** A hash of all weights' names, shapes and values. */
export function fingerprint(weights: Weights): string {
  const hash = createHash("sha256");
  for (const name of Object.keys(weights).sort()) {
    const { dims, data } = weights[name]!;
    hash.update(`${name} ${dims}`).update(data);
  }
  return hash.digest("hex");
}
