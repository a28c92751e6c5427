/** The data source of a page that `preftune ui` serves: its routes, by addresses relative to the page. */

import type {
  Difference,
  EvalRowPage,
  Refusal,
  RunDetail,
  RunList,
  SamplePage,
  SeriesAnswer,
  StopAnswer,
  SuspectPage,
} from "../../../src/dashboard/protocol.ts";
import type { DataSource } from "./source.ts";

/** What the server refused, with its own words, or that it couldn't be reached (status 0). */
export class RequestFailed extends Error {
  override readonly name = "RequestFailed";
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

type Parameters = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>;

function address(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) query.append(name, String(one));
  }
  return `./api/${path}${query.size > 0 ? `?${query}` : ""}`;
}

async function request(url: string, init: RequestInit): Promise<Response> {
  let response: Response;
  try {
    response = await fetch(url, init);
  } catch (error) {
    if (init.signal?.aborted) throw error;
    throw new RequestFailed(0, "The server does not answer. Is preftune ui still running?");
  }
  if (response.ok) return response;
  const refusal: Partial<Refusal> = await response.json().catch(() => ({}));
  throw new RequestFailed(
    response.status,
    refusal.error ?? `The server answered ${response.status} ${response.statusText}.`,
  );
}

async function get<T>(url: string, signal?: AbortSignal): Promise<T> {
  return (await request(url, signal ? { signal } : {})).json();
}

const run = (id: string, part = "") => `runs/${encodeURIComponent(id)}${part}`;

/** As many as a query may ask for at once. */
const MOST_SERIES = 200;
const MOST_SAMPLES = 200;

function slices<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, i) => values.slice(i * size, (i + 1) * size));
}

export const httpSource: DataSource = {
  run: (id, signal) => get<RunDetail>(address(run(id)), signal),

  async series({ runs, metrics, axis, points, from, to, exact }, signal) {
    const parts = slices(metrics, MOST_SERIES).flatMap((metric) =>
      slices(runs, Math.floor(MOST_SERIES / metric.length)).map((run) => ({ run, metric })),
    );
    const answers = await Promise.all(
      parts.map((part) =>
        get<SeriesAnswer>(address("series", { ...part, axis, points, from, to, exact: exact ? 1 : undefined }), signal),
      ),
    );
    return answers.flatMap(({ series }) => series);
  },

  async samples(id, prompt, signal) {
    const page = (offset: number) =>
      get<SamplePage>(address(run(id, "/samples"), { prompt, offset, limit: MOST_SAMPLES }), signal);
    const first = await page(0);
    const rest = await Promise.all(
      Array.from({ length: Math.ceil(first.total / MOST_SAMPLES) - 1 }, (_, i) => page((i + 1) * MOST_SAMPLES)),
    );
    return { ...first, samples: [first, ...rest].flatMap(({ samples }) => samples) };
  },

  evalRows: (id, { sort, search, offset, limit }, signal) =>
    get<EvalRowPage>(address(run(id, "/eval-rows"), { sort, search: search || undefined, offset, limit }), signal),
  suspects: (id, offset, limit, signal) => get<SuspectPage>(address(run(id, "/suspects"), { offset, limit }), signal),
  difference: (ids, signal) => get<Difference>(address("difference", { run: ids }), signal),
  csv: async (runs, metrics) => (await request(address("series.csv", { run: runs, metric: metrics }), {})).text(),
};

/** Asks a run to stop at its next step. */
export async function stopRun(id: string): Promise<StopAnswer> {
  return (await request(address(run(id, "/stop")), { method: "POST", headers: { "X-Preftune": "stop" } })).json();
}

/** Where a run can be had as one file. */
export const reportAddress = (id: string): string => `./api/report/${encodeURIComponent(id)}`;

export const eventsAddress = "./api/events";

/** The list once, where events do not come. */
export const fetchRuns = (signal: AbortSignal): Promise<RunList> => get<RunList>(address("runs"), signal);
