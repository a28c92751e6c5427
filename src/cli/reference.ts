/** The command line's reference, `docs/cli.md`, from the definitions that the command line itself is made of. */

import { type CommandDefinition, grouped } from "./command.ts";
import { commands } from "./commands/index.ts";
import { type Flag, flagsOf, optionsOf } from "./flags.ts";
import { code, table } from "./markdown.ts";

/** The reference as Markdown. */
export function cliReference(): string {
  return `${[introduction, ...commands.map(commandSection), configFiles, exitCodes].join("\n\n")}\n`;
}

const introduction = `# Command line

<!-- Written by \`npm run docs\` from the definitions in src/cli/commands. Change those. -->

\`\`\`
preftune <command> [options]
preftune help <command>
preftune --version
\`\`\``;

const configFiles = `## Settings in a file

\`preftune dpo --config run.yaml\` reads settings from YAML (or JSON) under the flags' names, as \`batch-size\` or \`batchSize\`.
Flags win over the file. A name that is no setting is an error, with the name that was probably meant.

\`\`\`yaml
model: SmolLM2-135M-Instruct.gguf
data: [pairs.jsonl, more-pairs.jsonl.gz]
output: runs/first
beta: 0.05
lora-rank: 8
shuffle: false
\`\`\`

A run directory keeps all its settings, defaults included, in \`config.json\`, which can be passed back:
\`preftune dpo --config runs/first/config.json --output runs/second\`.`;

const exitCodes = `## Exit codes

${table(
  ["code", "meaning"],
  [
    ["0", "done"],
    ["1", "it could not be done; standard error says why and how to mend it"],
    ["2", "a flag or a setting is wrong"],
    ["130, 143", "stopped by Ctrl-C or SIGTERM; a run can be resumed"],
    ["141", "whoever read its output went away, as `head` does; a run can be resumed"],
  ],
)}`;

function commandSection(definition: CommandDefinition): string {
  const { name, summary, description, own = [], examples } = definition;
  const placed = grouped(definition, flagsOf(definition.schema));
  const headings = [...new Set(placed.map(({ heading }) => heading))];
  const tables = headings.map((heading) => {
    const rows = placed.filter((flag) => flag.heading === heading).map((flag) => row(flag.flag, flag.placeholder));
    const besides =
      heading === headings.at(-1) ? own.map(({ flags, description }) => [code(flags), "", description]) : [];
    return `**${heading.replace(":", "")}**\n\n${table(["flag", "default", ""], [...rows, ...besides])}`;
  });
  const sample = `\`\`\`sh\n${examples.join("\n")}\n\`\`\``;
  return [`## preftune ${name}`, `${summary}. ${description}`, sample, ...tables].join("\n\n");
}

function row(flag: Flag, placeholder: string | undefined): string[] {
  const [shown] = optionsOf(flag, placeholder);
  const value = Array.isArray(flag.default) ? flag.default.join(",") : flag.default;
  const defaultText = flag.required ? "required" : value === undefined || flag.kind === "boolean" ? "" : String(value);
  return [code(shown!.flags), defaultText, flag.description];
}
