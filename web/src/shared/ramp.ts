/**
 * Colours from little to much that are even to the eye: their lightness in OKLab (Ottosson 2020) goes in equal steps, so that
 * they keep their order for every kind of colour vision, and in grey. Little is near the page's own colour and much is the
 * furthest from it, in both themes, yet stays far enough from the ink for lines and text on top.
 */

interface Shade {
  readonly lightness: number;
  readonly chroma: number;
  /** In degrees. */
  readonly hue: number;
}

const ENDS: Readonly<Record<"light" | "dark", readonly [Shade, Shade]>> = {
  light: [
    { lightness: 0.975, chroma: 0.025, hue: 100 },
    { lightness: 0.6, chroma: 0.12, hue: 262 },
  ],
  dark: [
    { lightness: 0.2, chroma: 0.035, hue: 290 },
    { lightness: 0.56, chroma: 0.095, hue: 185 },
  ],
};

/** `count` colours as red, green, blue of 0 to 255, from little to much. */
export function ramp(theme: "light" | "dark", count = 256): Uint8ClampedArray {
  const [little, much] = ENDS[theme];
  const colours = new Uint8ClampedArray(3 * count);
  for (let i = 0; i < count; i++) {
    const t = i / (count - 1);
    const mix = (name: keyof Shade) => little[name] + t * (much[name] - little[name]);
    colours.set(toRgb({ lightness: mix("lightness"), chroma: mix("chroma"), hue: mix("hue") }), 3 * i);
  }
  return colours;
}

/** From OKLCh to sRGB. */
function toRgb({ lightness, chroma, hue }: Shade): number[] {
  const angle = (hue * Math.PI) / 180;
  const [a, b] = [chroma * Math.cos(angle), chroma * Math.sin(angle)];
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  return [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ].map((linear) => 255 * (linear <= 0.0031308 ? 12.92 * linear : 1.055 * linear ** (1 / 2.4) - 0.055));
}
