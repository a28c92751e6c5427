/** Parameters of requests, each within its bounds; what is beyond them is refused by name. */

/** What is wrong with a request, in words for whoever sent it. */
export class RequestError extends Error {}

type Query = (name: string) => string | undefined;

/** A whole number from `least` to `most`; `otherwise` where it is not given. */
export function wholeNumber(
  query: Query,
  name: string,
  { least = 0, most, otherwise }: { least?: number; most: number; otherwise: number },
): number {
  const text = query(name);
  if (text === undefined) return otherwise;
  const value = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (value >= least && value <= most) return value;
  throw new RequestError(`${name} must be a whole number from ${least} to ${most}.`);
}

/** A finite number, where one is given. */
export function number(query: Query, name: string): number | undefined {
  const text = query(name);
  if (text === undefined) return undefined;
  const value = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(text) ? Number(text) : Number.NaN;
  if (Number.isFinite(value)) return value;
  throw new RequestError(`${name} must be a number.`);
}

/** One of some words; the first where it is not given. */
export function choice<T extends string>(query: Query, name: string, choices: readonly [T, ...T[]]): T {
  const text = query(name);
  const found = text === undefined ? choices[0] : choices.find((one) => one === text);
  if (found !== undefined) return found;
  throw new RequestError(`${name} must be one of ${choices.join(", ")}.`);
}
