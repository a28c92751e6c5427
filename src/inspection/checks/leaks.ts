/** Held-out rows that training sees too: word for word but for case and spaces, nearly so, or by their prompt. */

import { describeOrigin, type RowOrigin } from "../../data/example.ts";
import { hashOf } from "../../data/hash.ts";
import { Signatures } from "../../data/min-hash.ts";
import { ALIKE, describeLikeness } from "../../data/near-duplicates.ts";
import { looseKey, plain } from "../../data/repeats.ts";
import { type Check, Tally } from "../check.ts";
import type { InspectedRow } from "../row.ts";

export function leaks(named: number): Check {
  const prompts = new Map<number, RowOrigin>();
  const rows = new Map<number, RowOrigin>();
  const signatures = new Signatures();
  const origins: RowOrigin[] = [];
  const samePrompt = new Tally(named);
  const sameRow = new Tally(named);
  const alike = new Tally(named);
  let heldOut = 0;
  const remember = (map: Map<number, RowOrigin>, key: number, origin: RowOrigin) => {
    if (!map.has(key)) map.set(key, origin);
  };
  return {
    see(row) {
      remember(rows, looseKey(row.example), row.origin);
      if (row.prompt !== "") remember(prompts, promptKey(row), row.origin);
      const signature = row.signature();
      if (signature === undefined) return;
      signatures.add([signature]);
      origins.push(row.origin);
    },
    seeHeldOut(row) {
      heldOut++;
      const same = rows.get(looseKey(row.example));
      if (same !== undefined) {
        sameRow.add(row.origin, `is ${describeOrigin(same)}`);
        return;
      }
      const asked = row.prompt === "" ? undefined : prompts.get(promptKey(row));
      if (asked !== undefined) samePrompt.add(row.origin, `the prompt of ${describeOrigin(asked)}`);
      const signature = row.signature();
      const like = signature && signatures.likest([signature], ALIKE);
      if (like === undefined) return;
      alike.add(row.origin, describeLikeness({ earlier: origins[like.place]!, similarity: like.similarity }));
    },
    findings() {
      return [
        ...sameRow.finding(
          {
            name: "held-out rows in the training data",
            level: "problem",
            why: "Their evaluation measures memory: accuracy and loss come out better than they are.",
            remedy: "--drop leaks leaves them out of the evaluation; or remove them from --data.",
          },
          heldOut,
        ),
        ...alike.finding(
          {
            name: "held-out rows nearly in the training data",
            level: "warning",
            why: "At least 80 % of their runs of three words are those of a row to train on, so their evaluation measures memory in part.",
            remedy: "Look at some, and remove them from the file of --data or of --eval-data.",
          },
          heldOut,
        ),
        ...samePrompt.finding(
          {
            name: "held-out prompts in the training data",
            level: "note",
            why: "With other completions than there. How well the model does on prompts that it has not seen is not measured by them.",
            remedy: "Split the rows by prompt, so that all rows of one are on one side.",
          },
          heldOut,
        ),
      ];
    },
  };
}

const promptKey = ({ prompt }: InspectedRow) => hashOf(plain(prompt));
