/** What the dashboard draws, apart from a browser: plots, their SVG, the words that answers share, the colours of tokens, the list. */

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { MetricInfo, RunDetail, RunSummary, Series } from "../../src/dashboard/protocol.ts";
import { chartGroups, plotOf, seriesToCsv, styleOf } from "../../web/src/dashboard/charts.ts";
import { foundRuns, groupedRuns, sortedRuns } from "../../web/src/dashboard/run-list.ts";
import {
  elapsed,
  nearest,
  type Plot,
  readingText,
  smoothed,
  tickLabels,
  xTicks,
  yDomain,
  yTicks,
} from "../../web/src/shared/chart/plot.ts";
import { plotToSvg } from "../../web/src/shared/chart/svg.ts";
import { colourScale, tokenRewards } from "../../web/src/shared/tokens.ts";
import { wordDiff } from "../../web/src/shared/word-diff.ts";

function line(more: Partial<Plot["lines"][number]> = {}): Plot["lines"][number] {
  const defaults = { key: "a", label: "training", colour: "--series-1", width: 1, dash: [], points: false };
  return { ...defaults, x: [0, 1, 2, 3], y: [1, 2, 4, 8], ...more };
}

function plot(more: Partial<Plot> = {}): Plot {
  const axis = { title: "Loss", unit: "nats", xTitle: "step", xKind: "number" as const, from: 0, to: 3 };
  return { ...axis, log: false, lines: [line()], marks: [], ...more };
}

const info = (name: string, kind: MetricInfo["kind"], label = ""): MetricInfo => ({
  name,
  kind,
  label,
  unit: "",
  of: name.startsWith("eval_") ? "evaluation" : "training",
  base: name.replace(/^eval_/, ""),
});

const series = (metric: string, x: number[], mean: number[], run = "r"): Series => ({
  run,
  metric,
  axis: "step",
  count: x.length,
  bucket: 1,
  exact: true,
  x,
  mean,
});

describe("an axis", () => {
  it("shows all values within what is looked at, and none beyond", () => {
    const { domain } = yDomain(plot({ from: 1, to: 2 }));
    expect(domain[0]).toBeLessThan(2);
    expect(domain[0]).toBeGreaterThan(1);
    expect(domain[1]).toBeGreaterThan(4);
    expect(domain[1]).toBeLessThan(8);
  });

  it("reaches as far as the least and greatest of what each point stands for", () => {
    const { domain } = yDomain(plot({ lines: [line({ low: [0, 0, -3, 0], high: [9, 9, 9, 20] })] }));
    expect(domain[0]).toBeLessThan(-3);
    expect(domain[1]).toBeGreaterThan(20);
  });

  it("is logarithmic where it is asked to be, but for values below zero", () => {
    expect(yDomain(plot({ log: true })).log).toBe(true);
    expect(yDomain(plot({ log: true, lines: [line({ y: [0, 2, 4, 8] })] })).log).toBe(true);
    expect(yDomain(plot({ log: true, lines: [line({ y: [-1, 2, 4, 8] })] })).log).toBe(false);
  });

  it("has labels that tell its ticks apart", () => {
    expect(tickLabels("", [0.5925, 0.593, 0.5935])).toEqual(["0.5925", "0.5930", "0.5935"]);
    expect(tickLabels("", [0, 0.5, 1])).toEqual(["0", "0.5", "1"]);
    expect(tickLabels("share", [0.99, 0.9902, 0.9904])).toEqual(["99.00 %", "99.02 %", "99.04 %"]);
    expect(tickLabels("bytes", [1.796e9, 1.798e9, 1.8e9])).toEqual(["1.796 GB", "1.798 GB", "1.800 GB"]);
    expect(tickLabels("", [-1000.5, -1000, -999.5])).toEqual(["−1000.5", "−1000.0", "−999.5"]);
    const span = fc.tuple(
      fc.double({ min: -1e4, max: 1e4, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e4, noNaN: true }),
    );
    fc.assert(
      fc.property(span, fc.constantFrom("", "share", "nats"), ([from, size], unit) => {
        const ticks = yTicks([from, from + size], false, 6);
        expect(new Set(tickLabels(unit, ticks)).size).toBe(ticks.length);
      }),
    );
  });

  it("is read to four figures, but shares and bytes as they are labelled", () => {
    expect([0.59314, -27.1234, 12345, 0, 2e-5].map((value) => readingText("", value))).toEqual([
      "0.5931",
      "−27.12",
      "12\u202f345",
      "0",
      "2e−5",
    ]);
    expect([readingText("share", 0.875), readingText("bytes", 1.8e9)]).toEqual(["87.5 %", "1.8 GB"]);
  });

  it("has round ticks within it, at least two of them, whatever its span", () => {
    const span = fc.tuple(
      fc.double({ min: -1e6, max: 1e6, noNaN: true }),
      fc.double({ min: 1e-3, max: 1e6, noNaN: true }),
    );
    fc.assert(
      fc.property(span, ([from, size]) => {
        const ticks = yTicks([from, from + size], false, 6);
        expect(ticks.length).toBeGreaterThanOrEqual(2);
        expect(ticks.length).toBeLessThanOrEqual(8);
        for (const tick of ticks) {
          expect(tick).toBeGreaterThanOrEqual(from - 1e-6 * size);
          expect(tick).toBeLessThanOrEqual(from + size + 1e-6 * size);
        }
      }),
    );
    expect(yTicks([0.9, 1100], true, 6)).toEqual([1, 10, 100, 1000]);
    expect(yTicks([0.2, 0.9], true, 6)).toEqual([0.2, 0.5]);
    expect(yTicks([1.1e9, 1.3e9], true, 4)).toEqual([1.1e9, 1.15e9, 1.2e9, 1.25e9, 1.3e9]);
  });

  it("of time is ticked at whole minutes and hours", () => {
    const hours = xTicks(plot({ xKind: "seconds", from: 0, to: 3 * 3600 }), 4);
    expect(hours.map(elapsed)).toEqual(["0:00", "1:00:00", "2:00:00", "3:00:00"]);
    const minutes = xTicks(plot({ xKind: "seconds", from: 0, to: 400 }), 7);
    expect(minutes.map(elapsed)).toEqual(["0:00", "1:00", "2:00", "3:00", "4:00", "5:00", "6:00"]);
  });
});

