/** Numbers as people read them. */

const MINUS = "−";

/** With this many decimals, a true minus, and no minus before a zero. */
export function fixed(value: number, decimals = 3): string {
  if (Number.isNaN(value)) return "–";
  if (!Number.isFinite(value)) return value > 0 ? "∞" : `${MINUS}∞`;
  const text = value.toFixed(decimals);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", MINUS);
}

export function percent(value: number, decimals = 0): string {
  return Number.isNaN(value) ? "–" : `${fixed(100 * value, decimals)} %`;
}

/** To three significant figures, in the shortest way. */
export function short(value: number): string {
  if (!Number.isFinite(value)) return fixed(value);
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2).replaceAll("-", MINUS);
  return String(Number(value.toPrecision(3))).replace("-", MINUS);
}

const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function bytes(value: number): string {
  const power = Math.min(UNITS.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  return `${Number((value / 1000 ** power).toPrecision(3))} ${UNITS[power]}`;
}

/** 12,345 with thin spaces. */
export function whole(value: number): string {
  return Math.round(value)
    .toString()
    .replace(/\B(?=(\d{3})+$)/g, "\u202f")
    .replace("-", MINUS);
}
