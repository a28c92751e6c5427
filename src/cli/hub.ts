/** What commands name on the hub, fetched before they begin, and told meanwhile. */

import { type HubOptions, resolveAdapter } from "../hub/index.ts";
import { pinSources } from "../training/directory/sources.ts";
import type { Screen } from "./terminal/screen.ts";
import { TransferReporter } from "./terminal/transfer.ts";

/** Settings that may be names on the hub, besides the model: whoever opens that fetches it, and may refuse it before it is here. */
interface Named {
  readonly adapter?: string | undefined;
  readonly data?: GivenData;
  readonly evalData?: GivenData;
}

type GivenData = string | readonly (string | { readonly path: string })[] | undefined;

/** The hub as `screen` tells of it. */
export function hubOn(screen: Screen): HubOptions {
  const transfer = new TransferReporter(screen);
  return { observer: transfer.onEvent.bind(transfer) };
}

/**
 * The settings with a path of this machine in the place of an adapter on the hub. Datasets keep their names: they are in
 * the cache then. Throws as the hub's functions.
 */
export async function fetchNamed<T extends Named>(settings: T, options: HubOptions): Promise<T> {
  const { adapter, data = [], evalData = [] } = settings;
  const local = adapter !== undefined && { adapter: (await resolveAdapter(adapter, options)).path };
  const listOf = (given: Exclude<GivenData, undefined>) => (typeof given === "string" ? given.split(",") : given);
  await pinSources(listOf(data), "training", options);
  await pinSources(listOf(evalData), "evaluation", options);
  return { ...settings, ...local };
}
