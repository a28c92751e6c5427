// Pictures of every figure of the explanation and of every view of the dashboard, wide and narrow, light and dark, to be looked at.
//
//   npm run screenshots [-- --output screenshots --only tilt --runs runs]
//
// Without --runs the dashboard shows a run of the demo, made for it. The browser is Chromium, or what PREFTUNE_CHROMIUM names.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chromium } from "playwright-core";

const CLI = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const WIDTHS = { wide: 1280, narrow: 360 };
const FIGURES = [
  "pipelines",
  "bradley-terry",
  "tilt",
  "landscape",
  "gradient-weight",
  "worked-example",
  "deterministic",
  "train",
];
const TABS = ["Charts", "Samples", "Pairs", "Settings", "Data"];

const { values } = parseArgs({
  options: {
    output: { type: "string", default: "screenshots" },
    only: { type: "string", default: "" },
    runs: { type: "string" },
  },
});
const output = resolve(values.output);
mkdirSync(output, { recursive: true });
const made = values.runs ? undefined : mkdtempSync(join(tmpdir(), "preftune-screenshots-"));
const children = [];
let browser;
try {
  if (made) await finished(preftune("demo", "--output", join(made, "demo")));
  const server = preftune("ui", values.runs ?? made, "--no-open");
  const address = await addressFrom(server);
  const executablePath = process.env.PREFTUNE_CHROMIUM ?? "/usr/bin/chromium";
  browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu"] });
  for (const [width, pixels] of Object.entries(WIDTHS)) {
    for (const colorScheme of ["light", "dark"]) {
      const context = await browser.newContext({ colorScheme, viewport: { width: pixels, height: 900 } });
      const page = await context.newPage();
      await page.goto(address);
      await photograph(page, `${width}-${colorScheme}`);
      await context.close();
    }
  }
} finally {
  await browser?.close();
  for (const child of children) child.kill("SIGINT");
  if (made) rmSync(made, { recursive: true });
}

async function photograph(page, suffix) {
  const origin = new URL(page.url()).origin;
  const shoot = async (name, part = page) => {
    if (!name.includes(values.only)) return;
    await page.waitForTimeout(700);
    const path = join(output, `${name}-${suffix}.png`);
    await part.screenshot({ path, ...(part === page && { fullPage: true }) });
    console.log(path);
  };
  await page.getByRole("link", { name: "demo" }).or(page.locator("table a")).first().waitFor();
  await shoot("dashboard-runs");
  await page.locator("table a").first().click();
  for (const tab of TABS) {
    await page
      .getByRole("link", { name: tab })
      .or(page.getByRole("tab", { name: tab }))
      .first()
      .click();
    await shoot(`dashboard-${tab.toLowerCase()}`);
  }
  await page.goto(`${origin}/index.html`);
  // As before printing: figures compute when they are about to be seen, and a picture of the page sees them all.
  await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
  // The bar that stays in sight would lie over what is below it.
  await page.addStyleTag({ content: "header.bar { position: static !important; }" });
  await shoot("explanation");
  for (const figure of FIGURES) await shoot(`figure-${figure}`, page.locator(`#${figure}`));
  await page.goto(`${origin}/source.html?file=src/objectives/dpo.ts`);
  await shoot("source");
}

function preftune(...args) {
  if (!existsSync(CLI)) throw new Error("Run `npm run build` first.");
  const child = spawn(process.execPath, [CLI, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  children.push(child);
  return child;
}

async function finished(child) {
  child.stdout.resume();
  const [code] = await once(child, "exit");
  if (code !== 0) throw new Error(`preftune ended with ${code}`);
}

async function addressFrom(child) {
  for await (const line of createInterface({ input: child.stdout })) {
    const address = /http:\/\/\S+/.exec(line)?.[0];
    if (address) {
      child.stdout.resume();
      return address;
    }
  }
  throw new Error("preftune ui printed no address");
}
