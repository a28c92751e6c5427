/** Every command, in the order of help. */

import type { CommandDefinition } from "../command.ts";
import { demoCommand } from "./demo.ts";
import { exportCommand } from "./export.ts";
import { generateCommand } from "./generate.ts";
import { inspectDataCommand } from "./inspect-data.ts";
import { inspectModelCommand } from "./inspect-model.ts";
import { pushCommand } from "./push.ts";
import { reportCommand } from "./report.ts";
import { scoreCommand } from "./score.ts";
import { trainingCommands } from "./train.ts";
import { uiCommand } from "./ui.ts";

export const commands: readonly CommandDefinition[] = [
  inspectDataCommand,
  inspectModelCommand,
  ...trainingCommands,
  scoreCommand,
  generateCommand,
  exportCommand,
  pushCommand,
  uiCommand,
  reportCommand,
  demoCommand,
];
