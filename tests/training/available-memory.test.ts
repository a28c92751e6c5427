/** How much memory there is for this process: the system's, within the limits of control groups of either version. */

import { mkdirSync, writeFileSync } from "node:fs";
import { freemem, totalmem } from "node:os";
import { dirname, join } from "node:path";
import { describe, expect, it } from "vitest";
import { availableMemory, controlGroupRoom } from "../../src/training/memory/available-memory.ts";
import { scratchFolder } from "../support/scratch.ts";

const { at } = scratchFolder();

let count = 0;
/** A root folder with these files in it. */
function rootWith(files: Readonly<Record<string, string>>): string {
  const root = at(String(count++));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), `${text}\n`);
  }
  return root;
}

const GB = 1e9;
const GROUP = "proc/self/cgroup";

describe("the memory that control groups leave a process", () => {
  const v2 = "sys/fs/cgroup";
  const v1 = "sys/fs/cgroup/memory";

  it("is without bound where there are none, or none that limits", () => {
    expect(controlGroupRoom(rootWith({}))).toBe(Number.POSITIVE_INFINITY);
    const unlimited = { [GROUP]: "0::/user", [`${v2}/user/memory.max`]: "max", [`${v2}/user/memory.current`]: "5000" };
    expect(controlGroupRoom(rootWith(unlimited))).toBe(Number.POSITIVE_INFINITY);
  });

  it("is what is not used of the limit, in version 2 and in version 1", () => {
    const second = {
      [GROUP]: "0::/a/b",
      [`${v2}/a/b/memory.max`]: "8000000000",
      [`${v2}/a/b/memory.current`]: "3000000000",
    };
    expect(controlGroupRoom(rootWith(second))).toBe(5 * GB);
    const first = {
      [GROUP]: "9:cpu,cpuacct:/x\n4:memory:/job\n0::/",
      [`${v1}/job/memory.limit_in_bytes`]: "8000000000",
      [`${v1}/job/memory.usage_in_bytes`]: "3000000000",
    };
    expect(controlGroupRoom(rootWith(first))).toBe(5 * GB);
  });

  it("does not count files that were read as used", () => {
    const stat = "anon 1000000000\ninactive_file 1500000000\nactive_file 500000000";
    const limits = { [`${v2}/memory.max`]: "4000000000", [`${v2}/memory.current`]: "3000000000" };
    expect(controlGroupRoom(rootWith({ [GROUP]: "0::/", ...limits, [`${v2}/memory.stat`]: stat }))).toBe(3 * GB);
    const own = "inactive_file 7\ntotal_inactive_file 1500000000\ntotal_active_file 500000000";
    const first = { [`${v1}/memory.limit_in_bytes`]: "4000000000", [`${v1}/memory.usage_in_bytes`]: "3000000000" };
    expect(controlGroupRoom(rootWith({ [GROUP]: "4:memory:/", ...first, [`${v1}/memory.stat`]: own }))).toBe(3 * GB);
  });

  it("is the least of a group's and of all that it is in, by the hard limit or the one that slows down", () => {
    const files = {
      [GROUP]: "0::/slice/scope",
      [`${v2}/slice/scope/memory.max`]: "8000000000",
      [`${v2}/slice/memory.max`]: "max",
      [`${v2}/slice/memory.high`]: "6000000000",
      [`${v2}/slice/memory.current`]: "2000000000",
    };
    expect(controlGroupRoom(rootWith(files))).toBe(4 * GB);
  });

  it("is that of the container's root where its group has a name that only its host knows", () => {
    expect(controlGroupRoom(rootWith({ [GROUP]: "0::/docker/1f", [`${v2}/memory.max`]: "2000000000" }))).toBe(2 * GB);
  });

  it("is nothing where more is used than the limit", () => {
    const files = { [`${v2}/memory.max`]: "1000", [`${v2}/memory.current`]: "2000" };
    expect(controlGroupRoom(rootWith({ [GROUP]: "0::/", ...files }))).toBe(0);
  });
});

describe("the memory that is available", () => {
  it("is at most the machine's, and has what this process holds", () => {
    const available = availableMemory();
    expect(available).toBeLessThanOrEqual(totalmem());
    expect(available).toBeGreaterThanOrEqual(Math.min(freemem(), controlGroupRoom("/")) / 2);
    expect(available).toBeGreaterThan(process.memoryUsage.rss() / 2);
  });
});
