/** Whether two configurations make the same model: the same graph over the same weights, turned by the same angles. */

import type { LanguageModel } from "../models/model.ts";
import { checkpointParameters } from "../models/parameters.ts";
import { decodeProgram } from "../sampling/decode.ts";
import { type Node, topologicalOrder } from "../tensor/index.ts";

/** Positions whose angles are compared, and how far cosine and sine may be apart: recovered parameters are rounded. */
const POSITIONS = 512;
const TOLERANCE = 1e-3;

export function computesTheSame(a: LanguageModel, b: LanguageModel): boolean {
  if (a.maxPositions !== b.maxPositions) return false;
  if (JSON.stringify([...a.weights].toSorted()) !== JSON.stringify([...b.weights].toSorted())) return false;
  if (graphText(a) !== graphText(b)) return false;
  // Angles may depend on the longest sequence that will be run.
  return [Math.min(POSITIONS, a.maxPositions), a.maxPositions].every((count) => turnTheSame(a, b, count));
}

/** The graph that generates, as text. */
function graphText(model: LanguageModel): string {
  const { outputs } = decodeProgram(model, checkpointParameters(model.weights));
  const order = topologicalOrder(Object.values(outputs));
  const index = new Map<Node, number>(order.map((node, i) => [node, i]));
  const nodes = order.map(({ op, attributes, inputs, outputs: types, literal }) => [
    op,
    attributes,
    inputs.map((tensor) => [index.get(tensor.node), tensor.index]),
    types,
    literal && Array.from(literal, String),
  ]);
  return JSON.stringify(nodes);
}

function turnTheSame(a: LanguageModel, b: LanguageModel, count: number): boolean {
  const [first, second] = [a.rotaryTables(count), b.rotaryTables(count)];
  if (first.width !== second.width) return false;
  const values = POSITIONS * first.width;
  return (["cos", "sin"] as const).every((name) =>
    first[name].subarray(0, values).every((x, i) => Math.abs(x - second[name][i]!) <= TOLERANCE),
  );
}
