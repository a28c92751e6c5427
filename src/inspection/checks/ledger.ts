/** What the ledger of loading says, as findings: rows that can't be used, are cut, or are tokenized with care. */

import type { LedgerReport } from "../../data/ledger.ts";
import type { Cause } from "../../data/problem.ts";
import type { LengthLimits } from "../../data/truncate.ts";
import type { Finding, Level } from "../check.ts";

interface Meaning {
  readonly level: Level;
  readonly why: string;
  readonly remedy: string;
}

const unreadable: Meaning = {
  level: "problem",
  why: "A run stops at the first of them, since the file is not what it seems.",
  remedy: "Mend the rows, or leave them out with --on-bad-row drop.",
};
/** What to do about answers that are cut off. */
export function cutAnswersRemedy({ maxLength, maxPromptLength }: LengthLimits): string {
  return `Raise --max-length (now ${maxLength}), lower --max-prompt-length (now ${maxPromptLength}) so that prompts leave the answers more of it, or leave such rows out with --truncation drop.`;
}

const tooLong = {
  remedy: "Raise --max-length, or leave such rows out with --truncation drop.",
};

const askedFor = { remedy: "They are left out by --drop." };

const nothingToPrefer = {
  level: "note",
  remedy: "Nothing needs to be done.",
} as const;

const dropped: Readonly<Partial<Record<Cause, Meaning>>> = {
  "not JSON": unreadable,
  "not CSV": unreadable,
  "missing or wrong field": unreadable,
  "empty completion": {
    level: "problem",
    why: "There is nothing to score. They are left out.",
    remedy: "Remove the rows, or find out why nothing was answered; --on-bad-row error stops at the first.",
  },
  "identical completions": {
    level: "problem",
    why: "A pair of equal completions prefers nothing: its margin is 0, whatever the model. They are left out.",
    remedy: "Remove the rows; --on-bad-row error stops at the first.",
  },
  "refused by the chat template": {
    level: "problem",
    why: "The model's template can't write these conversations, so the model has no words for them. They are left out.",
    remedy: "Mend their roles and their order; the ledger says what the template objects to.",
  },
  "prompt too long": {
    level: "warning",
    why: "The prompt alone leaves no room for what is scored. They are left out.",
    remedy: "Raise --max-length or lower --max-prompt-length.",
  },
  "completion too long": { level: "warning", why: "They are left out.", ...tooLong },
  duplicate: { level: "note", why: "They are an earlier row to the letter.", ...askedFor },
  "near duplicate": { level: "note", why: "They nearly repeat an earlier row.", ...askedFor },
  "garbled text": { level: "note", why: "Characters of them were lost or read in the wrong encoding.", ...askedFor },
  "opposite preference": { level: "note", why: "Another row prefers the same the other way round.", ...askedFor },
  "no preference": { ...nothingToPrefer, why: "Their completions are tied, which prefers none. They are left out." },
  "weak preference": {
    ...nothingToPrefer,
    why: "Their scores are too near to each other to say which is better, as in the official DPO code. They are left out.",
  },
  "not desirable": {
    ...nothingToPrefer,
    why: "Their completion is labelled bad, and texts to imitate are learned. They are left out.",
  },
  "no common prompt": {
    level: "problem",
    why: "Chosen and rejected do not begin with the same turns, so there is no prompt that both answer. They are left out.",
    remedy: "Mend the rows, or name their shape with --format or their fields with --columns.",
  },
};

const other: Meaning = {
  level: "warning",
  why: "They can't be learned from and are left out.",
  remedy: "Mend or remove the rows; --on-bad-row error stops at the first.",
};

/** What it means that rows are cut, by what of them is. */
function meaningOfCuts(limits: LengthLimits): Readonly<Record<string, Meaning>> {
  return {
    "prompt too long": {
      level: "note",
      why: `The beginning of the prompt is cut off, its system turn kept, down to ${limits.maxPromptLength} tokens where it must be: the answer may speak of what is no longer there.`,
      ...tooLong,
    },
    "completion too long": {
      level: "warning",
      why: "The end of the answer is cut off: nothing is learned from it.",
      remedy: cutAnswersRemedy(limits),
    },
  };
}

export function ledgerFindings(report: LedgerReport, limits: LengthLimits): Finding[] {
  const { read, used } = report;
  const shortened = meaningOfCuts(limits);
  const of = (total: number, name: string, tally: LedgerReport["droppedBy"][string], meaning: Meaning): Finding => ({
    ...meaning,
    name,
    count: tally.count,
    share: tally.count / total,
    rows: tally.rows.map((origin, i) => ({
      origin,
      ...(i === 0 && tally.example !== undefined && { detail: tally.example }),
    })),
  });
  return [
    ...Object.entries(report.droppedBy).map(([cause, tally]) =>
      of(read, cause, tally, dropped[cause as Cause] ?? other),
    ),
    ...Object.entries(report.shortenedBy).map(([cause, tally]) =>
      of(used, `shortened: ${cause}`, tally, shortened[cause] ?? other),
    ),
    ...(report.boundaryMerged === undefined
      ? []
      : [
          of(used, "boundary tokens that merge", report.boundaryMerged, {
            level: "note",
            why: "The tokenizer joins the prompt's last characters with the completion's first. The completion is tokenized on its own, as the model will write it after the prompt's tokens.",
            remedy: "Let prompts end and completions begin at a space or a line end, the same in all rows.",
          }),
        ]),
    ...(report.unwrittenTools === undefined
      ? []
      : [
          of(used, "tools that the chat template leaves out", report.unwrittenTools, {
            level: "problem",
            why: "The model's template has no words for tools or for calls of them: the model learns answers whose reasons it does not see.",
            remedy:
              "Give a model whose template writes tools, put one as chat_template.jinja into its folder, or leave the column out with --columns tools=.",
          }),
        ]),
    ...Object.entries(report.specialTokens).map(([token, tally]) =>
      of(used, `${token} in the text`, tally, {
        level: "warning",
        why: "A special token stands in the words of a row. The model takes it for the real one: the text can end a turn or begin another.",
        remedy: "Remove it from the texts, unless they are meant to be written with the template's tokens.",
      }),
    ),
  ];
}
