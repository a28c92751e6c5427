import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { commands } from "../../src/cli/commands/index.ts";
import { camelCase, flagsOf, kebabCase, optionsOf } from "../../src/cli/flags.ts";
import { buildProgram } from "../../src/cli/program.ts";
import { nearest } from "../../src/suggest.ts";
import { recorder } from "./support.ts";

/** The long flags that a command's help lists. */
function listedFlags(command: string): string[] {
  const program = buildProgram({ stdout: recorder(), stderr: recorder() }, () => {});
  const help = program.commands.find((candidate) => candidate.name() === command)!.helpInformation();
  return [...help.matchAll(/^ {2}(?:-\w, )?(--[\w-]+)/gm)].map((match) => match[1]!);
}

describe("the names that are promised", () => {
  const promised = {
    dpo: `--model --data --eval-data --output --config --loss --beta --label-smoothing --reference-free --tuning --lora-rank
      --lora-alpha --lora-targets --adapter --batch-size --epochs --max-steps --limit --no-shuffle --learning-rate --optimizer
      --weight-decay --schedule --warmup-steps --max-grad-norm --max-length --max-prompt-length --truncation --on-bad-row --chat
      --eval-every --save-every --seed --threads --resume --quiet`,
    score: "--model --adapter --data --output --limit --chat",
    generate:
      "--model --adapter --prompt --prompts --system --raw --max-new-tokens --temperature --top-p --seed --json",
    export: "--run --model --adapter --output",
  };

  test.each(Object.entries(promised))("%s", (command, flags) => {
    expect(listedFlags(command)).toEqual(expect.arrayContaining(flags.split(/\s+/)));
  });

  test("the defaults that are promised", () => {
    const dpo = flagsOf(commands.find(({ name }) => name === "dpo")!.schema);
    const defaults = Object.fromEntries(dpo.map((flag) => [flag.name, flag.default]));
    expect(defaults).toMatchObject({
      loss: ["sigmoid"],
      beta: 0.1,
      tuning: "lora",
      "lora-rank": 16,
      "lora-alpha": 32,
      "lora-targets": ["all-linear"],
      "batch-size": 8,
      epochs: 1,
      optimizer: "adamw",
      "weight-decay": 0,
      schedule: "linear",
      "max-grad-norm": 1,
      "max-length": 1024,
      truncation: "shorten",
      seed: 0,
    });
  });

  test("every key can be written as a flag and read back", () => {
    const keys = commands.flatMap(({ schema }) => Object.keys(schema.shape));
    expect(keys.map((key) => camelCase(kebabCase(key)))).toEqual(keys);
  });
});

describe("values", () => {
  const parserOf = (kind: string) => {
    const flag = commands.flatMap(({ schema }) => flagsOf(schema)).find((candidate) => candidate.kind === kind)!;
    return (text: string, previous?: string) => optionsOf(flag)[0]!.parseArg!(text, previous as never) as unknown;
  };

  test("numbers are decimal, in any usual spelling", () => {
    const parse = parserOf("number");
    expect(["1e-5", "0.1", ".5", "5.", "-2", "+3", "2E3"].map((text) => parse(text))).toEqual([
      1e-5, 0.1, 0.5, 5, -2, 3, 2000,
    ]);
  });

  test("a number is read as JavaScript writes it", () => {
    const parse = parserOf("number");
    fc.assert(
      fc.property(fc.double({ noNaN: true, noDefaultInfinity: true }), (value) => {
        expect(parse(String(value))).toBe(value + 0); // -0 is written as 0.
      }),
    );
  });

  test("what is no number stays text, which the schema then refuses by name", () => {
    const parse = parserOf("integer");
    expect(["", " ", "abc", "0x10", "Infinity", "1_000", "1,000", "8k", "1e400"].map((text) => parse(text))).toEqual([
      "",
      " ",
      "abc",
      "0x10",
      "Infinity",
      "1_000",
      "1,000",
      "8k",
      "1e400",
    ]);
  });

  test("a list given twice is one list", () => {
    expect(parserOf("list")("b.jsonl", "a.jsonl")).toBe("a.jsonl,b.jsonl");
  });
});

describe("the name that was probably meant", () => {
  test.each([
    ["lerning-rate", "learning-rate"],
    ["lora-r", "lora-rank"],
    ["batchsize", "batch-size"],
    ["beta2", "beta"],
    ["wandb-project", undefined],
  ])("%s: %s", (name, meant) => {
    expect(nearest(name, ["learning-rate", "lora-rank", "batch-size", "beta", "adapter"])).toBe(meant);
  });
});
