/** The figures of the tilt and of the loss landscape against the library: by link, by keyboard, by pointer. */

import { readFileSync } from "node:fs";
import type { Page } from "playwright-core";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { definitions, type ObjectiveDefinition } from "../../src/objectives/index.ts";
import { choices } from "../../web/src/explain/landscape/landscape.ts";
import { type Problem, solve } from "../objectives/answers.ts";
import { evaluatePairs, type Two } from "../objectives/pairs.ts";
import { browserMissing, launched, whyNoBrowser } from "../support/browser.ts";
import { bringIntoSight, expectNumbers, numberOf, openPage } from "../support/explanation.ts";

/** `?tilt.beta=0.5`, of settings by their names. */
const linkTo = (figure: string, settings: Readonly<Record<string, unknown>>) =>
  `index.html?${Object.entries(settings)
    .map(([name, value]) => `${figure}.${name}=${value}`)
    .join("&")}`;

const setInAddress = (page: Page, name: string) => expect.poll(() => new URL(page.url()).searchParams.get(name));

describe.skipIf(browserMissing)(`the tilt${whyNoBrowser}`, () => {
  const browser = launched();
  const reference = [0.3, 0.24, 0.18, 0.14, 0.1, 0.04];
  const usual: Problem = { reference, rewards: [-1, -0.5, 1, -1.5, 2, 0.5], beta: 1 };

  /** Every number of the figure but those of random policies. */
  async function numbersOf(problem: Problem, mine: readonly number[]): Promise<Record<string, number>> {
    const solved = await solve(problem, [reference, mine]);
    const value = problem.beta * solved.logPartition[0]!;
    const each = (name: string, values: readonly number[]) =>
      Object.fromEntries(values.map((number, i) => [`${name}-${i}`, number]));
    const scores = (name: string, [reward, kl, score]: readonly (number | undefined)[]) => ({
      [`${name}-reward`]: reward!,
      [`${name}-kl`]: kl!,
      [`${name}-score`]: score!,
    });
    return {
      ...each("reference", reference),
      ...each("optimum", solved.optimum),
      ...each("yours", mine),
      ...each("implied", solved.implied),
      ...each("recovered", problem.rewards),
      ...scores("reference", [solved.expectedReward[0], solved.divergence[0], solved.objective[0]]),
      ...scores("optimum", [solved.bestReward[0], solved.bestDivergence[0], solved.bestObjective[0]]),
      ...scores("yours", [solved.expectedReward[1], solved.divergence[1], solved.objective[1]]),
      partition: Math.exp(solved.logPartition[0]!),
      value,
      gap: value - solved.objective[1]!,
      distance: problem.beta * solved.fromOptimum[1]!,
    };
  }

  it.each([
    [{}, usual, reference],
    [
      { beta: 5, rewards: "3,0,-3,1.5,0.2,-0.7", policy: "0.1,0.2,0,0.4,0.3,0" },
      { reference, rewards: [3, 0, -3, 1.5, 0.2, -0.7], beta: 5 },
      [0.1, 0.2, 0, 0.4, 0.3, 0],
    ],
    // What is out of range counts as its end, and a policy of other sums as its shares.
    [
      { beta: -2, rewards: "9,0,0,0,0,0", policy: "1,1,2,0,0,-3" },
      { reference, rewards: [3, 0, 0, 0, 0, 0], beta: 10 ** -1.5 },
      [0.25, 0.25, 0.5, 0, 0, 0],
    ],
  ])("shows what the library computes at %o", async (settings, problem, mine) => {
    await using open = await openPage(await browser(), { path: linkTo("tilt", settings) });
    await expectNumbers(open.page, "tilt", await numbersOf(problem, mine));
    expect(open.errors).toEqual([]);
  });

  it("is set by the keyboard: the price, a reward, and the reader's own bars, which stay a distribution", async () => {
    await using open = await openPage(await browser());
    const press = async (label: string, ...keys: readonly string[]) => {
      const slider = open.page.locator("#tilt").getByRole("slider", { name: label });
      await slider.focus();
      for (const key of keys) await slider.press(key);
    };
    await press("Price of divergence", "ArrowLeft", "ArrowLeft", "ArrowLeft", "ArrowLeft");
    await press("Reward of B", "ArrowRight", "ArrowRight");
    await press("Your probability of E", "PageUp", "ArrowRight");
    const rewards = usual.rewards.with(1, -0.3);
    const mine = reference.map((p, i) => (i === 4 ? 0.21 : (p * 0.79) / 0.9));
    await expectNumbers(open.page, "tilt", await numbersOf({ reference, rewards, beta: 0.794 }, mine));
    await setInAddress(open.page, "tilt.beta").toBe("0.794");
    await setInAddress(open.page, "tilt.rewards").toBe("-1,-0.3,1,-1.5,2,0.5");
    await press("Your probability of F", "End");
    await expectNumbers(open.page, "tilt", await numbersOf({ reference, rewards, beta: 0.794 }, [0, 0, 0, 0, 0, 1]));
    await press("Your probability of F", "ArrowLeft");
    await expectNumbers(open.page, "tilt", { "yours-0": 0.002, "yours-5": 0.99 });
    await open.page.locator("#tilt").getByRole("button", { name: "Reset" }).click();
    await expectNumbers(open.page, "tilt", await numbersOf(usual, reference));
    await setInAddress(open.page, "tilt.policy").toBeNull();
  });

  it("has bars that a pointer drags", async () => {
    await using open = await openPage(await browser());
    const bar = open.page.getByRole("slider", { name: "Your probability of C" });
    await bar.scrollIntoViewIfNeeded();
    const { x, y, width, height } = (await bar.boundingBox())!;
    await open.page.mouse.move(x + 0.18 * width, y + height / 2);
    await open.page.mouse.down();
    await open.page.mouse.move(x + 0.5 * width, y + height / 2, { steps: 4 });
    await open.page.mouse.up();
    const probability = await numberOf(open.page, "tilt", "yours-2");
    expect(probability).toBeCloseTo(0.5, 2);
    const mine = reference.map((p, i) => (i === 2 ? probability : (p * (1 - probability)) / 0.82));
    await expectNumbers(open.page, "tilt", await numbersOf(usual, mine));
  });

  it("is beaten by no random policy, and met by its own optimum", async () => {
    await using open = await openPage(await browser(), { path: "index.html?tilt.beta=0.5" });
    const figure = open.page.locator("#tilt");
    const value = await numberOf(open.page, "tilt", "value");
    for (const rivals of [200, 400, 600, 800, 1000]) {
      await figure.locator(`circle.dot >> nth=${rivals - 1}`).waitFor({ state: "attached" });
      expect(await numberOf(open.page, "tilt", "best-random")).toBeLessThan(value);
      if (rivals < 1000) await figure.getByRole("button", { name: "200 more" }).click();
    }
    await figure.getByRole("button", { name: "a random one" }).click();
    await expect.poll(() => numberOf(open.page, "tilt", "yours-kl")).toBeGreaterThan(0);
    expect(await numberOf(open.page, "tilt", "gap")).toBeGreaterThan(0);
    await figure.getByRole("button", { name: "the optimum" }).click();
    await expectNumbers(open.page, "tilt", { gap: 0, distance: 0, "yours-score": value });
  });
});