describe("smoothing", () => {
  it("begins at the first value, and keeps a constant", () => {
    expect(smoothed([3, 3, 3], 0.9)).toEqual([3, 3, 3].map((value) => expect.closeTo(value, 12)));
    expect(smoothed([1, 2], 0.5)).toEqual([1, expect.closeTo(5 / 3, 12)]);
    expect(smoothed([1, 5, 2], 0)).toEqual([1, 5, 2]);
  });
});

describe("the cursor", () => {
  it("reads the nearest value", () => {
    const places = line({ x: [0, 10, 20, 30], y: [1, 2, 3, 4] });
    expect([-5, 4, 6, 21, 99].map((at) => nearest(places, at))).toEqual([0, 0, 1, 2, 3]);
    expect(nearest(line({ x: [], y: [] }), 1)).toBeUndefined();
  });
});

describe("charts of a run", () => {
  const metrics = [
    info("loss", "loss"),
    info("eval_loss", "loss"),
    info("rewards/chosen", "rewards", "chosen"),
    info("rewards/rejected", "rewards", "rejected"),
    info("eval_gap/margins", "margins", "gap"),
    info("eval_kl_samples", "kl", "samples"),
    info("eval_kl_samples_stderr", "kl", "samples stderr"),
    info("tokens_per_second", "throughput", "tokens"),
  ];
  const detail = { warnings: [{ step: 2, name: "w", found: "", advice: "" }], range: {}, summary: { started: 0 } };
  const run = { id: "r", name: "first", detail: detail as unknown as RunDetail, ...styleOf(0) };
  const settings = { axis: "step" as const, smoothing: 0, log: false, from: 0, to: 2 };

  it("have training and evaluation over each other, chosen and rejected together, and the rest under more", () => {
    const groups = chartGroups(metrics, false);
    expect(groups.map(({ title, more, metrics }) => [title, more, metrics.map(({ name }) => name)])).toEqual([
      ["Loss", false, ["loss", "eval_loss"]],
      ["Implicit reward", false, ["rewards/chosen", "rewards/rejected"]],
      ["Reward margin, training minus held out", true, ["eval_gap/margins"]],
      ["KL to the reference", false, ["eval_kl_samples", "eval_kl_samples_stderr"]],
      ["Tokens a second", false, ["tokens_per_second"]],
    ]);
  });

  it("have one metric each where runs are compared", () => {
    expect(chartGroups(metrics, true).map(({ title }) => title)).toContain("Implicit reward, chosen");
    expect(chartGroups(metrics, true).every((group) => new Set(group.metrics.map(({ base }) => base)).size === 1)).toBe(
      true,
    );
  });

  it("draw a standard error as a band around its estimate", () => {
    const group = chartGroups(metrics, false).find(({ key }) => key === "kl")!;
    const all = [series("eval_kl_samples", [1, 2], [1, 3]), series("eval_kl_samples_stderr", [1, 2], [0.5, 1])];
    const { lines } = plotOf(group, [run], (_, metric) => all.find((one) => one.metric === metric), settings);
    expect(lines.map(({ label, low, high }) => [label, low, high])).toEqual([["samples", [0.5, 2], [1.5, 4]]]);
  });

  it("smooth what is trained, not what is evaluated, and mark warnings", () => {
    const group = chartGroups(metrics, false)[0]!;
    const all = [series("loss", [1, 2], [2, 4]), series("eval_loss", [1, 2], [2, 4])];
    const drawn = plotOf(group, [run], (_, metric) => all.find((one) => one.metric === metric), {
      ...settings,
      smoothing: 0.5,
    });
    expect(drawn.lines.map(({ y, raw }) => [y[1], raw])).toEqual([
      [expect.closeTo(10 / 3, 12), [2, 4]],
      [4, undefined],
    ]);
    expect(drawn.marks).toEqual([{ at: 2, label: "1" }]);
  });
});

