/** The `preftune` command line: its commands, and how one invocation ends. */

import { Command, CommanderError } from "commander";
import { ConfigError } from "../errors.ts";
import { nearest } from "../suggest.ts";
import { version } from "../version.ts";
import { type Io, register } from "./command.ts";
import { commands } from "./commands/index.ts";
import { describeFailure, exitCodes } from "./failure.ts";

/** The command line. `onExit` receives the exit code of the command that was run. */
export function buildProgram(io: Io, onExit: (code: number) => void): Command {
  const program = new Command("preftune")
    .description("Preference tuning of language models: DPO and its family, exact and fast, on one machine.")
    .version(version, "-v, --version", "show the version")
    .helpOption("-h, --help", "show this help")
    .helpCommand(false)
    .configureOutput({
      writeOut: (text) => io.stdout.write(text),
      writeErr: (text) => io.stderr.write(text),
      outputError: (text, write) => write(usageError(text)),
      getOutHelpWidth: () => io.stdout.columns ?? 100,
      getErrHelpWidth: () => io.stderr.columns ?? 100,
    })
    .exitOverride();
  for (const definition of commands) register(program, definition, io, onExit);
  program
    .command("help")
    .description("show the help of a command")
    .argument("[command...]", "its name")
    .helpOption(false)
    .action((names: string[]) => commandOf(program, names).outputHelp());
  return program;
}

/** The command of a name of one word or two. Throws ConfigError where there is none. */
function commandOf(program: Command, names: readonly string[]): Command {
  return names.reduce((family, name) => {
    const known = family.commands.find((command) => command.name() === name);
    if (known) return known;
    const guess = nearest(
      name,
      family.commands.map((command) => command.name()),
    );
    const hint = guess === undefined ? "--help lists what there is." : `Did you mean ${guess}?`;
    throw new ConfigError(`unknown command '${names.join(" ")}'. ${hint}`);
  }, program);
}

/** Runs one invocation and returns its exit code. Never throws. */
export async function runProgram(words: readonly string[], io: Io): Promise<number> {
  let exitCode = 0;
  const program = buildProgram(io, (code) => {
    exitCode = code;
  });
  try {
    await program.parseAsync(words, { from: "user" });
    return exitCode;
  } catch (error) {
    // Commander has said what was wrong, or shown the help that was asked for.
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : exitCodes.usage;
    const failure = describeFailure(error);
    io.stderr.write(`${failure.message}\n`);
    return failure.exitCode;
  }
}

/** Commander's own messages in this program's form. */
function usageError(text: string): string {
  const [, message, hint] = /^error: (.*?)\.?\n?(?:\((Did you mean .*)\)\n?)?$/s.exec(text) ?? ["", "", text.trim()];
  return `preftune: ${message}.${hint === undefined ? " --help lists what there is." : ` ${hint}`}\n`;
}
