/** In which settings runs are not the same. */

import type { Difference } from "./protocol.ts";

/** Where a run lies is another for each. */
const PLACE = "output";

type Config = Readonly<Record<string, unknown>>;

export function differenceOf(runs: readonly { readonly id: string; readonly config: Config }[]): Difference {
  const names = [...new Set(runs.flatMap(({ config }) => Object.keys(config)))].filter((name) => name !== PLACE);
  const settings = names.map((name) => ({ name, values: runs.map(({ config }) => own(config, name)) }));
  const differing = settings.filter(({ values }) => new Set(values.map((value) => JSON.stringify(value))).size > 1);
  return { runs: runs.map(({ id }) => id), settings: differing, same: settings.length - differing.length };
}

function own(config: Config, name: string): unknown {
  return Object.hasOwn(config, name) ? config[name] : null;
}
