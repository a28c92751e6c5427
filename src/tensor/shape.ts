/**
 * Shapes with symbolic dimensions. A dimension is a number, or a monomial over named sizes that are known only when the
 * program runs: "T" (tokens), "3*T". Two dimensions are equal iff their canonical texts are, so shapes are checked when
 * a graph is built although the number of tokens is not known yet.
 */

import { ShapeError } from "../errors.ts";

export type Dim = number | string;
export type Shape = readonly Dim[];

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((dim, i) => dim === b[i]);
}

/** The coefficient and the sorted names of a monomial: "3*T" is { coefficient: 3, names: ["T"] }. */
function factors(dim: Dim): { coefficient: number; names: string[] } {
  if (typeof dim === "number") return { coefficient: dim, names: [] };
  const parts = dim.split("*");
  const coefficient = /^\d+$/.test(parts[0]!) ? Number(parts.shift()) : 1;
  return { coefficient, names: parts };
}

/** The product of dimensions in canonical form. */
export function product(dims: Shape): Dim {
  let coefficient = 1;
  const names: string[] = [];
  for (const dim of dims) {
    const f = factors(dim);
    coefficient *= f.coefficient;
    names.push(...f.names);
  }
  if (coefficient === 0 || names.length === 0) return coefficient;
  names.sort();
  return coefficient === 1 ? names.join("*") : `${coefficient}*${names.join("*")}`;
}

/** The sum of dimensions: a number, or one opaque name such as "(S+T)". */
export function sum(dims: Shape): Dim {
  const known = dims.filter((dim) => typeof dim === "number").reduce((a, b) => a + b, 0);
  const names = dims.filter((dim) => typeof dim === "string").sort();
  if (names.length === 0) return known;
  if (known > 0) names.push(String(known));
  return names.length === 1 ? names[0]! : `(${names.join("+")})`;
}

/** The value of a dimension once the named sizes are known. Throws ShapeError for a name without a size. */
export function evaluateDim(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  const { coefficient, names } = factors(dim);
  return names.reduce((value, name) => {
    const size = sizes.get(name) ?? sumOfNames(name, sizes);
    if (size === undefined) throw new ShapeError(`the size of dimension "${name}" is not known`);
    return value * size;
  }, coefficient);
}

function sumOfNames(name: string, sizes: ReadonlyMap<string, number>): number | undefined {
  if (!name.startsWith("(")) return undefined;
  const terms = name.slice(1, -1).split("+");
  return terms.reduce((total, term) => total + evaluateDim(/^\d+$/.test(term) ? Number(term) : term, sizes), 0);
}

/** The dimension divided by a whole number. Throws ShapeError where it does not divide. */
export function quotient(dim: Dim, divisor: number): Dim {
  const { coefficient, names } = factors(dim);
  if (coefficient % divisor !== 0) throw new ShapeError(`dimension ${dim} can't be divided by ${divisor}`);
  return product([coefficient / divisor, ...names]);
}

/** Learns the size of the one unknown name of a dimension from its value: "2*E" is 6, so E is 3. */
export function learnSize(dim: Dim, value: number, sizes: Map<string, number>): void {
  const { coefficient, names } = factors(dim);
  const unknown = names.filter((name) => !sizes.has(name));
  if (unknown.length !== 1) return;
  const known = names.reduce((total, name) => total * (sizes.get(name) ?? 1), coefficient);
  sizes.set(unknown[0]!, value / known);
}

/** NumPy's broadcasting of two shapes, or undefined where they do not fit. */
export function broadcast(a: Shape, b: Shape): Shape | undefined {
  const rank = Math.max(a.length, b.length);
  const out: Dim[] = [];
  for (let i = 0; i < rank; i++) {
    const x = a[a.length - rank + i] ?? 1;
    const y = b[b.length - rank + i] ?? 1;
    if (x !== y && x !== 1 && y !== 1) return undefined;
    out.push(x === 1 ? y : x);
  }
  return out;
}
