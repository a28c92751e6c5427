/** The names of a GGUF file's parts, where it was split: `NAME-00001-of-00003.gguf`. */

/** The names of all parts, in order, by the name of one of them; undefined where that says of no part. */
export function partNames(path: string): string[] | undefined {
  const [, stem, total] = /^(.*)-\d{5}-of-(\d{5})\.gguf$/s.exec(path) ?? [];
  if (stem === undefined) return undefined;
  const count = Number(total);
  return Array.from({ length: count }, (_, i) => stem + partEnding(i + 1, count));
}

/** What the name of part `number` of `count` ends in, counted from 1. */
export function partEnding(number: number, count: number): string {
  return `-${fiveDigits(number)}-of-${fiveDigits(count)}.gguf`;
}

const fiveDigits = (n: number): string => String(n).padStart(5, "0");
