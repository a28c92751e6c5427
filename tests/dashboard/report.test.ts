/** A run as one page: `preftune report`, and the same from the dashboard. */

import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { ReportData } from "../../src/dashboard/protocol.ts";
import { reportPage } from "../../src/dashboard/report.ts";
import { startDashboard } from "../../src/dashboard/server.ts";
import { pageFolder } from "../../src/dashboard/static-files.ts";
import { RunError } from "../../src/errors.ts";
import { preftune } from "../cli/support.ts";
import { scratchFolder } from "../support/scratch.ts";
import { Browser, evaluationLine, jsonLines, stepLine, writeRun } from "./support.ts";

const built = (() => {
  try {
    return existsSync(join(pageFolder(), "report.html"));
  } catch (error) {
    if (error instanceof RunError) return false;
    throw error;
  }
})();

const { at } = scratchFolder();
const hostile = "</script><script>alert(1)</script><!-- $& $1 \u2028";

const run = writeRun(at("runs", "first"), {
  steps: 0,
  config: { data: [at("secret-place", "pairs.jsonl")], note: hostile },
});
run.write("metrics.jsonl", jsonLines(Array.from({ length: 3000 }, (_, i) => stepLine(i + 1, { loss: Math.sin(i) }))));
run.append(evaluationLine(3000));
const counts = { read: 3000, used: 3000, shortened: 0, dropped: 0, shortenedBy: {}, droppedBy: {}, specialTokens: {} };
run.write("data.json", { train: { files: [at("secret-place", "pairs.jsonl")], ...counts } });
run.write("samples.jsonl", jsonLines([{ step: 1, prompt: hostile, reference: "r", policy: "p" }]));
const row = (line: number) => ({
  step: 3000,
  file: "h.jsonl",
  line,
  prompt: "p",
  completions: [],
  margin: -line,
  loss: line,
});
run.write("eval-rows.jsonl", jsonLines(Array.from({ length: 700 }, (_, i) => row(i))));

/** What a page holds, as its script reads it. */
function dataOf(page: string): ReportData {
  const [, json] = /<script type="application\/json" id="preftune-report">([^<]*)<\/script>/.exec(page)!;
  return JSON.parse(json!);
}

describe.skipIf(!built)(`the report of a run${built ? "" : " (skipped: the page is not built)"}`, () => {
  it("is a page with all that the dashboard shows of it, and says where it is", async () => {
    const { code, out } = await preftune("report", run.path);
    expect([code, out]).toEqual([0, `${join(run.path, "report.html")}\n`]);
    const data = dataOf(readFileSync(join(run.path, "report.html"), "utf8"));
    expect(data.detail.summary).toMatchObject({ name: "first", step: 3000 });
    expect(Object.keys(data.series)).toEqual(["step", "time", "examples"]);
    const metrics = data.detail.metrics.map(({ name }) => name);
    for (const series of Object.values(data.series)) expect(series.map(({ metric }) => metric)).toEqual(metrics);
    const loss = data.series.time!.find(({ metric }) => metric === "loss")!;
    expect(loss).toMatchObject({ exact: true, count: 3000 });
    expect(loss.x.length).toBeLessThanOrEqual(500);
    expect(data.samples.samples).toMatchObject([{ prompt: 0, policy: "p" }]);
    expect(data.evalRows).toMatchObject({ total: 700 });
    expect(data.evalRows.rows.map(({ line }) => line)).toEqual(Array.from({ length: 500 }, (_, i) => 699 - i));
  });

  it("keeps texts as they are, though they look like the page's own", async () => {
    await preftune("report", run.path, "--output", at("report.html"));
    const page = readFileSync(at("report.html"), "utf8");
    expect(page).not.toContain("alert(1)</script>");
    const data = dataOf(page);
    expect(data.samples.prompts).toEqual([hostile]);
    expect(data.detail.config.note).toBe(hostile);
  });

  it("names files without the folders that they lie in on this machine", async () => {
    await preftune("report", run.path, "--output", at("report.html"));
    const page = readFileSync(at("report.html"), "utf8");
    expect(page).not.toContain(at());
    const { detail } = dataOf(page);
    expect(detail.config.data).toEqual(["pairs.jsonl"]);
    expect(detail.data.train!.files).toEqual(["pairs.jsonl"]);
  });

  it("leaves names that only contain a folder's as they are", async () => {
    const short = writeRun(at("runs", "short"), {
      config: { model: "/m", data: ["/r"], note: "lies in\n/m and /m/x, not in a/m" },
    });
    await preftune("report", short.path, "--output", at("short.html"));
    const { detail } = dataOf(readFileSync(at("short.html"), "utf8"));
    expect(detail.config).toMatchObject({ model: "m", data: ["r"], note: "lies in\nm and m/x, not in a/m" });
    expect(detail.metrics.map(({ name }) => name)).toContain("rewards/margins");
    expect(JSON.stringify(detail)).not.toContain(at());
  });

  it("asks for nothing from anywhere", () => {
    const page = readFileSync(join(pageFolder(), "report.html"), "utf8");
    const tags = [...page.matchAll(/<(?:script|link|img|iframe|source)\b[^>]*?\b(?:src|href)=["']?([^"'\s>]+)/g)];
    const styles = [...page.matchAll(/<style\b[^>]*>(.*?)<\/style>/gs)].map(([, style]) => style).join();
    const fromStyles = [...styles.matchAll(/url\(["']?([^"')]+)|@import\s+["']([^"']+)/g)];
    expect(styles.length).toBeGreaterThan(1000);
    const asked = [...tags, ...fromStyles].map(([, one, other]) => one ?? other!);
    expect(asked.filter((to) => !to.startsWith("data:") && !to.startsWith("#"))).toEqual([]);
  });

  it("is the same from the dashboard, under the run's name", async () => {
    await using dashboard = await startDashboard({ folder: at("runs"), page: false });
    const browser = await Browser.open(dashboard);
    const { headers, text } = await browser.ask(`/api/report/${await browser.idOf("first")}`);
    expect(headers["content-disposition"]).toBe('attachment; filename="first.html"');
    const [loss, ofFile] = [text, readFileSync(join(run.path, "report.html"), "utf8")].map(
      (page) => dataOf(page).series.step![0]!,
    );
    expect({ ...loss, run: "" }).toEqual({ ...ofFile, run: "" });
  });

  it("of what is no run is refused", async () => {
    mkdirSync(at("empty"));
    expect(await preftune("report", at("empty"))).toMatchObject({
      code: 1,
      err: `preftune: ${at("empty")}: has no config.json and no metrics.jsonl, so it is not a run.\n`,
    });
    expect(await preftune("report", run.path, "--output", at("no", "such", "folder.html"))).toMatchObject({
      code: 2,
      err: `preftune: --output ${at("no", "such", "folder.html")} can't be written (there is no such file or folder).\n`,
    });
  });
});

describe.skipIf(built)("a page that is not built", () => {
  it("is asked for", () => {
    expect(() => reportPage({} as ReportData)).toThrow(/npm run build/);
  });
});
