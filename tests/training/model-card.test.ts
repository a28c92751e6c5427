/** The model card of a result, as the hub reads it and as a person does. */

import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { modelCard } from "../../src/training/directory/model-card.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";

const given = {
  model: "HuggingFaceTB/SmolLM2-135M-Instruct",
  data: ["hf:Anthropic/hh-rlhf:train", "my pairs.jsonl"],
  evalData: ["hf:Anthropic/hh-rlhf:test"],
  output: "runs/first",
  loss: ["ipo"],
  beta: 0.2,
  learningRate: 1e-4,
  shuffle: false,
  loraTargets: ["q_proj", "v_proj"],
  keepBest: true,
  threads: 4,
};
const config = resolveConfig(methods.dpo!, given);
const metrics = (loss: number) => ({ step: 1, eval_loss: loss, "eval_rewards/accuracies": 0.5, loss: 3 });
const noRows = { files: [], shortenedBy: {}, specialTokens: {}, droppedBy: {} };
const dropped = { "identical completions": { count: 2, rows: [] }, duplicate: { count: 1, rows: [] } };
const card = modelCard({
  config,
  ledger: { ...noRows, shape: "hh", read: 1203, used: 1200, shortened: 7, dropped: 3, droppedBy: dropped },
  evalLedger: { ...noRows, shape: "hh", read: 10, used: 10, shortened: 0, dropped: 0 },
  license: "apache-2.0",
  before: metrics(0.75),
  after: metrics(0.51234),
});

/** The settings that a command line gives. */
function settingsOf(command: string): Record<string, unknown> {
  const words = [...command.matchAll(/'([^']*)'|\S+/g)].map(([word, quoted]) => quoted ?? word);
  const settings: Record<string, unknown> = {};
  for (const [i, word] of words.entries()) {
    if (!word.startsWith("--")) continue;
    const isNegated = word.startsWith("--no-");
    const key = word.replace(/^--(no-)?/, "").replace(/-([a-z])/g, (_, letter: string) => letter.toUpperCase());
    const next = words[i + 1];
    const value = next === undefined || next.startsWith("--") ? !isNegated : next;
    settings[key] = typeof value === "string" && /^[\d.e-]+$/.test(value) ? Number(value) : value;
  }
  return settings;
}

describe("a model card", () => {
  test("has a header that the hub understands", () => {
    expect(parse(card.split("---\n")[1]!)).toEqual({
      base_model: "HuggingFaceTB/SmolLM2-135M-Instruct",
      library_name: "peft",
      license: "apache-2.0",
      pipeline_tag: "text-generation",
      tags: ["preftune", "dpo", "ipo", "lora", "preference-tuning"],
      datasets: ["Anthropic/hh-rlhf"],
    });
  });

  test("says what was learnt from, how, and what came of it on held-out rows", () => {
    expect(card).toContain(
      "on `hf:Anthropic/hh-rlhf:train`, `my pairs.jsonl`, evaluated on `hf:Anthropic/hh-rlhf:test`.",
    );
    expect(card).toContain(
      "| trained on | hh | 1,203 | 1,200 | 7 | 2 identical completions, 1 duplicate |\n| held out | hh | 10 | 10 | 0 | 0 |\n",
    );
    expect(card).toContain("- loss: ipo\n- beta: 0.2\n");
    expect(card).toContain("- tuning: lora\n- loraRank: 16\n");
    expect(card).toContain("| eval_loss | 0.7500 | 0.5123 |\n| eval_rewards/accuracies | 0.5000 | 0.5000 |");
    expect(card).not.toContain("| loss |");
  });

  test("has a command that makes the same configuration, but for what changes no number", () => {
    const command = /```sh\n(preftune dpo .*)\n```/.exec(card)![1]!;
    expect(command).toContain("--no-shuffle");
    expect(command).not.toContain("--epochs");
    expect(resolveConfig(methods.dpo!, settingsOf(command))).toEqual({
      ...config,
      output: "again",
      threads: undefined,
    });
  });

  test("names the run's settings file where a source says more of itself than a flag can", () => {
    const data = [{ path: "odd.jsonl", columns: ["prompt=question"] }];
    const odd = modelCard({ config: resolveConfig(methods.dpo!, { model: "m", data, output: "o" }) });
    expect(odd).toContain("```sh\npreftune dpo --config config.json --output again\n```");
  });

  test("has no table where nothing was held out, and no license that is not known", () => {
    const bare = modelCard({ config: resolveConfig(methods.sft!, { model: "m", data: ["d"], output: "o" }) });
    expect(bare).not.toContain("held-out");
    expect(parse(bare.split("---\n")[1]!)).toEqual({
      base_model: "m",
      library_name: "peft",
      pipeline_tag: "text-generation",
      tags: ["preftune", "sft", "nll", "lora"],
    });
  });
});
