/** What commands name on the hub, fetched before they begin, and told meanwhile. */

import { resolveAdapter, resolveModel } from "../hub/index.ts";
import { pinSources } from "../training/directory/sources.ts";
import type { Screen } from "./terminal/screen.ts";
import { TransferReporter } from "./terminal/transfer.ts";

/** Settings that may be names on the hub. */
interface Named {
  readonly model?: string | undefined;
  readonly rewardModel?: string | undefined;
  readonly adapter?: string | undefined;
  readonly data?: GivenData;
  readonly evalData?: GivenData;
}

type GivenData = string | readonly (string | { readonly path: string })[] | undefined;

/**
 * The settings with paths of this machine in the place of models and adapters on the hub. Datasets keep their names: they are in
 * the cache then. Throws as the hub's functions.
 */
export async function fetchNamed<T extends Named>(settings: T, screen: Screen): Promise<T> {
  const transfer = new TransferReporter(screen);
  const options = { observer: transfer.onEvent.bind(transfer) };
  const { model, rewardModel, adapter, data = [], evalData = [] } = settings;
  const local = {
    ...(model !== undefined && { model: (await resolveModel(model, options)).path }),
    ...(rewardModel !== undefined && { rewardModel: (await resolveModel(rewardModel, options)).path }),
    ...(adapter !== undefined && { adapter: (await resolveAdapter(adapter, options)).path }),
  };
  const listOf = (given: Exclude<GivenData, undefined>) => (typeof given === "string" ? given.split(",") : given);
  await pinSources(listOf(data), "training", options);
  await pinSources(listOf(evalData), "evaluation", options);
  return { ...settings, ...local };
}
