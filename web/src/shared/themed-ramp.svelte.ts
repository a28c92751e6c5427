/** The colours of heights (ramp.ts) in the theme that the page has now. */

import { colour, themeVersion } from "./chart/colours.svelte.ts";
import { ramp } from "./ramp.ts";

/** Reactive: `count` colours as red, green, blue of 0 to 255, from little to much. */
export function themedRamp(count: number): Uint8ClampedArray {
  themeVersion();
  const [red = 255] = (colour("--paper").match(/\d+/g) ?? []).map(Number);
  return ramp(red > 127 ? "light" : "dark", count);
}
