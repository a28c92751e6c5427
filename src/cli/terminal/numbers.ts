/** Numbers as people read them. */

/** 1,234,567 */
export function formatCount(n: number): string {
  return n.toLocaleString("en-US");
}

/** 134.5M, 260K, 812: three to four digits. */
export function formatMagnitude(n: number): string {
  const units = [
    [1e9, "B"],
    [1e6, "M"],
    [1e3, "K"],
  ] as const;
  const unit = units.find(([size]) => n >= size);
  if (unit === undefined) return String(n);
  const value = n / unit[0];
  return `${value >= 100 ? value.toFixed(0) : value.toFixed(1)}${unit[1]}`;
}

/** 1.2 GB, 350 MB */
export function formatBytes(bytes: number): string {
  return bytes >= 1e9 ? `${(bytes / 1e9).toFixed(1)} GB` : `${Math.max(1, Math.round(bytes / 1e6))} MB`;
}

/** 8 s, 4 min 10 s, 2 h 05 min */
export function formatDuration(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (n: number) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${two(whole % 60)} s`;
  const minutes = Math.round(seconds / 60);
  return `${Math.floor(minutes / 60)} h ${two(minutes % 60)} min`;
}

/** 0.0041, 0.39, 2.41, 12.4, 150: two or three digits. */
export function formatRate(perSecond: number): string {
  if (perSecond < 1 && perSecond >= 1e-6) return perSecond.toPrecision(2);
  return perSecond.toFixed(perSecond < 10 ? 2 : perSecond < 100 ? 1 : 0);
}

/** 64.1% */
export function formatShare(share: number, digits = 1): string {
  return `${(100 * share).toFixed(digits)}%`;
}

/** +0.113, -0.020; a value that rounds to zero has no sign of its own. */
export function formatSigned(value: number, digits = 3): string {
  const text = value.toFixed(digits);
  return Number(text) === 0 ? (0).toFixed(digits) : value > 0 ? `+${text}` : text;
}

/** A learning rate or another small setting in its shortest form: 5e-5, 0.1. */
export function formatSetting(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential() : String(value);
}
