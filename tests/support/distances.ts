/**
 * How near a test came to TRL, kept for docs/objectives.md when it runs as `npm run parity` (with PREFTUNE_WRITE_PARITY set): the
 * largest relative distance of the loss of a step, case by case, in tests/golden/parity/distance-SUITE.json.
 */

import { writeFileSync } from "node:fs";
import type { ParityCase } from "../../src/cli/objectives-reference.ts";

export class Distances {
  private readonly cases: ParityCase[] = [];

  constructor(private readonly suite: string) {}

  add(
    description: Omit<ParityCase, "distance">,
    { found, expected }: { readonly found: readonly number[]; readonly expected: readonly number[] },
  ): void {
    const distance = Math.max(...found.map((loss, i) => Math.abs(loss / expected[i]! - 1)));
    this.cases.push({ ...description, distance: Number(distance.toPrecision(2)) });
  }

  /** Writes the file where that is asked for. */
  write(): void {
    if (process.env.PREFTUNE_WRITE_PARITY === undefined) return;
    const file = new URL(`../golden/parity/distance-${this.suite}.json`, import.meta.url);
    writeFileSync(file, `[\n${this.cases.map((one) => ` ${JSON.stringify(one)}`).join(",\n")}\n]\n`);
  }
}
