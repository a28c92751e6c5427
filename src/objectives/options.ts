/** Options that several objectives share. */

import { z } from "zod";

export const beta = z
  .number()
  .positive()
  .default(0.1)
  .describe("strength of the pull to the reference; larger stays closer");

export const labelSmoothing = z
  .number()
  .min(0)
  .lt(0.5)
  .default(0)
  .describe("share of preferences taken to be labelled the wrong way round");

export const referenceFree = z.boolean().default(false).describe("leave the reference out of the objective");
