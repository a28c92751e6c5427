/** The hub: names of models, adapters and datasets to files on this machine, and results to the hub. */

export { withoutCacheFolders } from "./cache.ts";
export { type DataPurpose, datasetFinder, type ResolvedData, resolveDataset } from "./dataset.ts";
export { type FoundModel, findModel, type Resolved, resolveAdapter, resolveModel } from "./model.ts";
export { type Pushed, pushFolder } from "./push.ts";
export { baseModelName, isPinned, sameName } from "./reference.ts";
export type { HubEvent, HubOptions } from "./session.ts";
export { type HubSettings, hubSettings } from "./settings.ts";
