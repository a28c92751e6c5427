import { writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { readConfigFile, type Settings } from "../../src/cli/config-file.ts";
import { flagsOf } from "../../src/cli/flags.ts";
import { checkSettings, layered } from "../../src/cli/settings.ts";
import { ConfigError } from "../../src/errors.ts";
import { flatConfig } from "../../src/training/config.ts";
import { methods, resolveConfig } from "../../src/training/methods.ts";
import { scratchFolder } from "../support/scratch.ts";

const { at, folder } = scratchFolder();
const flags = flagsOf(methods.dpo!.schema);

function fromFile(text: string): Settings {
  writeFileSync(at("run.yaml"), text);
  return readConfigFile(at("run.yaml"), flags, "dpo");
}

function fromFlags(values: Record<string, unknown>): Settings {
  return new Map(Object.entries(values).map(([key, value]) => [key, { value, where: `--${key}` }]));
}

const values = (settings: Settings) => Object.fromEntries([...settings].map(([key, { value }]) => [key, value]));

/** The message of the ConfigError that `action` throws, without the folder's name. */
function complaint(action: () => unknown): string {
  try {
    action();
  } catch (error) {
    if (error instanceof ConfigError) return error.message.replaceAll(`${folder}/`, "");
    throw error;
  }
  throw new Error("nothing was wrong");
}

describe("a file", () => {
  test("takes the flags' names and the library's", () => {
    const text = "model: m\nbatch-size: 4\nloraRank: 8\nlearning-rate: 5e-6\ndata: [a.jsonl, b.jsonl]\nchat: true\n";
    expect(values(fromFile(text))).toEqual({
      model: "m",
      batchSize: 4,
      loraRank: 8,
      learningRate: 5e-6,
      data: ["a.jsonl", "b.jsonl"],
      chat: true,
    });
  });

  test("takes a flag that turns something off by the flag's name", () => {
    expect(values(fromFile("no-shuffle: true"))).toEqual({ shuffle: false });
  });

  test("can be the resolved configuration of a run", () => {
    const config = resolveConfig(methods.dpo!, { model: "m", data: "a.jsonl,b.jsonl", output: "runs/x", beta: 0.3 });
    const settings = fromFile(JSON.stringify(flatConfig(config), null, 2));
    expect(resolveConfig(methods.dpo!, checkSettings(methods.dpo!.schema, flags, settings))).toEqual(config);
  });

  test("loses to flags, and flags that are not given leave it alone", () => {
    const file = fromFile("model: m\nbeta: 0.2\nchat: true\nepochs: 3");
    expect(values(layered(file, fromFlags({ beta: 0.5, chat: false })))).toEqual({
      model: "m",
      beta: 0.5,
      chat: false,
      epochs: 3,
    });
  });

  test.each([
    ["beta: 0.1\nlerning-rate: 1e-5", "run.yaml line 2: lerning-rate is not a setting. Did you mean learning-rate?"],
    ["learningrate: 1e-5", "run.yaml line 1: learningrate is not a setting. Did you mean learning-rate?"],
    ["loraRnak: 8", "run.yaml line 1: loraRnak is not a setting. Did you mean loraRank?"],
    ["wandb_project: x", "run.yaml line 1: wandb_project is not a setting. --help lists them all."],
    ["batch-size: 4\nbatchSize: 8", "run.yaml line 2: batchSize is given twice."],
    ["shuffle: false\nno-shuffle: true", "run.yaml line 2: no-shuffle is given twice."],
    ["no-shuffle: 1", "run.yaml line 1: no-shuffle must be true or false, but is 1."],
    ["beta: 1\nbeta: 2", "run.yaml line 2 is not valid YAML: Map keys must be unique."],
    ["beta: *strong", "run.yaml line 1: beta: Unresolved alias (the anchor must be set before the alias): strong."],
    ["beta: 1\n---\nbeta: 2", "run.yaml line 2 begins a second document. Give one document of settings."],
    ["- beta\n- 1", 'run.yaml must have settings as "name: value", one a line, such as "batch-size: 8".'],
    ["", 'run.yaml must have settings as "name: value", one a line, such as "batch-size: 8".'],
  ])("%j is refused", (text, message) => {
    expect(complaint(() => fromFile(text))).toBe(message);
  });

  test("with aliases of aliases without end is refused", () => {
    const eight = (name: string) => `[${Array.from({ length: 8 }, () => name).join(", ")}]`;
    const text = `epochs: &a ${eight("x")}\nseed: &b ${eight("*a")}\nthreads: &c ${eight("*b")}\nbeta: ${eight("*c")}\n`;
    expect(complaint(() => fromFile(text))).toMatch(/^run\.yaml line \d: \w+: Excessive alias count/);
  });

  test("takes a value by its anchor", () => {
    expect(values(fromFile("learning-rate: &rate 1e-5\nsft-learning-rate: *rate"))).toEqual({
      learningRate: 1e-5,
      sftLearningRate: 1e-5,
    });
  });

  test("that is not there is refused", () => {
    expect(complaint(() => readConfigFile("no/such.yaml", flags))).toMatchInlineSnapshot(
      `"--config no/such.yaml can't be read (there is no such file or folder)."`,
    );
  });
});

describe("what is wrong with a value", () => {
  const check = (settings: Settings) => complaint(() => checkSettings(methods.dpo!.schema, flags, settings));

  test("every setting that is missing is named with what it is", () => {
    expect(check(new Map())).toMatchInlineSnapshot(`
      "--model is missing (the model: a Hugging Face folder, a .gguf file, or org/name on the hub).
      --data is missing (rows to train on: files, folders, globs, - or hf:org/name; several with commas, mixed if weighted, as in a.jsonl:0.7).
      --output is missing (the run directory, made by this run)."
    `);
  });

  test("every wrong flag is named, with what it must be", () => {
    const required = { model: "m", data: "d", output: "o" };
    const wrong = {
      loss: "sigmod",
      beta: -1,
      labelSmoothing: 0.5,
      loraRank: 2.5,
      learningRate: "fast",
      truncation: "keep",
      evalData: "",
      seed: -1,
    };
    expect(check(fromFlags({ ...required, ...wrong }))).toMatchInlineSnapshot(`
      "--evalData must be a text that is not empty, but is "".
      --loraRank must be a whole number, but is 2.5.
      --learningRate must be a number, but is "fast".
      --truncation must be shorten, drop or error, but is "keep".
      --seed must be at least 0, but is -1.
      --loss must be sigmoid, hinge, ipo, robust, exo_pair, nca_pair, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sigmoid_norm, tdpo1, tdpo2, sft or plackett_luce, but is "sigmod". Did you mean sigmoid?
      --beta must be above 0, but is -1.
      --labelSmoothing must be below 0.5, but is 0.5."
    `);
  });

  test("a wrong value in a file is named with its line", () => {
    expect(check(fromFile("model: m\ndata: 3\noutput:\nbatch-size: '8'\nchat: yes\n"))).toMatchInlineSnapshot(`
      "run.yaml line 2: data must be a text with commas or a list of texts, but is 3.
      run.yaml line 3: output has no value.
      run.yaml line 4: batch-size must be a whole number, but is "8".
      run.yaml line 5: chat must be true or false, but is "yes"."
    `);
  });

  test("one of a list is named by its place in the file's list, or by itself in a text", () => {
    const required = "model: m\noutput: o\n";
    const wrong = [
      "data: [a, 3]",
      "data: [a, '']",
      "data: [a, {path: b, weight: 0}]",
      "data: [a, {weight: 2}]",
      "data: [a, {path: b, format: opnai}]",
      "data: a\nloss: [sigmoid, ipoo]",
      "data: a\nloss-weights: [1, x]",
      "data: a\nloss-weights: 0.5",
      "data: a\ncolumns: {prompt: 3}",
    ];
    expect(
      wrong.map((text) => check(fromFile(required + text)).replace(/(format must be ).*(, but)/, "$1...$2")),
    ).toMatchInlineSnapshot(`
      [
        "run.yaml line 3: data 2 must be a text, but is 3.",
        "run.yaml line 3: data 2 has an empty name: there is a comma too many, or a name is missing.",
        "run.yaml line 3: data 2, weight must be above 0, but is 0.",
        "run.yaml line 3: data 2, path is missing.",
        "run.yaml line 3: data 2, format must be ..., but is "opnai". Did you mean openai?",
        "run.yaml line 4: loss 2 must be sigmoid, hinge, ipo, robust, exo_pair, nca_pair, bco_pair, sppo_hard, aot, aot_unpaired, apo_zero, apo_down, discopop, sigmoid_norm, tdpo1, tdpo2, sft or plackett_luce, but is "ipoo". Did you mean ipo?",
        "run.yaml line 4: loss-weights 2 must be a number, but is "x".",
        "run.yaml line 4: loss-weights must be numbers with commas or a list of numbers, but is 0.5.",
        "run.yaml line 4: columns, prompt must be a text, but is 3.",
      ]
    `);
    const given = { model: "m", output: "o", data: "a.jsonl,", lossWeights: "1,x" };
    expect(check(fromFlags(given))).toMatchInlineSnapshot(`
      "--data has an empty name: there is a comma too many, or a name is missing.
      --lossWeights must be a number, but is "x"."
    `);
  });

  test("a number that is not finite is shown as it was given", () => {
    const required = "model: m\ndata: d\noutput: o\n";
    expect(check(fromFile(`${required}beta: .inf\nlearning-rate: .nan`))).toBe(
      "run.yaml line 5: learning-rate must be a number, but is NaN.\nrun.yaml line 4: beta must be a number, but is Infinity.",
    );
  });
});
