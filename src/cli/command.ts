/** What a command is: a settings schema, how its flags are grouped in help, and what it does. */

import type { Command, Option } from "commander";
import type { z } from "zod";
import { ConfigError } from "../errors.ts";
import type { Settings } from "./config-file.ts";
import { type Flag, flagsOf, kebabCase, optionsOf } from "./flags.ts";
import type { ScreenStream } from "./terminal/screen.ts";

/** Where a command reads and writes: the process, or a test. */
export interface Io {
  readonly stdout: ScreenStream;
  readonly stderr: ScreenStream;
}

/** What was given on the command line. */
export interface Invocation {
  readonly flags: readonly Flag[];
  /** The schema's settings that were given by flags. */
  readonly given: Settings;
  /** The command's own options, which are not settings: by their commander names. */
  readonly own: Readonly<Record<string, unknown>>;
  readonly io: Io;
}

export interface CommandDefinition<T extends z.ZodObject = z.ZodObject> {
  /** One word, or two for a command of a family: `inspect data`. */
  readonly name: string;
  readonly summary: string;
  /** What help says besides the summary. */
  readonly description: string;
  readonly schema: T;
  /** The schema's keys under the headings of help, each with what its value is called there (`true`: by its type). */
  readonly groups: Readonly<Record<string, { readonly [K in keyof T["shape"]]?: string | true }>>;
  /** The setting that may also be given as a word of its own, without its flag. */
  readonly word?: keyof T["shape"] & string;
  /** Options that are not settings, under the last heading. */
  readonly own?: readonly Option[];
  /** Whole command lines that work. */
  readonly examples: readonly string[];
  /** Does it, and returns the exit code. */
  run(invocation: Invocation): Promise<number>;
}

/** Adds a command to the program. `onExit` receives the exit code. */
export function register<T extends z.ZodObject>(
  program: Command,
  definition: CommandDefinition<T>,
  io: Io,
  onExit: (code: number) => void,
): void {
  const { name, summary, description, word, own = [], examples } = definition;
  const command = commandNamed(program, name).summary(summary).description(`${summary}\n\n${description}`);
  const flags = flagsOf(definition.schema);
  if (word !== undefined) command.argument(`[${word}]`, `the same as --${kebabCase(word)}`);
  for (const { heading, flag, placeholder } of grouped(definition, flags)) {
    for (const option of optionsOf(flag, placeholder)) command.addOption(option.helpGroup(heading));
  }
  const lastHeading = `${Object.keys(definition.groups).at(-1)}:`;
  for (const option of own) command.addOption(option.helpGroup(lastHeading));
  command.helpOption("-h, --help", "show this help").addHelpText("after", `\nExamples:\n${indent(examples)}`);
  command.allowExcessArguments(true).action(async () => {
    refuseExcess(command.args.slice(word === undefined ? 0 : 1));
    const given = new Map([...givenSettings(command, flags), ...givenWord(command, word)]);
    onExit(await definition.run({ flags, given, own: command.opts(), io }));
  });
}

/** Families of commands, `preftune inspect data` and `preftune inspect model`, and what help says of each. */
const FAMILIES: Readonly<Record<string, string>> = {
  inspect: "Look at rows or at a model before anything is trained",
};

function commandNamed(program: Command, name: string): Command {
  const [family, member] = name.split(" ") as [string, string?];
  if (member === undefined) return program.command(family);
  const known = program.commands.find((command) => command.name() === family);
  return (known ?? program.command(family).description(FAMILIES[family]!)).command(member);
}

/** Throws ConfigError for words that are no flag's: as of a glob, which the shell has put its files in the place of. */
function refuseExcess([first, ...rest]: readonly string[]): void {
  if (first === undefined) return;
  const words = rest.length === 0 ? `"${first}" is` : `"${first}" and ${rest.length} more are`;
  throw new ConfigError(
    `${words} the value of no flag. Several values of a flag go with commas, and a glob in quotes. --help lists the flags.`,
  );
}

/** Throws ConfigError where its flag is given too. */
function givenWord(command: Command, word: string | undefined): Settings {
  const value: unknown = command.args[0];
  if (word === undefined || value === undefined) return new Map();
  if (command.getOptionValueSource(word) === "cli") {
    throw new ConfigError(`The ${word} is given twice: as ${String(value)} and by --${kebabCase(word)}.`);
  }
  return new Map([[word, { value, where: `<${word}>` }]]);
}

/** Every flag under its heading, in the order of the groups. Throws for one that is under none, or that does not exist. */
export function grouped<T extends z.ZodObject>(
  { name, groups }: CommandDefinition<T>,
  flags: readonly Flag[],
): { heading: string; flag: Flag; placeholder: string | undefined }[] {
  const rest = new Map(flags.map((flag) => [flag.key, flag]));
  const placed = Object.entries(groups).flatMap(([heading, keys]) =>
    Object.entries(keys).map(([key, placeholder]) => {
      const flag = rest.get(key);
      if (!flag)
        throw new Error(`${name}: the group "${heading}" has "${key}", which is no setting or grouped already`);
      rest.delete(key);
      return { heading: `${heading}:`, flag, placeholder: typeof placeholder === "string" ? placeholder : undefined };
    }),
  );
  if (rest.size > 0) throw new Error(`${name}: ${[...rest.keys()].join(", ")} must be in a group of help`);
  return placed;
}

function givenSettings(command: Command, flags: readonly Flag[]): Settings {
  const given = flags.filter(({ key }) => command.getOptionValueSource(key) === "cli");
  return new Map(
    given.map((flag) => {
      const value: unknown = command.getOptionValue(flag.key);
      const negated = flag.kind === "boolean" && value === false;
      return [flag.key, { value, where: `--${negated ? "no-" : ""}${flag.name}` }];
    }),
  );
}

function indent(lines: readonly string[]): string {
  return lines.map((line) => `  ${line}`).join("\n");
}
