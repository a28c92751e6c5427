/** CSS colours as numbers that a canvas and an exported file understand, and when they change. */

let theme = $state(0);
const resolved = new Map<string, string>();
const changed = () => {
  resolved.clear();
  theme++;
};
new MutationObserver(changed).observe(document.documentElement, { attributeFilter: ["data-theme"] });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);

/** Reactive: is another number whenever colours are other ones. */
export function themeVersion(): number {
  return theme;
}

/** The colour that a CSS variable has now, resolved from light-dark(). */
export function colour(variable: string): string {
  const known = resolved.get(variable);
  if (known !== undefined) return known;
  const probe = document.createElement("span");
  probe.className = "drawn";
  probe.style.color = `var(${variable})`;
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  resolved.set(variable, color);
  return color;
}

/** The same colour, more or less transparent. */
export function translucent(rgb: string, alpha: number): string {
  const [r, g, b] = rgb.match(/[\d.]+/g) ?? [0, 0, 0];
  return `rgba(${r}, ${g}, ${b}, ${alpha})`;
}
