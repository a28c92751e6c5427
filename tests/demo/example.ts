/** Where the embedded example is. */

import { fileURLToPath } from "node:url";

export const EXAMPLE = fileURLToPath(new URL("../../examples/film-reviews/", import.meta.url));
export const MODEL = `${EXAMPLE}model`;
