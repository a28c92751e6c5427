import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { describeFailure } from "../../src/cli/failure.ts";
import { cliReference } from "../../src/cli/reference.ts";
import { commandLine } from "../../src/command-line.ts";
import { DataError, RunError } from "../../src/errors.ts";
import { version } from "../../src/version.ts";
import { preftune } from "./support.ts";

describe("help", () => {
  test("names the commands", async () => {
    const { code, out, err } = await preftune("--help");
    expect({ code, err }).toEqual({ code: 0, err: "" });
    expect(out).toMatchInlineSnapshot(`
      "Usage: preftune [options] [command]

      Preference tuning of language models: DPO and its family, exact and fast, on one machine.

      Options:
        -v, --version           show the version
        -h, --help              show this help

      Commands:
        inspect                 Look at rows or at a model before anything is trained
        dpo [options]           Tune a model on preferences, by DPO and its family
        orpo [options]          Tune a base model on preferences in one stage, likelihood and odds ratio,
                                without a reference
        simpo [options]         Tune a model on preferences by the likelihood a token, with a margin and
                                without a reference
        cpo [options]           Tune a model on preferences contrastively, kept near the chosen
                                completions, without a reference
        mpo [options]           Tune a model on preferences as the reward of a choice, near reference data
                                instead of a reference (MPO)
        kto [options]           Tune a model on completions that are labelled good or bad, by KTO
        bco [options]           Tune a model on completions that are labelled good or bad, by a binary
                                classifier (BCO)
        sft [options]           Fine-tune a model on texts, conversations or completions, by their
                                likelihood
        reward [options]        Train a reward model on preferences: how good a completion is, as a number
        score [options]         Score the completions of preference pairs with a model
        generate [options]      Answer prompts with a model
        export [options]        Write a run's result, or a model with an adapter, for other programs to
                                load
        push [options]          Upload a run's result with its model card to the Hugging Face hub
        ui [options] [runs]     Watch runs in the browser, live, and compare them
        report [options] [run]  Write a run's charts, samples and settings as one HTML page
        demo [options]          Tune the embedded example and show what becomes of it
        help [command...]       show the help of a command
      "
    `);
  });

  test("of a command of two words", async () => {
    const { code, out } = await preftune("help", "inspect", "data");
    expect(code).toBe(0);
    expect(out).toBe((await preftune("inspect", "data", "--help")).out);
  });

  test("of dpo", async () => {
    const { code, out } = await preftune("dpo", "--help");
    expect(code).toBe(0);
    await expect(out).toMatchFileSnapshot("help-dpo.txt");
  });

  test("without a command goes to standard error, as a usage error", async () => {
    const { code, out, err } = await preftune();
    expect({ code, out }).toEqual({ code: 2, out: "" });
    expect(err).toContain("Usage: preftune");
  });

  test("the version is the package's", async () => {
    expect(await preftune("--version")).toEqual({ code: 0, out: `${version}\n`, err: "" });
  });

  test("docs/cli.md is current (else: npm run docs)", () => {
    expect(readFileSync(new URL("../../docs/cli.md", import.meta.url), "utf8")).toBe(cliReference());
  });
});

