// Mutated files of every format, read in a process of their own with a deadline each: how many were read or refused in words, and how many crashed,
// hung, or were refused without saying which file it was.
//
//   npm run bench:mutations -- [--files 10000] [--seed 1] [--deadline 60] [--only 123] [--dist dist]
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { beside, flags } from "./support.js";

const { files, seed, deadline, only, dist } = flags({
  files: 10000,
  seed: 1,
  deadline: 60,
  only: "",
  dist: beside("../dist"),
});
const first = Number(only);
const end = only === "" ? files : first + 1;
const reader = beside("mutations/reader.js");
const folder = mkdtempSync(join(tmpdir(), "preftune-mutations-"));
const wrong = [];
let [done, slowest, peak] = [0, { milliseconds: 0, target: "", end: first }, 0];

/** Reads files from one number on in a process, until it is done, dies or takes too long; returns the number to go on from. */
async function readFrom(number) {
  const child = spawn(process.execPath, [
    "--max-old-space-size=2048",
    reader,
    resolve(dist),
    String(seed),
    String(number),
    String(end),
    folder,
  ]);
  let current = { begin: number, target: "?" };
  let errors = "";
  let timer;
  let hung = false;
  child.stderr.on("data", (chunk) => {
    errors = (errors + chunk).slice(-1000);
  });
  const over = new Promise((settle) => child.on("close", settle));
  for await (const line of createInterface({ input: child.stdout })) {
    const message = JSON.parse(line);
    clearTimeout(timer);
    if (message.begin !== undefined) {
      current = message;
      timer = setTimeout(() => {
        hung = true;
        child.kill("SIGKILL");
      }, 1000 * deadline);
      continue;
    }
    done++;
    peak = Math.max(peak, message.peak);
    if (message.milliseconds > slowest.milliseconds) slowest = message;
    if (message.wrong !== undefined) wrong.push({ number: message.end, target: message.target, what: message.wrong });
    current = { begin: message.end + 1, target: "?" };
  }
  clearTimeout(timer);
  await over;
  if (current.begin >= end) return end;
  done++;
  wrong.push({
    number: current.begin,
    target: current.target,
    what: hung ? `no answer after ${deadline} s` : `the process died: ${errors}`,
  });
  return current.begin + 1;
}

try {
  const start = performance.now();
  for (let next = first; next < end; ) next = await readFrom(next);
  const seconds = (performance.now() - start) / 1000;
  for (const { number, target, what } of wrong) console.log(`file ${number} (${target}): ${what}\n`);
  console.log(
    `${done} files in ${seconds.toFixed(0)} s, seed ${seed}: ${wrong.length} not as they should be; slowest ${slowest.milliseconds.toFixed(0)} ms (${slowest.target}, file ${slowest.end}), peak memory ${peak.toFixed(0)} MB`,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
process.exitCode = wrong.length > 0 ? 1 : 0;
