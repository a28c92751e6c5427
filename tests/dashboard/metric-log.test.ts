/** Following metrics.jsonl: every line as JSON.parse would have it, whatever happens to the file. */

import { appendFileSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { MetricLines } from "../../src/dashboard/metric-lines.ts";
import { MetricLog } from "../../src/dashboard/metric-log.ts";
import { scratchFolder } from "../support/scratch.ts";
import { evaluationLine, jsonLines, stepLine } from "./support.ts";

const { at } = scratchFolder();
const file = at("metrics.jsonl");
beforeEach(() => rmSync(file, { force: true }));

const read = (text: string, wanted?: ReadonlySet<string>) => {
  const lines = new MetricLines(wanted);
  lines.add(Buffer.from(text).toString("latin1"));
  return lines;
};

const steps = (log: MetricLog) => [...(log.lines.training.values("step") ?? [])];

describe("a line", () => {
  const name = fc.oneof(fc.constantFrom("loss", "rewards/margins", "eval_loss", "kl"), fc.string({ maxLength: 12 }));
  const number = fc.oneof(fc.double({ noNaN: true, noDefaultInfinity: true }), fc.integer(), fc.constant(null));
  const line = fc.dictionary(name, number, { maxKeys: 6 }).map((values) => ({ step: 1, ...values }));

  it("has the numbers that JSON.parse reads, and none where it has none", () => {
    fc.assert(
      fc.property(fc.array(line, { maxLength: 30 }), (lines) => {
        // Twice, so that most lines are read by a template.
        const all = [...lines, ...lines].map((values, i) => ({ ...values, step: i }));
        const { training, evaluation, broken } = read(jsonLines(all));
        expect(broken).toBe(0);
        for (const [table, own] of [
          [training, all.filter((values) => "loss" in values)],
          [evaluation, all.filter((values) => !("loss" in values))],
        ] as const) {
          expect(table.rows).toBe(own.length);
          for (const column of table.names) {
            const expected = own.map((values) => {
              const value = Object.hasOwn(values, column) ? values[column as keyof typeof values] : undefined;
              return typeof value === "number" ? value + 0 : Number.NaN; // JSON knows no -0.
            });
            expect([...table.values(column)!]).toEqual(expected);
          }
        }
      }),
    );
  });

  it("has the same numbers where the others are not wanted, whatever these are", () => {
    const text = fc.string({ maxLength: 8, unit: fc.constantFrom(",", '"', ":", "{", "}", "x", ',"kl":1') });
    const other = fc.oneof(
      { weight: 3, arbitrary: number },
      { weight: 1, arbitrary: fc.oneof(text, fc.array(number)) },
    );
    const places = { time: number, examples: number };
    const named = fc.oneof(
      fc.record({ a: other, loss: number, b: other, kl: number, c: other, ...places }),
      fc.record({ a: other, loss: number, b: other, kl: number, c: other, ...places }, { requiredKeys: [] }),
    );
    fc.assert(
      fc.property(fc.array(named, { maxLength: 20 }), (lines) => {
        const log = jsonLines([...lines, ...lines].map((values, step) => ({ step, ...values })));
        const [all, some] = [read(log), read(log, new Set(["kl"]))];
        expect(some.training.rows).toBe(all.training.rows);
        expect(some.evaluation.rows).toBe(all.evaluation.rows);
        expect(all.training.rows).toBe(2 * lines.filter((line) => "loss" in line).length);
        for (const column of ["step", "kl"]) expect(some.training.values(column)).toEqual(all.training.values(column));
      }),
    );
  });

  it("that is no JSON, no object or has no step is counted and left out", () => {
    const { training, broken } = read(
      '{"step":1,"loss":1}\nnonsense\n[1]\n{"loss":2}\n\n{"step":2,"loss":3}\n{"step":3,"loss":}\n',
    );
    expect([...training.values("loss")!]).toEqual([1, 3]);
    expect(broken).toBe(5);
  });

  it("may write what it says in other ways", () => {
    const { training, broken } = read(
      '{"step":1,"loss":1}\n{ "step": 2, "loss": 2e0 }\n{"loss":3,"step":3}\n{"step":4,"loss":"4"}\n',
    );
    expect([...training.values("step")!]).toEqual([1, 2, 3, 4]);
    expect([...training.values("loss")!]).toEqual([1, 2, 3, Number.NaN]);
    expect(broken).toBe(0);
  });

  it("with ever new names does not take all memory", () => {
    const lines = Array.from({ length: 2000 }, (_, i) => ({ step: i, loss: 1, [`name ${i}`]: i }));
    const { training } = read(jsonLines(lines));
    expect(training.rows).toBe(2000);
    expect(training.names.length).toBe(500);
  });
});

describe("the log of a run", () => {
  it("is read on where it grew, and half a line not before it is whole", async () => {
    writeFileSync(file, `${jsonLines([evaluationLine(0), stepLine(1)])}{"step":2,"lo`);
    const log = new MetricLog(file);
    await log.catchUp();
    expect(steps(log)).toEqual([1]);
    appendFileSync(file, `ss":0.5}\n${jsonLines([stepLine(3)])}`);
    await log.catchUp();
    expect(steps(log)).toEqual([1, 2, 3]);
    expect([...log.lines.training.values("loss")!][1]).toBe(0.5);
    expect(log.lines.evaluation.rows).toBe(1);
  });

  it("that was cut back by a resumed run has what the file has", async () => {
    writeFileSync(file, jsonLines([1, 2, 3, 4].map((step) => stepLine(step))));
    const log = new MetricLog(file);
    await log.catchUp();
    truncateSync(file, jsonLines([stepLine(1), stepLine(2)]).length);
    await log.catchUp();
    expect(steps(log)).toEqual([1, 2]);
  });

  it("that was cut back and has grown beyond where it was is read anew", async () => {
    writeFileSync(file, jsonLines([1, 2, 3, 4].map((step) => stepLine(step))));
    const log = new MetricLog(file);
    await log.catchUp();
    const size = statSync(file).size;
    truncateSync(file, jsonLines([stepLine(1)]).length);
    appendFileSync(file, jsonLines([2, 3, 4, 5, 6].map((step) => stepLine(step, { loss: 0.125 }))));
    expect(statSync(file).size).toBeGreaterThan(size);
    await log.catchUp();
    expect(steps(log)).toEqual([1, 2, 3, 4, 5, 6]);
    expect([...log.lines.training.values("loss")!].slice(1)).toEqual([0.125, 0.125, 0.125, 0.125, 0.125]);
  });

  it("that is deleted is empty, and read when it is there again", async () => {
    writeFileSync(file, jsonLines([stepLine(1)]));
    const log = new MetricLog(file);
    await log.catchUp();
    rmSync(file);
    await log.catchUp();
    expect(steps(log)).toEqual([]);
    writeFileSync(file, jsonLines([stepLine(7)]));
    await log.catchUp();
    expect(steps(log)).toEqual([7]);
  });

  it("longer than what is read at once, with a line longer than that, is read whole", async () => {
    const long = { ...stepLine(2), note: "x".repeat(3 * 2 ** 20) };
    const many = Array.from({ length: 20_000 }, (_, i) => stepLine(i + 3));
    writeFileSync(file, jsonLines([stepLine(1), long, ...many]));
    const log = new MetricLog(file);
    await Promise.all([log.catchUp(), log.catchUp()]);
    expect(steps(log)).toEqual(Array.from({ length: 20_002 }, (_, i) => i + 1));
  });

  it("whose line has no end within 16 MiB is read on after it", async () => {
    writeFileSync(file, jsonLines([stepLine(1)]));
    for (let i = 0; i < 20; i++) appendFileSync(file, "x".repeat(2 ** 20));
    appendFileSync(file, `\n${jsonLines([stepLine(2)])}`);
    const log = new MetricLog(file);
    await log.catchUp();
    expect(steps(log)).toEqual([1, 2]);
    expect(log.lines.broken).toBe(1);
  });

  it("gives the numbers alone that are asked for, the loss, and its axes", async () => {
    writeFileSync(file, jsonLines([evaluationLine(0), stepLine(1), stepLine(2), evaluationLine(2), stepLine(3)]));
    const log = new MetricLog(file, { wanted: new Set(["rewards/margins"]) });
    await log.catchUp();
    const { training, evaluation } = log.lines;
    expect(training.names.toSorted()).toEqual(["examples", "loss", "rewards/margins", "step", "time"]);
    expect([...training.values("rewards/margins")!]).toEqual([0.01, 0.02, 0.03]);
    expect(evaluation.rows).toBe(2);
  });

  it("gives its evaluations alone where only they are asked for", async () => {
    const lines = Array.from({ length: 5000 }, (_, i) => stepLine(i + 1));
    const evaluations = [0, 2500, 5000].map((step) => evaluationLine(step));
    writeFileSync(
      file,
      jsonLines([evaluations[0], ...lines.slice(0, 2500), evaluations[1], ...lines.slice(2500), evaluations[2]]),
    );
    const log = new MetricLog(file, { evaluationsOnly: true });
    await log.catchUp();
    expect([...log.lines.evaluation.values("step")!]).toEqual([0, 2500, 5000]);
    expect(log.lines.training.rows).toBe(0);
  });
});
