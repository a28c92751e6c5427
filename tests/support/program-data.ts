/** A program as plain data, which a test can send to a page, and back. */

import { type Node, type Program, Tensor, topologicalOrder } from "../../src/tensor/index.ts";

/** A tensor as the place of its node in the list and which of the node's outputs it is. */
type Place = readonly [node: number, output: number];

export interface ProgramData {
  readonly nodes: readonly (Omit<Node, "inputs" | "literal"> & { inputs: Place[]; literal?: number[] })[];
  readonly outputs: Readonly<Record<string, Place>>;
}

export function programData({ outputs }: Program): ProgramData {
  const order = topologicalOrder(Object.values(outputs));
  const places = new Map(order.map((node, i) => [node, i]));
  const place = ({ node, index }: Tensor): Place => [places.get(node)!, index];
  return {
    nodes: order.map(({ inputs, literal, ...node }) => ({
      ...node,
      inputs: inputs.map(place),
      ...(literal && { literal: Array.from(literal) }),
    })),
    outputs: Object.fromEntries(Object.entries(outputs).map(([name, t]) => [name, place(t)])),
  };
}

export function programOf({ nodes, outputs }: ProgramData): Program {
  const made: Node[] = [];
  const tensor = ([node, output]: Place) => new Tensor(made[node]!, output);
  for (const node of nodes) made.push({ ...node, inputs: node.inputs.map(tensor) });
  return { outputs: Object.fromEntries(Object.entries(outputs).map(([name, place]) => [name, tensor(place)])) };
}
