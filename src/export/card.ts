/** The model card of an exported model: that of the run which made it, and how it was exported. */

import { commandLine } from "../command-line.ts";
import { baseModelName } from "../hub/index.ts";
import type { MergeCheck } from "./merge-check.ts";

interface CardDetails {
  readonly model: string;
  readonly adapter?: string | undefined;
  /** The card beside the adapter or model that is exported. */
  readonly card?: string | undefined;
  readonly format: string;
  readonly dtype: string;
  readonly merge?: MergeCheck | undefined;
}

/** The text of README.md. */
export function exportedCard(details: CardDetails): string {
  const { model, adapter, card, format, dtype, merge } = details;
  const own = card ?? plainCard(details);
  const words = ["preftune", "export", "--model", model, ...(adapter === undefined ? [] : ["--adapter", adapter])];
  return [
    own
      .replace(/^# Adapter tuned/m, "# Model tuned")
      .replace(/^library_name: .*$/m, `library_name: ${format === "onnx" ? "transformers.js" : "transformers"}`)
      .trimEnd(),
    "",
    "## Export",
    "",
    ...(merge ? [mergeSentence(merge), ""] : []),
    "```sh",
    commandLine(...words, "--format", format, "--dtype", dtype, "--output", "FOLDER"),
    "```",
    "",
  ].join("\n");
}

/** What a card and the command line say of a merge. */
export function mergeSentence({ largest, tokens }: MergeCheck): string {
  return `The adapter was merged in float32. On ${tokens} tokens of probe texts the merged model's log-probabilities differ from those of base and adapter by at most ${largest.toPrecision(2)} nats.`;
}

function plainCard({ model, adapter }: CardDetails): string {
  return [
    "---",
    `base_model: ${JSON.stringify(baseModelName(model))}`,
    "library_name: transformers",
    "pipeline_tag: text-generation",
    "tags:",
    "- preftune",
    "---",
    "",
    `# ${adapter === undefined ? "Exported model" : "Model with a merged adapter"}`,
    "",
    `\`${model}\`${adapter === undefined ? "" : ` with the adapter \`${adapter}\``}, exported by preftune.`,
  ].join("\n");
}
