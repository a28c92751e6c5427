/**
 * Whether a regular expression can take longer than anyone waits. Tokenizers bring expressions of their own, and JavaScript tries
 * every way to match one: where a repeated group can itself match in several ways, `(a+)+` or `(a|a)*`, the ways double with every
 * character. No tokenizer that is in use has such a group, so the form alone is refused.
 */

/** Less than ten times double too seldom to matter. */
const repeatsMany = /^(?:[*+]|\{\d*,\}|\{\d*,?\d{2,}\})/;
const varies = /^(?:[*+?]|\{\d*,\d*\})/;

/** Whether an expression repeats a group that has a choice or a repetition in it. */
export function canExplode(pattern: string): boolean {
  /** For every group that is open, whether what is in it can match in several ways. */
  const open: boolean[] = [false];
  const note = (several: boolean) => {
    open[open.length - 1] ||= several;
  };
  for (let at = 0; at < pattern.length; ) {
    const character = pattern[at];
    let groupVaries = false;
    if (character === "(") {
      open.push(false);
      at = groupStart(pattern, at);
      continue;
    }
    if (character === ")") groupVaries = open.length > 1 && open.pop()!;
    else if (character === "|") note(true);
    at = itemEnd(pattern, at);
    const rest = pattern.slice(at, at + 24);
    if (groupVaries && repeatsMany.test(rest)) return true;
    note(groupVaries || varies.test(rest));
  }
  return false;
}

/** Behind `(`, `(?:`, `(?i:`, `(?!`, `(?<=`: what follows is in the group, and its `?` repeats nothing. */
function groupStart(pattern: string, at: number): number {
  const [opening] = /^\((?:\?(?:[a-z-]*:|[=!>]|<[=!]|<\w+>))?/.exec(pattern.slice(at, at + 64))!;
  return at + opening.length;
}

/** Behind an escape, a class of characters, or a character. */
function itemEnd(pattern: string, at: number): number {
  if (pattern[at] === "\\") return /^\\[pPu]\{/.test(pattern.slice(at, at + 3)) ? afterBrace(pattern, at) : at + 2;
  if (pattern[at] !== "[") return at + 1;
  for (let end = at + 1; end < pattern.length; end++) {
    if (pattern[end] === "\\") end++;
    else if (pattern[end] === "]" && end > at + 1) return end + 1;
  }
  return pattern.length;
}

function afterBrace(pattern: string, at: number): number {
  const close = pattern.indexOf("}", at);
  return close < 0 ? pattern.length : close + 1;
}
