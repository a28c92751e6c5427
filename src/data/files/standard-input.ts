/** The path `-`, which means standard input. */

export const STDIN = "-";

/** What a file is called in messages. */
export function nameOf(path: string): string {
  return path === STDIN ? "standard input" : path;
}
