/** What is said while files come from the hub. */

import { describe, expect, test } from "vitest";
import { Screen } from "../../src/cli/terminal/screen.ts";
import { TransferReporter } from "../../src/cli/terminal/transfer.ts";
import type { HubEvent } from "../../src/hub/index.ts";
import { recorder } from "./support.ts";

const total = 270e6;
const progress = (done: number, changes: Partial<Extract<HubEvent, { kind: "progress" }>> = {}): HubEvent => ({
  kind: "progress",
  direction: "download",
  name: "org/name",
  files: 5,
  done,
  total,
  ...changes,
});

/** What is shown of events, each with the second at which it comes. */
function shown(events: readonly (readonly [number, HubEvent])[], isTTY: boolean): string {
  const stream = recorder({ isTTY, columns: 80 });
  let now = 0;
  const reporter = new TransferReporter(new Screen(stream, "xterm"), () => now);
  for (const [second, event] of events) {
    now = second;
    reporter.onEvent(event);
  }
  return stream.text().replaceAll("\r", "<").replaceAll("\u001b[K", ">\n");
}

describe("a download", () => {
  const events = [
    [0, progress(0)],
    [0.01, progress(1e5)],
    [0.5, progress(20e6)],
    [2, progress(90e6)],
    [6, progress(total)],
  ] as const;

  test("is one line that is written over ten times a second at most, and one that stays", () => {
    expect(shown(events, true)).toMatchInlineSnapshot(`
      "<downloading org/name  1 MB of 270 MB>
      <downloading org/name  20 MB of 270 MB>
      <downloading org/name  90 MB of 270 MB  45.0 MB/s  4 s left>
      <>
      downloaded org/name: 270 MB in 6 s
      "
    `);
  });

  test("is one line in a log, and more where it takes long", () => {
    expect(shown(events, false)).toBe("downloaded org/name: 270 MB in 6 s\n");
    const slow = [0, 10, 31, 45, 62].map((second) => [second, progress(second * 4e6)] as const);
    expect(shown([...slow, [67.5, progress(total)]], false)).toMatchInlineSnapshot(`
      "downloading org/name  124 MB of 270 MB  4.0 MB/s  37 s left
      downloading org/name  248 MB of 270 MB  4.0 MB/s  6 s left
      downloaded org/name: 270 MB in 1 min 08 s
      "
    `);
  });

  test("that goes on says what was there", () => {
    const resumed = [
      [0, progress(200e6)],
      [1, progress(235e6)],
      [2, progress(total)],
    ] as const;
    expect(shown(resumed, false)).toBe("downloaded org/name: 270 MB in 2 s (200 MB were there)\n");
  });

  test("of little says nothing", () => {
    const little = [0, 500, 1000].map((done) => [done / 1000, progress(done, { total: 1000 })] as const);
    expect(shown(little, false)).toBe("");
  });
});

test("an upload is told as one", () => {
  const events = [0, total].map((done) => [done / 1e8, progress(done, { direction: "upload" })] as const);
  expect(shown(events, false)).toBe("uploaded org/name: 270 MB in 3 s\n");
});

test("a pause is told where it lasts, and so is what there is to know", () => {
  const wait = { kind: "wait", name: "org/name", reason: "HOST answered 429" } as const;
  const events: HubEvent[] = [
    { ...wait, seconds: 0.5 },
    { ...wait, seconds: 30 },
    { kind: "note", text: "org/name: going on" },
  ];
  expect(
    shown(
      events.map((event) => [0, event]),
      false,
    ),
  ).toBe("org/name: HOST answered 429; trying again in 30 s\nnote: org/name: going on\n");
});
