/** The explanation's figures against the library: the same settings, by link and by keyboard, the same numbers. */

import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { bradleyTerryLoss } from "../../src/objectives/bradley-terry.ts";
import { sigmoidLoss } from "../../src/objectives/dpo.ts";
import { ipoLoss } from "../../src/objectives/ipo.ts";
import { evaluatePairs, type Pair, type Two } from "../objectives/pairs.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { bringIntoSight, expectNumbers, numberOf, openPage } from "../support/explanation.ts";

const pair = (policy: Two, reference: Two = [0, 0]): Pair => ({ policy, reference, lengths: [1, 1] });

describe.skipIf(browserMissing)(`the explanation's figures${whyNoBrowser}`, () => {
  const browser = launched();

  describe("the two pipelines", () => {
    it.each([
      ["SmolLM2 135M", 134_515_008],
      ["Llama 3.2 1B", 1_235_814_400],
      ["Llama 3.2 3B", 3_212_749_824],
      ["Qwen 2.5 7B", 7_615_616_512],
      ["Llama 3.1 8B", 8_030_261_248],
    ])("count %s as published", async (model, parameters) => {
      await using open = await openPage(await browser(), {
        path: `index.html?pipelines.model=${encodeURIComponent(model)}`,
      });
      await expectNumbers(open.page, "pipelines", {
        parameters,
        trained: parameters,
        // PPO: four networks, two of them with a gradient and two moments. DPO: two networks, one of them so.
        "memory-rlhf": 4 * (4 + 2 * 3) * parameters,
        "memory-dpo": 4 * (2 + 3) * parameters,
      });
    });

    it("hold no second copy for the reference where an adapter is trained", async () => {
      await using open = await openPage(await browser(), { path: "index.html?pipelines.model=SmolLM2+135M" });
      const parameters = await numberOf(open.page, "pipelines", "parameters");
      await open.page.getByLabel("What is trained").selectOption("lora");
      // Rank 16 on queries, keys, values and outputs of 576, 192, 192 and 576, and on the three of 1,536, in 30 layers.
      const adapter = 30 * 16 * (2 * (576 + 576) + 2 * (576 + 192) + 3 * (576 + 1536));
      await expectNumbers(open.page, "pipelines", {
        trained: adapter,
        // A copy of the policy, of the reward model and of the value model; adapters of two, with a gradient and two moments.
        "memory-rlhf": 4 * (3 * parameters + 2 * 4 * adapter),
        "memory-dpo": 4 * (parameters + 4 * adapter),
      });
    });
  });

  describe("from reward to preference", () => {
    it.each([
      [1, 0],
      [-2.5, 0],
      [0.4, 7],
      [6, -10],
    ])("shows the reward model's probability at a gap of %d with %d added", async (gap, constant) => {
      const path = `index.html?bradley-terry.gap=${gap}&bradley-terry.constant=${constant}`;
      await using open = await openPage(await browser(), { path });
      const rewards: Two = [gap / 2 + constant, -gap / 2 + constant];
      const { losses } = await evaluatePairs(bradleyTerryLoss.create(), [pair(rewards)]);
      await expectNumbers(open.page, "bradley-terry", { probability: Math.exp(-losses[0]!), "reward-a": rewards[0] });
    });

    it("is moved by the keyboard and keeps what was set in its address", async () => {
      await using open = await openPage(await browser());
      const gap = open.page.getByLabel("Gap of rewards");
      await gap.focus();
      for (let i = 0; i < 10; i++) await gap.press("ArrowRight");
      const { losses } = await evaluatePairs(bradleyTerryLoss.create(), [pair([0.75, -0.75])]);
      await expectNumbers(open.page, "bradley-terry", { probability: Math.exp(-losses[0]!) });
      await expect.poll(() => new URL(open.page.url()).searchParams.get("bradley-terry.gap")).toBe("1.5");
      await open.page.locator("#bradley-terry").getByRole("button", { name: "Reset" }).click();
      await expect.poll(() => new URL(open.page.url()).searchParams.get("bradley-terry.gap")).toBeNull();
    });

    it("is set by a tap, and left alone by a finger that scrolls the page", async () => {
      const phone = { viewport: { width: 360, height: 800 }, hasTouch: true, isMobile: true };
      await using open = await openPage(await browser(), phone);
      const drawing = open.page.locator("#bradley-terry svg");
      await drawing.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
      const gap = () => open.page.getByLabel("Gap of rewards").inputValue();
      const box = (await drawing.boundingBox())!;
      const [x, y] = [box.x + 0.8 * box.width, box.y + box.height / 2];
      const input = await open.page.context().newCDPSession(open.page);
      const touch = (type: "touchStart" | "touchMove" | "touchEnd", up = 0) =>
        input.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x, y: y - up }] });
      const before = await open.page.evaluate(() => scrollY);
      await touch("touchStart");
      for (const up of [30, 60, 90, 120]) await touch("touchMove", up);
      await touch("touchEnd");
      await expect.poll(() => open.page.evaluate(() => scrollY)).toBeGreaterThan(before);
      expect(await gap()).toBe("1");
      await drawing.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
      await drawing.tap({ position: { x: 0.8 * box.width, y: box.height / 2 } });
      await expect.poll(async () => Number(await gap())).toBeGreaterThan(2);
    });

    it("has the crowd's share close in on the probability", async () => {
      await using open = await openPage(await browser(), { path: "index.html?bradley-terry.votes=400" });
      const [share, probability] = [
        await numberOf(open.page, "bradley-terry", "share"),
        await numberOf(open.page, "bradley-terry", "probability"),
      ];
      expect(Math.abs(share - probability)).toBeLessThan(0.05);
    });
  });

  describe("the gradient's weight", () => {
    it.each([
      ["index.html", 0.1, 0],
      ["index.html?gradient-weight.beta=1.5&gradient-weight.smoothing=0.2", 1.5, 0.2],
    ])("pushes as the library's gradient does (%s)", async (path, beta, labelSmoothing) => {
      await using open = await openPage(await browser(), { path });
      const margins = [-3.2, -1.1, -0.4, 0.3, 1.2, 2.1, 3.4, 4.8];
      const pairs = margins.map((margin) => pair([margin / (2 * beta), -margin / (2 * beta)]));
      const { gradient } = await evaluatePairs(sigmoidLoss.create({ beta, labelSmoothing }), pairs);
      const total = gradient.reduce((sum, [chosen]) => sum + Math.abs(chosen), 0);
      await expectNumbers(open.page, "gradient-weight", {
        ...Object.fromEntries(gradient.map(([chosen], i) => [`push-${i + 1}`, -chosen])),
        ...Object.fromEntries(gradient.map(([chosen], i) => [`share-${i + 1}`, Math.abs(chosen) / total])),
      });
    });

    it("has a margin for every pair that the keyboard moves", async () => {
      await using open = await openPage(await browser());
      await bringIntoSight(open.page, "gradient-weight");
      const dot = open.page.getByRole("slider", { name: "Margin of pair 1" });
      await dot.focus();
      await dot.press("PageDown");
      const { gradient } = await evaluatePairs(sigmoidLoss.create({ beta: 0.1 }), [pair([-21, 21])]);
      await expectNumbers(open.page, "gradient-weight", { "push-1": -gradient[0]![0] });
      expect(await dot.getAttribute("aria-valuenow")).toBe("-4.2");
    });
  });

  describe("the worked example", () => {
    it.each([
      { chosen: -34, rejected: -31, referenceChosen: -30, referenceRejected: -35, beta: 0.1 },
      { chosen: -20, rejected: -50, referenceChosen: -30, referenceRejected: -35, beta: 0.5 },
      { chosen: -30, rejected: -35, referenceChosen: -30, referenceRejected: -35, beta: 0.02 },
    ])("shows every number of %o", async (settings) => {
      const query = Object.entries(settings).map(([name, value]) => `worked-example.${name}=${value}`);
      await using open = await openPage(await browser(), { path: `index.html?${query.join("&")}` });
      const { chosen, rejected, referenceChosen, referenceRejected, beta } = settings;
      const given = pair([chosen, rejected], [referenceChosen, referenceRejected]);
      const { losses, metrics, gradient } = await evaluatePairs(sigmoidLoss.create({ beta }), [given]);
      await expectNumbers(open.page, "worked-example", {
        "ratio-chosen": chosen - referenceChosen,
        "ratio-rejected": rejected - referenceRejected,
        "reward-chosen": metrics["rewards/chosen"]![0]!,
        "reward-rejected": metrics["rewards/rejected"]![0]!,
        margin: metrics["rewards/margins"]![0]!,
        loss: losses[0]!,
        weight: -gradient[0]![0] / beta,
        "gradient-chosen": gradient[0]![0],
        "gradient-rejected": gradient[0]![1],
      });
    });

    it("starts at the loss that is known by hand", async () => {
      await using open = await openPage(await browser());
      // a = -4, c = 4, z = -0.8: log(1 + e^0.8).
      await expectNumbers(open.page, "worked-example", { margin: -0.8, loss: Math.log1p(Math.exp(0.8)) });
    });

    it("links to the lines that it shows", async () => {
      await using open = await openPage(await browser());
      const code = open.page.locator("#worked-example .loss a");
      const [text, href] = [await code.locator("code").textContent(), await code.getAttribute("href")];
      await open.page.goto(new URL(href!, open.page.url()).href);
      await open.page.getByText("Direct Preference Optimization, Rafailov").first().waitFor();
      const line = Number(/#L(\d+)$/.exec(href!)![1]);
      expect((await open.page.locator(`#L${line}`).textContent())!.trim()).toBe(text);
    });
  });

  describe("preferences that are always the same", () => {
    it.each([
      [0.4, 0.1],
      [0.8, 0.3],
    ])(
      "brings IPO and conservative DPO to rest where theory says, and DPO nowhere (beta %d, smoothing %d)",
      async (beta, smoothing) => {
        const path = `index.html?deterministic.beta=${beta}&deterministic.smoothing=${smoothing}`;
        await using open = await openPage(await browser(), { path });
        await expectNumbers(open.page, "deterministic", {
          "rest-ipo": 1 / (2 * beta),
          "rest-cdpo": Math.log((1 - smoothing) / smoothing) / beta,
        });
        expect(await open.page.locator('[data-name="rest-dpo"]').textContent()).toBe("no finite gap");
        const gaps = await Promise.all(
          ["ipo", "cdpo", "dpo"].map((name) => numberOf(open.page, "deterministic", `gap-${name}`)),
        );
        expect(gaps[0]).toBeCloseTo(1 / (2 * beta), 2);
        expect(gaps[1]).toBeCloseTo(Math.log((1 - smoothing) / smoothing) / beta, 1);
        expect(gaps[2]).toBeGreaterThan(1.3 * gaps[1]!);
      },
    );

    it("finds a resting place that is far out", async () => {
      const path = "index.html?deterministic.beta=0.05&deterministic.smoothing=0.01";
      await using open = await openPage(await browser(), { path });
      await expectNumbers(open.page, "deterministic", { "rest-ipo": 10, "rest-cdpo": Math.log(99) / 0.05 });
    });

    it("has its resting places where the library's gradients vanish", async () => {
      await using open = await openPage(await browser());
      const [ipo, conservative] = [
        await numberOf(open.page, "deterministic", "rest-ipo"),
        await numberOf(open.page, "deterministic", "rest-cdpo"),
      ];
      const slope = async (objective: ReturnType<typeof ipoLoss.create>, gap: number) =>
        (await evaluatePairs(objective, [pair([gap / 2, -gap / 2])])).gradient[0]![0];
      expect(await slope(ipoLoss.create({ beta: 0.4 }), ipo)).toBeCloseTo(0, 9);
      expect(await slope(sigmoidLoss.create({ beta: 0.4, labelSmoothing: 0.1 }), conservative)).toBeCloseTo(0, 9);
    });

    it("shows the course at once where motion is not wanted", async () => {
      await using open = await openPage(await browser(), {
        path: "index.html?deterministic.steps=0",
        reducedMotion: "reduce",
      });
      await expectNumbers(open.page, "deterministic", { "gap-dpo": 0 });
      await open.page.locator("#deterministic").getByRole("button", { name: "Train" }).click();
      await expect.poll(async () => (await numberOf(open.page, "deterministic", "gap-dpo")) > 5).toBe(true);
    });
  });

  describe("an address that nobody could have set", () => {
    const settings = {
      pipelines: ["show", "model", "tuning", "prompts", "promptTokens", "answerTokens"],
      "bradley-terry": ["gap", "constant", "votes"],
      tilt: ["beta", "rewards", "policy", "random"],
      landscape: ["objective", "chosen", "rejected", "reach", "tokensChosen", "rate", "steps", "beta", "fDivergence"],
      "gradient-weight": ["beta", "smoothing", "margins"],
      "worked-example": ["chosen", "rejected", "referenceChosen", "referenceRejected", "beta"],
      deterministic: ["beta", "smoothing", "reference", "steps"],
      train: ["beta", "device"],
    };
    const lengths: Readonly<Record<string, number>> = { rewards: 6, policy: 6, margins: 8 };

    it.each(["-1e308", "1e308", "0.5", "1e-320", "constructor"])("shows what is possible (%s)", async (value) => {
      const query = Object.entries(settings).flatMap(([figure, names]) =>
        names.map((name) => `${figure}.${name}=${Array(lengths[name] ?? 1).fill(value)}`),
      );
      await using open = await openPage(await browser(), { path: `index.html?${query.join("&")}` });
      for (const figure of Object.keys(settings)) await bringIntoSight(open.page, figure);
      await expectAllNumbers(open.page);
      expect(open.errors).toEqual([]);
    });
  });
});

/** Waits until the figures that compute have a finite number everywhere, in their drawings too. */
async function expectAllNumbers(page: Page): Promise<void> {
  const wrong = () =>
    page.evaluate(() => {
      const figures = [...document.querySelectorAll("figure")].filter(({ id }) => id !== "train");
      const numbers = figures.flatMap((figure) => [...figure.querySelectorAll("data")]);
      const drawn = figures.flatMap((figure) => [...figure.querySelectorAll("svg *")]);
      return [
        ...numbers.filter((shown) => !Number.isFinite(Number(shown.value))).map((shown) => shown.dataset.name),
        ...drawn.map((element) => element.outerHTML).filter((markup) => /NaN|Infinity/.test(markup)),
      ];
    });
  await expect.poll(wrong, { timeout: 10_000 }).toEqual([]);
}
