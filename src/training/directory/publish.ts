/** A finished run's result to the hub, as others are to find it: its base model by the hub's name, no paths of this machine. */

import { existsSync, readFileSync } from "node:fs";
import { basename, isAbsolute, join } from "node:path";
import { commandLine } from "../../command-line.ts";
import { ConfigError, RunError } from "../../errors.ts";
import { baseModelName, type HubOptions, type Pushed, pushFolder } from "../../hub/index.ts";
import { cardWithReport } from "./model-card.ts";
import { type RunConfig, readRunConfig, resultKind } from "./run-directory.ts";

export interface PublishOptions extends HubOptions {
  /** Folder of the run. */
  readonly run: string;
  /** `org/name` on the hub; made where there is none. */
  readonly repo: string;
  /** Whether a repository that is made is private; as the account is set if not given. */
  readonly private?: boolean | undefined;
  /** Name of the base model on the hub, where the run was made from one of this machine. */
  readonly baseModel?: string | undefined;
  /** Makes the run's report, an HTML page, to lie beside the result and be linked in the card. Not called where there is nothing to push. */
  readonly report?: (() => Promise<string>) | undefined;
}

const CARD = "README.md";
const REPORT = "report.html";
const ADAPTER_CONFIG = "adapter_config.json";

/** Uploads the result. Throws RunError for a folder that is no run and a run without a result, ConfigError for a name that is wrong or missing, HubError. */
export async function publishRun({ run, baseModel, report, ...options }: PublishOptions): Promise<Pushed> {
  const config = readRunConfig(run);
  const kind = resultKind(config);
  const folder = join(run, kind);
  if (!existsSync(folder)) {
    const resume = commandLine("preftune", config.method, "--resume", "--output", run);
    throw new RunError(`${run} has no result yet. Finish the run with: ${resume}`);
  }
  const base = baseModel ?? nameOnHub(config);
  if (kind === "adapter" && base === undefined) {
    throw new ConfigError(
      `${run}: its adapter belongs to ${config.model}, which nobody else has. Give that model's name on the hub by --base-model org/name, or push what preftune export merges.`,
    );
  }
  const page = await report?.();
  const card = publicCard(readFileSync(join(folder, CARD), "utf8"), config, base);
  const texts = {
    [CARD]: page === undefined ? card : cardWithReport(card, REPORT),
    ...(page !== undefined && { [REPORT]: page }),
    ...(kind === "adapter" && {
      [ADAPTER_CONFIG]: withBaseModel(readFileSync(join(folder, ADAPTER_CONFIG), "utf8"), base),
    }),
  };
  return await pushFolder({
    ...options,
    folder,
    texts,
    title: `Add the ${kind} that preftune ${config.method} made`,
  });
}

function nameOnHub({ model }: RunConfig): string | undefined {
  const name = baseModelName(model);
  return name === model ? undefined : name;
}

/** The card with the base model's name in its header, as the hub demands of one, and paths of this machine without their folders. */
function publicCard(card: string, config: RunConfig, base: string | undefined): string {
  const named = card.replace(/^base_model: .*\n/m, base === undefined ? "" : `base_model: ${JSON.stringify(base)}\n`);
  const { model, data, evalData, regularizationData, adapter, output } = config;
  const given = [model, data, evalData, regularizationData, adapter, output].flat() as unknown[];
  const paths = given.map((one) => (isObject(one) ? one.path : one)).filter((path) => typeof path === "string");
  return paths.filter(isAbsolute).reduce((text, path) => text.replaceAll(path, basename(path)), named);
}

function isObject(value: unknown): value is { readonly path?: unknown } {
  return typeof value === "object" && value !== null;
}

function withBaseModel(json: string, base: string | undefined): string {
  const config = { ...(JSON.parse(json) as object), base_model_name_or_path: base };
  return `${JSON.stringify(config, null, 2)}\n`;
}
