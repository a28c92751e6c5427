/** The dashboard in a browser while runs begin, go on, end and go, and while its server does. */

import { renameSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { demoRun } from "../../src/demo/demo.ts";
import { start } from "../cli/support.ts";
import { violations } from "../support/accessibility.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { eventually, fullRun, go, open, openRun, reading, servedFolder, tokensOf } from "./dashboard-support.ts";

describe.skipIf(browserMissing)(`the dashboard${whyNoBrowser}`, () => {
  const browser = launched();
  const { scratch, served } = servedFolder();

  it("follows a run from before it begins, and stops it when that is confirmed", async () => {
    await using dashboard = await served("live");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await page.getByRole("heading", { name: "No runs yet" }).waitFor();
    expect(await page.locator("pre").first().textContent()).toBe(`preftune demo --output ${scratch.at("live")}/demo`);

    const [films, output] = [demoRun({ output: scratch.at("live", "first"), seed: 0 }), scratch.at("live", "first")];
    const evalData = scratch.writeLines("held-out.jsonl", heldOut());
    const lengths =
      "--limit 16 --batch-size 2 --epochs 1000 --eval-every 8 --sample-prompts 1 --sample-tokens 8 --threads 1";
    const words = ["--model", films.model, "--data", films.data, "--eval-data", evalData, "--output", output];
    const run = start(["dpo", ...words, "--tuning", "full", ...lengths.split(" ")]);
    await openRun(page, "first");
    await page.getByText("running").waitFor();
    expect(await page.title()).toBe("first · preftune");
    await eventually(() => reading(page, "Loss")).toMatch(/^2 lines, 0 to \d+$/);
    const [before, step] = [await reading(page, "Loss"), page.locator("dd").first()];
    const stepBefore = await step.textContent();
    await eventually(() => reading(page, "Loss")).not.toBe(before);
    await eventually(() => step.textContent()).not.toBe(stepBefore);

    await page.getByRole("button", { name: "Stop" }).click();
    await page.getByRole("button", { name: "Let it run" }).click();
    await page.getByRole("button", { name: "Stop" }).click();
    expect(await violations(page)).toEqual([]);
    await page.getByRole("button", { name: "Stop the run" }).click();
    expect((await run.ended).err).toContain("--resume");
    await page.getByText("Go on with it:").waitFor();
    expect(await page.getByRole("button", { name: "Stop" }).count()).toBe(0);

    await go(page, "Samples");
    const token = tokensOf(page).first();
    await token.waitFor();
    const [sample] = scratch
      .lines<{ policy: string; policy_tokens: { text: string[] } }>("live", "first", "samples.jsonl")
      .slice(-1);
    const policy = page.getByRole("listbox", { name: "Policy, token by token" });
    expect(await policy.textContent()).toBe(sample!.policy_tokens.text.join(""));
    expect(opened.errors).toEqual([]);
  });

  it("says calmly that the connection is lost, and goes on when the server is there again", async () => {
    fullRun(scratch.at("restart", "first"));
    const dashboard = await served("restart");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await page.getByText("live", { exact: true }).waitFor();
    await dashboard[Symbol.asyncDispose]();
    await page.getByText("does not answer here").waitFor();
    expect(await page.getByRole("link", { name: "first" }).isVisible()).toBe(true);

    fullRun(scratch.at("restart", "second"));
    await using again = await served("restart", dashboard.port);
    // The new server has a new token. Once its address is opened anywhere in the browser, this page is let in too.
    await page.getByText("preftune ui was started again. Open the address that it has printed last").waitFor();
    const other = await page.context().newPage();
    await other.goto(again.url);
    await page.getByText("live", { exact: true }).waitFor();
    await page.getByRole("link", { name: "second" }).waitFor();
  });

  it("keeps what it shows of a run that is deleted meanwhile", async () => {
    fullRun(scratch.at("deleted", "first"));
    await using dashboard = await served("deleted");
    await using opened = await open(await browser(), dashboard.url);
    const { page } = opened;
    await openRun(page, "first");
    await eventually(() => reading(page, "Loss")).toMatch(/^2 lines/);
    renameSync(scratch.at("deleted", "first"), scratch.at("trash"));
    await page.getByText("This run's folder is gone.").waitFor();
    expect(await reading(page, "Loss")).toMatch(/^2 lines/);
    await page.reload();
    await page.getByRole("heading", { name: "There is no such run" }).waitFor();
    await page.getByRole("link", { name: "All runs" }).click();
    await page.getByRole("heading", { name: "No runs yet" }).waitFor();
  });
});

/** A few held-out pairs of the kind that the embedded model knows. */
function heldOut() {
  const user = (content: string) => [{ role: "user", content }];
  const assistant = (content: string) => [{ role: "assistant", content }];
  return ["The Blue Song", "The Lost Key"].map((title) => ({
    prompt: user(`Please review the film "${title}" in a few words.`),
    chosen: assistant(`"${title}" is a joy from start to finish.`),
    rejected: assistant(`"${title}" is a waste of two hours.`),
  }));
}
