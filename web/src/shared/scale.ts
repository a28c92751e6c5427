/** From data to places on a drawing and back, and round numbers for its axes. */

/** The value, or the end of the range that it lies beyond. */
export const between = (value: number, least: number, most: number): number => Math.min(most, Math.max(least, value));

export interface Scale {
  (value: number): number;
  readonly domain: readonly [number, number];
  readonly range: readonly [number, number];
  invert(place: number): number;
  ticks(count?: number): number[];
}

export function linear(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const slope = (range[1] - range[0]) / (domain[1] - domain[0]);
  return Object.assign((value: number) => range[0] + (value - domain[0]) * slope, {
    domain,
    range,
    invert: (place: number) => domain[0] + (place - range[0]) / slope,
    ticks: (count = 5) => linearTicks(domain, count),
  });
}

/** Logarithmic; both ends of the domain are positive. */
export function logarithmic(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const inner = linear([Math.log10(domain[0]), Math.log10(domain[1])], range);
  return Object.assign((value: number) => inner(Math.log10(value)), {
    domain,
    range,
    invert: (place: number) => 10 ** inner.invert(place),
    ticks: () => {
      const powers = [];
      for (let p = Math.ceil(inner.domain[0] - 1e-9); p <= inner.domain[1] + 1e-9; p++) powers.push(10 ** p);
      return powers;
    },
  });
}

/** Multiples of 1, 2 or 5 times a power of ten, about `count` of them. */
function linearTicks([from, to]: readonly [number, number], count: number): number[] {
  const rough = Math.abs(to - from) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10);
  const ticks = [];
  for (let i = Math.ceil(from / step - 1e-9); i * step <= to + 1e-9 * step; i++)
    ticks.push(Number((i * step).toPrecision(12)));
  return ticks;
}
