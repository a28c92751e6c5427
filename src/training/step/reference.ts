/**
 * The reference's log-probabilities, computed once an example and kept by content: the key is the tokens of the prompt
 * and of the completions with which of them are scored, and the store belongs to one set of reference weights. A run of
 * several epochs keeps its store on disk as well, so that a resumed run reads what the interrupted one computed.
 */

import { createHash } from "node:crypto";
import { appendFileSync, existsSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import type { TokenizedExample } from "../../data/example.ts";
import type { Weights } from "../../models/index.ts";
import { onDisk } from "../directory/run-directory.ts";
import type { CompletionScore } from "./engine.ts";
import { KnownScores } from "./known-scores.ts";

type Sequence = Pick<TokenizedExample, "prompt" | "completions" | "scored">;

export class ReferenceScores extends KnownScores<string> {
  private readonly file: string | undefined;

  /** `store` names a file to read from and append to, and the fingerprint of the weights that its values are of. */
  constructor(
    score: (examples: readonly Sequence[]) => Promise<CompletionScore[]>,
    store?: { file: string; fingerprint: () => string },
  ) {
    super(score, exampleKey);
    this.file = store?.file;
    if (store) this.open(store);
  }

  protected override remember(key: string, scores: readonly CompletionScore[]): boolean {
    if (!super.remember(key, scores)) return false;
    const { file } = this;
    if (!file) return true;
    const rows = scores.map(({ logp, tokens }) => [
      logp,
      Buffer.from(tokens.buffer, tokens.byteOffset, tokens.byteLength).toString("base64"),
    ]);
    onDisk(file, () => appendFileSync(file, `${JSON.stringify([key, rows])}\n`));
    return true;
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