describe.skipIf(browserMissing)(`the loss landscape${whyNoBrowser}`, () => {
  const browser = launched();
  const TOKENS: Two = [4, 4];
  interface Setting {
    readonly definition: ObjectiveDefinition;
    readonly options?: Readonly<Record<string, unknown>>;
    readonly lengths?: Two;
  }
  const find = (name: string, method = "dpo") =>
    definitions.find((d) => d.name === name && d.method === method) as unknown as ObjectiveDefinition;

  /** The library's numbers where the two completions have moved so far from where the figure has them begin. */
  async function at(chosen: number, rejected: number, { definition, options = {}, lengths = TOKENS }: Setting) {
    const objective = definition.create(options);
    const [w, l]: Two = definition.method === "reward" ? [0, 0] : [-24, -22];
    const pair = { policy: [w + chosen, l + rejected] as Two, reference: [w, l] as Two, lengths };
    const { losses, gradient, metrics } = await evaluatePairs(objective, [pair]);
    const margin = metrics["rewards/margins"]?.[0];
    const beta = (options.beta ?? defaultBeta(definition)) as number | undefined;
    return {
      chosen,
      rejected,
      loss: losses[0]!,
      "gradient-chosen": gradient[0]![0],
      "gradient-rejected": gradient[0]![1],
      ...(margin !== undefined && { margin }),
      ...(beta !== undefined && { weight: -gradient[0]![0] / beta }),
    };
  }
  /** The default of beta, where the objective has one. */
  const defaultBeta = ({ options }: ObjectiveDefinition) =>
    options.beta === undefined ? undefined : (z.parse(options.beta, undefined) as number);

  /** Gradient descent by the library's gradients, until it leaves the plane. */
  async function walk([chosen, rejected]: Two, rate: number, steps: number, setting: Setting): Promise<Two[]> {
    const path: Two[] = [[chosen, rejected]];
    for (let i = 0; i < steps; i++) {
      const [x, y] = path.at(-1)!;
      const here = await at(x, y, setting);
      const next: Two = [x - rate * here["gradient-chosen"], y - rate * here["gradient-rejected"]];
      if (next.some((place) => Math.abs(place) > 20)) break;
      path.push(next);
    }
    return path;
  }

  it("offers every objective of the registry that pairs alone are enough for", () => {
    expect(choices.map(({ id }) => id)).toEqual([
      "sigmoid",
      "hinge",
      "ipo",
      "robust",
      "exo_pair",
      "nca_pair",
      "bco_pair",
      "sppo_hard",
      "apo_zero",
      "apo_down",
      "discopop",
      "sigmoid_norm",
      "sft",
      "orpo",
      "simpo",
      "simpo-alphapo",
      "cpo-sigmoid",
      "cpo-hinge",
      "cpo-ipo",
      "reward-bradley_terry",
    ]);
  });

  it("shows the library's loss and gradient for each of them, with its formula and what it is for", async () => {
    await using open = await openPage(await browser());
    const figure = open.page.locator("#landscape");
    for (const { id, definition } of choices) {
      await figure.getByLabel("Objective").selectOption(id);
      await expectNumbers(open.page, "landscape", await at(-6, 6, { definition }));
      await figure.getByText(definition.formula, { exact: true }).waitFor();
      await figure.getByText(definition.use).waitFor();
      const source = await figure.getByRole("link", { name: /^src\/objectives/ }).textContent();
      expect(readFileSync(new URL(`../../${source}`, import.meta.url), "utf8")).toContain(
        `title: "${definition.title}"`,
      );
    }
    expect(open.errors).toEqual([]);
  });

  it.each([
    [
      { chosen: 3, rejected: -2, beta: 0.5, labelSmoothing: 0.1 },
      { definition: find("sigmoid"), options: { beta: 0.5, labelSmoothing: 0.1 } },
    ],
    [
      { objective: "sigmoid", chosen: 3, rejected: -2, fDivergence: "forward_kl" },
      { definition: find("sigmoid"), options: { fDivergence: "forward_kl" } },
    ],
    [
      { objective: "ipo", chosen: 3, rejected: -2, tokensChosen: 7, tokensRejected: 2 },
      { definition: find("ipo"), lengths: [7, 2] },
    ],
    [
      { objective: "simpo", chosen: 3, rejected: -2, beta: 8, gamma: 1.5, tokensChosen: 12 },
      { definition: find("simpo", "simpo"), options: { beta: 8, gamma: 1.5 }, lengths: [12, 4] },
    ],
    // What no such option can be counts as the nearest that it can, an objective that there isn't as DPO.
    [
      { objective: "none", chosen: 3, rejected: -2, beta: -1 },
      { definition: find("sigmoid"), options: { beta: 0.1 / 10 ** 1.5 } },
    ],
  ] as const)("shows them at %o", async (settings, setting) => {
    await using open = await openPage(await browser(), { path: linkTo("landscape", settings) });
    await expectNumbers(open.page, "landscape", await at(3, -2, setting as Setting));
    expect(open.errors).toEqual([]);
  });

  it("is set by the keyboard", async () => {
    await using open = await openPage(await browser());
    const press = async (label: string, key: string, times: number) => {
      const slider = open.page.locator("#landscape").getByRole("slider", { name: label });
      await slider.focus();
      for (let i = 0; i < times; i++) await slider.press(key);
    };
    await press("Log-ratio of the chosen", "ArrowRight", 5);
    await press("Log-ratio of the rejected", "ArrowLeft", 3);
    await press("Beta", "ArrowRight", 4);
    await press("Label smoothing", "ArrowRight", 3);
    const options = { beta: 0.126, labelSmoothing: 0.03 };
    await expectNumbers(open.page, "landscape", await at(-5.5, 5.7, { definition: find("sigmoid"), options }));
    await setInAddress(open.page, "landscape.chosen").toBe("-5.5");
    await setInAddress(open.page, "landscape.labelSmoothing").toBe("0.03");
    await open.page.locator("#landscape").getByRole("button", { name: "Reset" }).click();
    await expectNumbers(open.page, "landscape", await at(-6, 6, { definition: find("sigmoid") }));
    await setInAddress(open.page, "landscape.beta").toBeNull();
  });

  it("lets the pointer drag the point", async () => {
    await using open = await openPage(await browser());
    const plane = open.page.locator("#landscape svg[role=img]");
    await plane.scrollIntoViewIfNeeded();
    const handle = (await plane.locator("circle.handle").boundingBox())!;
    const from = { x: handle.x + handle.width / 2, y: handle.y + handle.height / 2 };
    await open.page.mouse.move(from.x, from.y);
    await open.page.mouse.down();
    await open.page.mouse.move(from.x + 60, from.y + 90, { steps: 4 });
    await open.page.mouse.up();
    await expect.poll(() => numberOf(open.page, "landscape", "chosen")).toBeGreaterThan(-5);
    const [chosen, rejected] = [
      await numberOf(open.page, "landscape", "chosen"),
      await numberOf(open.page, "landscape", "rejected"),
    ];
    const { width } = (await plane.locator("rect.frame").boundingBox())!;
    expect(chosen + 6).toBeCloseTo((60 * 40) / width, 0);
    expect(rejected - 6).toBeCloseTo((-90 * 40) / width, 0);
    await expectNumbers(open.page, "landscape", await at(chosen, rejected, { definition: find("sigmoid") }));
  });

  it("lets a finger drag the point up and down without scrolling the page", async () => {
    const phone = { viewport: { width: 360, height: 800 }, hasTouch: true, isMobile: true };
    await using open = await openPage(await browser(), phone);
    const grip = open.page.locator("#landscape .grip");
    await numberOf(open.page, "landscape", "loss");
    await grip.evaluate((element) => element.scrollIntoView({ block: "center", behavior: "instant" }));
    const scrolled = () => open.page.evaluate(() => scrollY);
    const before = await scrolled();
    const box = (await grip.boundingBox())!;
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    const input = await open.page.context().newCDPSession(open.page);
    const touch = (type: "touchStart" | "touchMove" | "touchEnd", down = 0) =>
      input.send("Input.dispatchTouchEvent", { type, touchPoints: type === "touchEnd" ? [] : [{ x, y: y + down }] });
    await touch("touchStart");
    for (const down of [20, 40, 60, 80]) await touch("touchMove", down);
    await touch("touchEnd");
    await expect.poll(() => numberOf(open.page, "landscape", "rejected")).toBeLessThan(-4);
    expect(await numberOf(open.page, "landscape", "chosen")).toBeCloseTo(-6, 0);
    expect(await scrolled()).toBe(before);
  });

  it("walks down as the library's gradient says", async () => {
    const settings = { objective: "nca_pair", rate: 20, steps: 12 };
    const setting = { definition: find("nca_pair") };
    await using open = await openPage(await browser(), { path: linkTo("landscape", settings) });
    const path = await walk([-6, 6], settings.rate, settings.steps, setting);
    await expectNumbers(open.page, "landscape", { ...(await at(...path.at(-1)!, setting)), steps: settings.steps });
    await open.page.getByRole("button", { name: "One step" }).click();
    const [[chosen, rejected]] = (await walk(path.at(-1)!, settings.rate, 1, setting)).slice(-1) as [Two];
    await expectNumbers(open.page, "landscape", { chosen, rejected, steps: settings.steps + 1 });
    await open.page.getByRole("button", { name: "Back to the start" }).click();
    await expectNumbers(open.page, "landscape", { chosen: -6, rejected: 6, steps: 0 });
  });

  it("ends where DPO leaves the plane, and in the valley of IPO at a margin of 1 / (2 beta)", async () => {
    await using open = await openPage(await browser(), {
      path: linkTo("landscape", { rate: 40 }),
      reducedMotion: "reduce",
    });
    const figure = open.page.locator("#landscape");
    await bringIntoSight(open.page, "landscape");
    await figure.getByRole("button", { name: "Descend" }).click();
    const path = await walk([-6, 6], 40, 200, { definition: find("sigmoid") });
    await expectNumbers(open.page, "landscape", {
      chosen: path.at(-1)![0],
      rejected: path.at(-1)![1],
      steps: path.length - 1,
    });
    await figure.getByText("to the edge").waitFor();
    await figure.getByLabel("Objective").selectOption("ipo");
    await expectNumbers(open.page, "landscape", { steps: 0 });
    await figure.getByRole("button", { name: "Descend" }).click();
    await expect.poll(() => numberOf(open.page, "landscape", "steps")).toBeGreaterThan(100);
    expect(await numberOf(open.page, "landscape", "loss")).toBeLessThan(1e-9);
    const margin =
      (await numberOf(open.page, "landscape", "chosen")) - (await numberOf(open.page, "landscape", "rejected"));
    expect(margin / 4).toBeCloseTo(1 / (2 * 0.1), 4);
  });

  it("walks step by step, can be stopped, and keeps how far it came in its address", async () => {
    await using open = await openPage(await browser(), { path: linkTo("landscape", { rate: 2 }) });
    const figure = open.page.locator("#landscape");
    await bringIntoSight(open.page, "landscape");
    await figure.getByRole("button", { name: "Descend" }).click();
    await expect.poll(() => numberOf(open.page, "landscape", "steps")).toBeGreaterThan(2);
    await figure.getByRole("button", { name: "Stop" }).click();
    const steps = await numberOf(open.page, "landscape", "steps");
    expect(steps).toBeLessThan(200);
    const path = await walk([-6, 6], 2, steps, { definition: find("sigmoid") });
    await expectNumbers(open.page, "landscape", { steps, chosen: path.at(-1)![0], rejected: path.at(-1)![1] });
    await setInAddress(open.page, "landscape.steps").toBe(String(steps));
  });

  it("is coloured from little loss to much in both themes, and says in words what it shows", async () => {
    await using open = await openPage(await browser(), { colorScheme: "light" });
    const canvas = open.page.locator("#landscape canvas");
    /** Brightness of the corners: that of the greatest loss, and that of the least. */
    const corners = () =>
      canvas.evaluate((element) => {
        const { width, height } = element as HTMLCanvasElement;
        const context = (element as HTMLCanvasElement).getContext("2d")!;
        const brightness = (x: number, y: number) =>
          context
            .getImageData(x, y, 1, 1)
            .data.slice(0, 3)
            .reduce((a, b) => a + b, 0);
        return { most: brightness(0, 0), least: brightness(width - 1, height - 1) };
      });
    await numberOf(open.page, "landscape", "loss");
    await expect.poll(async () => (await corners()).least).toBeGreaterThan(600);
    expect((await corners()).most).toBeLessThan(500);
    await open.page.getByLabel("Colours").selectOption("dark");
    await expect.poll(async () => (await corners()).least).toBeLessThan(150);
    expect((await corners()).most).toBeGreaterThan(200);
    const description = await open.page.locator("#landscape svg[role=img]").getAttribute("aria-label");
    expect(description).toContain("The loss of DPO over the log-ratio of the chosen answer");
  });
});