describe("a chart as SVG", () => {
  const colour = (variable: string) => `color(${variable})`;
  const svg = (more: Partial<Plot> = {}) => plotToSvg(plot(more), { width: 800, height: 450, colour });

  it("has title, axes with labels, legend, lines, bands and marks", () => {
    const text = svg({
      title: "Loss & <more>",
      lines: [
        line({ label: "training", low: [0, 1, 2, 3], high: [2, 3, 5, 9] }),
        line({ key: "b", label: "held out", points: true }),
      ],
      marks: [{ at: 2, label: "1" }],
    });
    expect(text).toContain("<title>Loss &amp; &lt;more&gt;</title>");
    for (const label of ["step", "nats", "training", "held out", "1"])
      expect(text).toMatch(new RegExp(`>${label}</text>`));
    expect(text.match(/<path /g)).toHaveLength(2);
    expect(text.match(/<polygon /g)).toHaveLength(1);
    expect(text.match(/<circle /g)).toHaveLength(4 + 1);
    expect(text).toContain('stroke="color(--warning)"');
    expect(text).not.toMatch(/NaN|Infinity|var\(/);
  });

  it("has a zero at the lower edge of a logarithmic axis", () => {
    const heights = [...svg({ log: true, lines: [line({ y: [1, 0, 4, 8] })] }).matchAll(/[ML][\d.]+,([\d.]+)/g)];
    expect(heights[1]![1]).toBe(String(450 - 46));
  });

  it("has every value in its place", () => {
    const places = [...svg().matchAll(/[ML]([\d.]+),([\d.]+)/g)].map(([, x, y]) => [Number(x), Number(y)] as const);
    expect(places).toHaveLength(4);
    const [first, second, third, last] = places as [readonly [number, number], ...(readonly [number, number])[]];
    expect(second![0] - first[0]).toBeCloseTo(third![0] - second![0], 0);
    // 1, 2, 4, 8: each is twice as far from the one before.
    expect((second![1] - third![1]) / (first[1] - second![1])).toBeCloseTo(2, 1);
    expect((third![1] - last![1]) / (second![1] - third![1])).toBeCloseTo(2, 1);
  });
});

describe("the series as CSV", () => {
  it("have every point, with what it stands for", () => {
    const bucketed = { ...series("loss", [2, 4], [0.5, 0.3], "a,b"), bucket: 2, min: [0.4, 0.3], max: [0.6, 0.3] };
    expect(seriesToCsv([bucketed])).toBe(
      'run,metric,axis,x,values,mean,min,max\r\n"a,b",loss,step,2,2,0.5,0.4,0.6\r\n"a,b",loss,step,4,2,0.3,0.3,0.3\r\n',
    );
  });
});

describe("the difference of two answers", () => {
  const parts = (before: string, after: string, ...kinds: string[]) =>
    wordDiff(before, after)
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ text }) => text)
      .join("");

  it("joins to both of them", () => {
    const words = fc.array(fc.constantFrom("the ", "film", " is", "\n", "good", ".", "“très”", " "), { maxLength: 30 });
    fc.assert(
      fc.property(words, words, (a, b) => {
        const [before, after] = [a.join(""), b.join("")];
        expect(parts(before, after, "same", "removed")).toBe(before);
        expect(parts(before, after, "same", "added")).toBe(after);
      }),
    );
  });

  it("is as small as the words allow", () => {
    expect(wordDiff("The acting is wooden.", "The acting is superb.")).toEqual([
      { kind: "same", text: "The acting is" },
      { kind: "removed", text: " wooden" },
      { kind: "added", text: " superb" },
      { kind: "same", text: "." },
    ]);
    expect(wordDiff("as it was", "as it was")).toEqual([{ kind: "same", text: "as it was" }]);
  });
});