describe("usage errors exit with 2 and say what is wrong", () => {
  const refused = async (...words: string[]) => {
    const { code, out, err } = await preftune(...words);
    expect({ code, out }).toEqual({ code: 2, out: "" });
    return err;
  };

  test("an unknown command", async () => {
    expect(await refused("tune")).toMatchInlineSnapshot(`
      "preftune: unknown command 'tune'. --help lists what there is.
      "
    `);
  });

  test("a misspelt command", async () => {
    expect(await refused("scores")).toMatchInlineSnapshot(`
      "preftune: unknown command 'scores'. Did you mean score?
      "
    `);
  });

  test("a misspelt flag", async () => {
    expect(await refused("dpo", "--lerning-rate", "1e-5")).toMatchInlineSnapshot(`
      "preftune: unknown option '--lerning-rate'. Did you mean --learning-rate?
      "
    `);
  });

  test("an unknown flag", async () => {
    expect(await refused("dpo", "--wandb")).toMatchInlineSnapshot(`
      "preftune: unknown option '--wandb'. --help lists what there is.
      "
    `);
  });

  test("a flag without its value", async () => {
    expect(await refused("dpo", "--beta")).toMatchInlineSnapshot(`
      "preftune: option '--beta <x>' argument missing. --help lists what there is.
      "
    `);
  });

  test("the help of a command that there is not", async () => {
    expect(await refused("help", "dop")).toBe("preftune: unknown command 'dop'. Did you mean dpo?\n");
    expect(await refused("help", "inspect", "dta")).toBe(
      "preftune: unknown command 'inspect dta'. Did you mean data?\n",
    );
  });

  test("words too many, as of a glob without quotes", async () => {
    expect(await refused("dpo", "--data", "a.jsonl", "b.jsonl", "c.jsonl")).toMatchInlineSnapshot(`
      "preftune: "b.jsonl" and 1 more are the value of no flag. Several values of a flag go with commas, and a glob in quotes. --help lists the flags.
      "
    `);
  });

  test("a word too many", async () => {
    expect(await refused("export", "--run", "runs/x", "my-model")).toMatchInlineSnapshot(`
      "preftune: "my-model" is the value of no flag. Several values of a flag go with commas, and a glob in quotes. --help lists the flags.
      "
    `);
  });

  test("flags that are missing or wrong, all at once", async () => {
    expect(await refused("dpo", "--model", "m", "--beta", "abc")).toMatchInlineSnapshot(`
      "preftune: --data is missing (rows to train on: files, folders, globs, - or hf:org/name; several with commas, mixed if weighted, as in a.jsonl:0.7).
                --output is missing (the run directory, made by this run).
                --beta must be a number, but is "abc".
      "
    `);
  });

  test("--resume without a run", async () => {
    expect(await refused("dpo", "--resume")).toMatchInlineSnapshot(`
      "preftune: --resume needs --output, the folder of the run to go on with.
      "
    `);
  });

  test("no prompt, or two kinds", async () => {
    expect(await refused("generate", "--model", "m")).toMatchInlineSnapshot(`
      "preftune: Give either --prompt TEXT or --prompts FILE.
      "
    `);
    expect(await refused("generate", "--model", "m", "--prompt", "a", "--prompts", "b")).toMatchInlineSnapshot(`
      "preftune: Give either --prompt TEXT or --prompts FILE.
      "
    `);
  });

  test("flags of an adapter where all weights are trained", async () => {
    const words = ["dpo", "--model", "m", "--data", "d", "--output", "o", "--tuning", "full"];
    for (const idle of [["--lora-rank", "8"], ["--lora-alpha", "8"], ["--lora-targets", "q_proj"], ["--rs-lora"]]) {
      expect(await refused(...words, ...idle)).toBe(
        `preftune: ${idle[0]} has no effect with --tuning full, which trains no adapter. Leave it out.\n`,
      );
    }
  });

  test("flags of generate that would be without effect", async () => {
    const prompt = ["generate", "--model", "m", "--prompt", "a"];
    expect(await refused(...prompt, "--top-p", "0.9")).toBe(
      "preftune: --top-p has no effect at temperature 0, which takes the most probable token. Give --temperature too, or leave it out.\n",
    );
    expect(await refused(...prompt, "--limit", "3")).toBe(
      "preftune: --limit is for the rows of --prompts, and has no effect with --prompt.\n",
    );
  });

  test("nothing to export, or two things", async () => {
    expect(await refused("export", "--output", "o")).toMatchInlineSnapshot(`
      "preftune: Give --run, or --model (with --adapter, where there is one).
      "
    `);
    expect(await refused("export", "--output", "o", "--run", "r", "--model", "m")).toMatchInlineSnapshot(`
      "preftune: Give either --run, or --model and --adapter, not both.
      "
    `);
  });
});

describe("failures", () => {
  test("an error that the user can mend is its message alone, and exits with 1", () => {
    expect(describeFailure(new DataError("pairs.jsonl line 3: not JSON."))).toEqual({
      message: "preftune: pairs.jsonl line 3: not JSON.",
      exitCode: 1,
    });
  });

  test("further lines of a message are indented", () => {
    expect(describeFailure(new RunError("one\ntwo")).message).toBe("preftune: one\n          two");
  });

  test("a full disk is said in words", () => {
    const full = Object.assign(new Error("ENOSPC: no space left on device"), { code: "ENOSPC", path: "runs/x/a" });
    expect(describeFailure(full)).toEqual({
      message: "preftune: runs/x/a: the disk is full. Free some space and go on.",
      exitCode: 1,
    });
  });

  test.each([
    [
      "Non-zero status code returned while running Add node. Status Message: bfc_arena.cc:360 Failed to allocate memory for requested buffer of size 807377152",
      ": 807 MB more were refused",
    ],
    ["std::bad_alloc", ""],
    ["Array buffer allocation failed", ""],
  ])("memory that is refused is said in words: %s", (message, asked) => {
    expect(describeFailure(new RangeError(message))).toEqual({
      message: `preftune: there is not enough memory${asked}. Take a smaller model, or of a run a smaller --micro-batch-tokens or --max-length; preftune inspect model says what takes how much.`,
      exitCode: 1,
    });
  });

  test("a defect shows where it happened and asks for a report", () => {
    const { message, exitCode } = describeFailure(new TypeError("x is undefined"));
    expect(exitCode).toBe(1);
    expect(message).toMatch(/^preftune: this is a defect of preftune\. Please report it/);
    expect(message).toContain("TypeError: x is undefined\n    at ");
    expect(message).toContain(`preftune ${version}, Node ${process.version}`);
  });
});

test("command lines to copy are quoted for a shell", () => {
  expect(commandLine("preftune", "dpo", "--output", "runs/it's mine")).toBe(
    "preftune dpo --output 'runs/it'\\''s mine'",
  );
});
