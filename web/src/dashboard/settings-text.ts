/** Settings as people read them. */

/** A value of config.json in a line. */
export function settingText(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (Array.isArray(value)) return value.map(settingText).join(", ") || "none";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

/** Nested settings one by one: `sources.0.weight`. */
export function flatSettings(
  settings: Readonly<Record<string, unknown>>,
  before = "",
): [name: string, value: unknown][] {
  return Object.entries(settings).flatMap(([name, value]) =>
    typeof value === "object" && value !== null && !Array.isArray(value)
      ? flatSettings(value as Record<string, unknown>, `${before}${name}.`)
      : [[before + name, value] as [string, unknown]],
  );
}