describe("the reward of a token", () => {
  it("is beta log(pi / pi_ref)", () => {
    const tokens = { text: ["a", "b"], policy: [-1, -2], reference: [-1.5, -1] };
    expect(tokenRewards(tokens, 0.4)).toEqual([expect.closeTo(0.2, 12), expect.closeTo(-0.4, 12)]);
    expect(tokenRewards({ text: ["a"], policy: [-1] }, 0.4)).toBeUndefined();
  });

  it("is drawn in full colour from a round number that few go beyond", () => {
    const policy = Array.from({ length: 100 }, (_, i) => i / 100);
    expect(colourScale([{ text: [], policy, reference: policy.map(() => 0) }], 1)).toBe(1);
    expect(colourScale([{ text: [], policy, reference: policy.map(() => 0) }], 0.1)).toBe(0.1);
    expect(colourScale([], 1)).toBe(1);
  });
});

describe("the list of runs", () => {
  const run = (name: string, more: Partial<RunSummary> = {}) =>
    ({
      name,
      group: "",
      state: "finished",
      model: "tiny",
      data: ["d/pairs.jsonl"],
      method: "dpo",
      objective: ["sigmoid"],
      ...more,
    }) as RunSummary;
  const runs = [
    run("beta-10", { loss: 0.2 }),
    run("beta-2", { loss: 0.3, objective: ["ipo"] }),
    run("new", { group: "a" }),
  ];
  const names = (some: readonly RunSummary[]) => some.map(({ name }) => name);

  it("finds runs that have all words, wherever", () => {
    expect(names(foundRuns(runs, "TINY beta"))).toEqual(["beta-10", "beta-2"]);
    expect(names(foundRuns(runs, "ipo pairs"))).toEqual(["beta-2"]);
    expect(names(foundRuns(runs, " "))).toHaveLength(3);
  });

  it("sorts numbers in names as numbers, and what is not known last", () => {
    expect(names(sortedRuns(runs, "name", false))).toEqual(["beta-2", "beta-10", "new"]);
    expect(names(sortedRuns(runs, "loss", false))).toEqual(["beta-10", "beta-2", "new"]);
    expect(names(sortedRuns(runs, "loss", true))).toEqual(["beta-2", "beta-10", "new"]);
  });

  it("keeps the order within groups", () => {
    const groups = groupedRuns(sortedRuns(runs, "loss", true), "objective");
    expect(groups.map(([name, members]) => [name, names(members)])).toEqual([
      ["dpo ipo", ["beta-2"]],
      ["dpo sigmoid", ["beta-10", "new"]],
    ]);
    expect(groupedRuns(runs, "none").map(([name]) => name)).toEqual([""]);
  });
});
