/** Every command, in the order of help. */

import type { CommandDefinition } from "../command.ts";
import { demoCommand } from "./demo.ts";
import { dpoCommand } from "./dpo.ts";
import { exportCommand } from "./export.ts";
import { generateCommand } from "./generate.ts";
import { scoreCommand } from "./score.ts";

export const commands: readonly CommandDefinition[] = [
  dpoCommand,
  scoreCommand,
  generateCommand,
  exportCommand,
  demoCommand,
];
