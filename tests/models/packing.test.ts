import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { packExamples } from "../../src/data/microbatch.ts";
import { checkpointParameters, rotaryInputValues } from "../../src/models/index.ts";
import { rotaryInputs } from "../../src/models/scoring.ts";
import { interpreter } from "../../src/runtime/interpreter.ts";
import { nodeRuntime } from "../../src/runtime/node.ts";
import { input } from "../../src/tensor/index.ts";
import { arrayOf, evaluate, expectClose, numbers } from "../support/programs.ts";
import { compileScorer, type Example, goldenModel, goldenTensors } from "./golden.ts";

const variant = "biased";
const model = goldenModel(variant);
const { weights } = goldenTensors(variant);
const parameters = checkpointParameters(model.weights);

const [exactly, fast] = await Promise.all(
  [interpreter, nodeRuntime].map((runtime) => compileScorer({ model, parameters, runtime })),
);
const score = (examples: readonly Example[], scorer = exactly!) => scorer(examples, weights);
const alone = ({ prompt, completions }: Example): Example[] =>
  completions.map((completion) => ({ prompt, completions: [completion] }));

const ids = (minLength: number, maxLength: number) =>
  fc.array(fc.integer({ min: 0, max: model.vocabularySize - 1 }), { minLength, maxLength });
const examplesOf = fc.array(
  fc.record({ prompt: ids(1, 9), completions: fc.array(ids(1, 6), { minLength: 1, maxLength: 3 }) }),
  { minLength: 1, maxLength: 3 },
);

describe("a completion has the same log-probability", () => {
  it("alone, sharing its prompt with others, and packed with other examples", async () => {
    await fc.assert(
      fc.asyncProperty(examplesOf, async (examples) => {
        const packed = await score(examples);
        const apart = await Promise.all(examples.flatMap(alone).map((one) => score([one])));
        expectClose(
          packed.tokens,
          apart.flatMap(({ tokens }) => tokens),
          1e-12,
        );
        expectClose(
          packed.completions,
          apart.flatMap(({ completions }) => completions),
          1e-12,
        );
      }),
      { numRuns: 15 },
    );
  });

  it("to float32 rounding on the engine", async () => {
    const examples: Example[] = [
      {
        prompt: [3, 1, 4, 1, 5, 9],
        completions: [
          [2, 6, 5],
          [3, 5, 8, 9, 7],
        ],
      },
      { prompt: [9], completions: [[3], [2, 3, 8, 4]] },
    ];
    const packed = await score(examples, fast);
    const apart = await Promise.all(examples.flatMap(alone).map((one) => score([one], fast)));
    expectClose(
      packed.tokens,
      apart.flatMap(({ tokens }) => tokens),
      1e-6,
    );
  });

  it("whatever the other completion of its pair says", async () => {
    await fc.assert(
      fc.asyncProperty(ids(1, 5), ids(1, 5), ids(1, 5), async (chosen, rejected, other) => {
        const prompt = [1, 2, 3];
        const first = await score([{ prompt, completions: [chosen, rejected] }]);
        const second = await score([{ prompt, completions: [chosen, other] }]);
        expect(second.completions[0]).toBeCloseTo(first.completions[0]!, 12);
      }),
      { numRuns: 15 },
    );
  });
});

describe("a sequence of tokens", () => {
  const { past, tokens } = { past: [5, 2, 11, 7], tokens: [1, 16, 3] };
  const mask = (rows: number, seen: number) =>
    arrayOf(
      [rows, seen + rows],
      Array.from({ length: rows * (seen + rows) }, (_, i) =>
        i % (seen + rows) <= seen + Math.floor(i / (seen + rows)) ? 0 : -Infinity,
      ),
    );
  const inputsOf = (seenTokens: readonly number[], own: readonly number[], rows: readonly number[]) => ({
    ...weights,
    ...rotaryInputValues(model, 16),
    tokens: arrayOf([own.length], own, "int64"),
    positions: arrayOf(
      [own.length],
      own.map((_, i) => seenTokens.length + i),
      "int64",
    ),
    mask: mask(own.length, seenTokens.length),
    rows: arrayOf([rows.length], rows, "int64"),
  });
  const symbolic = (pastLength: string | undefined) => ({
    tokens: input("tokens", ["T"], "int64"),
    positions: input("positions", ["T"], "int64"),
    mask: input("mask", ["T", pastLength ? "S+T" : "T"]),
    rows: input("rows", ["R"], "int64"),
    rotary: rotaryInputs(model.rotaryTables(1).width),
  });

  it("has the same hidden rows at once and after the keys and values of its beginning", async () => {
    const whole = model.forward(parameters, symbolic(undefined));
    const cached = Object.fromEntries(
      whole.cache.flatMap(({ key, value }, i) => [
        [`key ${i}`, key],
        [`value ${i}`, value],
      ]),
    );
    const all = [...past, ...tokens];
    const expected = await evaluate({ hidden: whole.hidden }, inputsOf([], all, [4, 5, 6]));
    const beginning = await evaluate(cached, inputsOf([], past, [3]));

    const continued = model.forward(parameters, {
      ...symbolic("S"),
      past: whole.cache.map((_, i) => ({
        key: input(`past key ${i}`, ["S", model.cacheWidth]),
        value: input(`past value ${i}`, ["S", model.cacheWidth]),
      })),
    });
    const pastValues = Object.fromEntries(
      Object.entries(beginning).map(([name, data]) => [
        `past ${name}`,
        { dims: [past.length, model.cacheWidth], data: Float64Array.from(data) },
      ]),
    );
    const { hidden } = await evaluate(
      { hidden: continued.hidden },
      { ...inputsOf(past, tokens, [0, 1, 2]), ...pastValues },
    );
    expectClose(hidden!, expected.hidden!, 1e-12);
  });
});

it("a micro-batch's rows are those that predict a completion token, and no others", () => {
  const { rows, targets } = packExamples([
    { prompt: Int32Array.of(7, 8), completions: [Int32Array.of(9), Int32Array.of(3, 4)] },
  ]);
  expect(numbers({ dims: [], data: rows })).toEqual([1, 1, 3]);
  expect(numbers({ dims: [], data: targets })).toEqual([9, 3, 4]);
});
