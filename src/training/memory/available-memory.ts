/**
 * How much memory this process can have: what the system would give without swapping (MemAvailable on Linux), within the limits
 * of the control groups that it is in, as containers and batch systems set them. Files that a group has read count as used there
 * but are given up when memory is asked for.
 */

import { readFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { join } from "node:path";

/** Bytes, those that the process has already among them. */
export function availableMemory(): number {
  // What macOS calls free is what nobody has used yet; nearly all of the rest is given when it is asked for.
  if (process.platform === "darwin") return totalmem();
  return Math.min(freemem(), controlGroupRoom("/")) + process.memoryUsage.rss();
}

/** Names of files and keys in both versions of control groups. */
const VERSIONS = {
  v1: {
    folder: "sys/fs/cgroup/memory",
    limits: ["memory.limit_in_bytes"],
    usage: "memory.usage_in_bytes",
    files: /^total_(?:in)?active_file (\d+)$/gm,
  },
  v2: {
    folder: "sys/fs/cgroup",
    // Above "high" a process is slowed down until it hardly moves.
    limits: ["memory.max", "memory.high"],
    usage: "memory.current",
    files: /^(?:in)?active_file (\d+)$/gm,
  },
} as const;

/** Bytes that the control groups of this process leave it; infinity where nothing limits it. `root` has the folders /proc and /sys. */
export function controlGroupRoom(root: string): number {
  const groups = read(join(root, "proc/self/cgroup")) ?? "";
  const rooms = Array.from(groups.matchAll(/^\d+:([^:]*):(.*)$/gm), ([, controllers, path]) => {
    if (controllers === "") return leastRoom(root, VERSIONS.v2, path!);
    return controllers!.split(",").includes("memory") ? leastRoom(root, VERSIONS.v1, path!) : Number.POSITIVE_INFINITY;
  });
  return Math.min(Number.POSITIVE_INFINITY, ...rooms);
}

/** In a group and all that it is in. Those that a container does not see are passed over. */
function leastRoom(root: string, version: (typeof VERSIONS)["v1" | "v2"], path: string): number {
  const parts = path.split("/").filter((part) => part !== "");
  const folders = [...parts.map((_, i) => parts.slice(0, i + 1)), []].map((names) =>
    join(root, version.folder, ...names),
  );
  const rooms = folders.map((folder) => {
    const used = Number(read(join(folder, version.usage)) ?? 0);
    const files = Array.from((read(join(folder, "memory.stat")) ?? "").matchAll(version.files), ([, bytes]) =>
      Number(bytes),
    );
    // "max" is no number, and a file that is not there sets no limit.
    const limits = version.limits.map((name) => Number.parseInt(read(join(folder, name)) ?? "", 10));
    const limit = Math.min(...limits.map((bytes) => (Number.isNaN(bytes) ? Number.POSITIVE_INFINITY : bytes)));
    return Math.max(0, limit - used + files.reduce((a, b) => a + b, 0));
  });
  return Math.min(...rooms);
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}
