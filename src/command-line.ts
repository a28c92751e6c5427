/** Command lines to show to people: what they copy must run. */

/** A command line whose words are quoted where a shell would take them apart. */
export function commandLine(...words: readonly string[]): string {
  return words.map(quote).join(" ");
}

function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}
