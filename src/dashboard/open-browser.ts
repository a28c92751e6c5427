/** Opens an address in the system's browser, where there is one. */

import { spawn } from "node:child_process";

/** Asks the system to show an address. Nothing happens where it can't: the address is printed too. */
export function openBrowser(url: string): void {
  const [command, ...words] = opener(url);
  const child = spawn(command, words, { stdio: "ignore", detached: true });
  child.on("error", () => {});
  child.unref();
}

function opener(url: string): [string, ...string[]] {
  if (process.platform === "darwin") return ["open", url];
  // Not `start`, which is a word of the shell: an address is none of its business.
  if (process.platform === "win32") return ["rundll32", "url.dll,FileProtocolHandler", url];
  return ["xdg-open", url];
}
