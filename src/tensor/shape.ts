/**
 * Shapes with symbolic dimensions. A dimension is a number, or a polynomial over named sizes that are known only when
 * the program runs, written in one canonical way: "T" (tokens), "3*T", "P+T", "2*P*T+T+1". Two dimensions are equal iff
 * their texts are, so shapes are checked when a graph is built although the number of tokens is not known yet.
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

/** One summand of a dimension: 2*P*T is { coefficient: 2, names: ["P", "T"] }, a number has no names. */
interface Term {
  readonly coefficient: number;
  readonly names: readonly string[];
}

/** The summands of a dimension. */
export function termsOf(dim: Dim): Term[] {
  if (typeof dim === "number") return [{ coefficient: dim, names: [] }];
  return dim.split("+").map((term) => {
    const parts = term.split("*");
    const coefficient = /^\d+$/.test(parts[0]!) ? Number(parts.shift()) : 1;
    return { coefficient, names: parts };
  });
}

/** The canonical dimension of a sum of terms: like terms are added up, the number comes last. */
function fromTerms(terms: readonly Term[]): Dim {
  const coefficients = new Map<string, number>();
  for (const { coefficient, names } of terms) {
    const monomial = names.toSorted().join("*");
    coefficients.set(monomial, (coefficients.get(monomial) ?? 0) + coefficient);
  }
  const known = coefficients.get("") ?? 0;
  coefficients.delete("");
  const texts = [...coefficients]
    .filter(([, coefficient]) => coefficient !== 0)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([monomial, coefficient]) => (coefficient === 1 ? monomial : `${coefficient}*${monomial}`));
  if (texts.length === 0) return known;
  return [...texts, ...(known === 0 ? [] : [known])].join("+");
}

/** The product of dimensions. */
export function product(dims: Shape): Dim {
  const terms = dims
    .map(termsOf)
    .reduce(
      (left, right) =>
        left.flatMap((a) =>
          right.map((b) => ({ coefficient: a.coefficient * b.coefficient, names: [...a.names, ...b.names] })),
        ),
      [{ coefficient: 1, names: [] }],
    );
  return fromTerms(terms);
}

/** The sum of dimensions. */
export function sum(dims: Shape): Dim {
  return fromTerms(dims.flatMap(termsOf));
}

/** The dimension divided by a whole number. Throws ShapeError where it does not divide. */
export function quotient(dim: Dim, divisor: number): Dim {
  const terms = termsOf(dim);
  if (terms.some(({ coefficient }) => coefficient % divisor !== 0)) {
    throw new ShapeError(`dimension ${dim} can't be divided by ${divisor}`);
  }
  return fromTerms(terms.map(({ coefficient, names }) => ({ coefficient: coefficient / divisor, names })));
}

/** The value of a dimension once the named sizes are known. Throws ShapeError for a name without a size. */
export function evaluateDim(dim: Dim, sizes: ReadonlyMap<string, number>): number {
  if (typeof dim === "number") return dim;
  return evaluateTerms(termsOf(dim), sizes);
}

function evaluateTerms(terms: readonly Term[], sizes: ReadonlyMap<string, number>): number {
  const sizeOf = (name: string): number => {
    const size = sizes.get(name);
    if (size === undefined) throw new ShapeError(`the size of dimension "${name}" is not known`);
    return size;
  };
  return terms.reduce((total, term) => total + term.names.reduce((n, name) => n * sizeOf(name), term.coefficient), 0);
}

/**
 * Whether a dimension can have this value. Where that hangs on one name of unknown size, the size is learned: "2*E+T" is
 * 7 and T is 3, so E is 2. With more unknown names every value still can be.
 */
export function learnSize(dim: Dim, value: number, sizes: Map<string, number>): boolean {
  const terms = termsOf(dim);
  const [name, ...others] = new Set(terms.flatMap(({ names }) => names).filter((each) => !sizes.has(each)));
  if (name === undefined) return evaluateTerms(terms, sizes) === value;
  const powers = terms.map(({ names }) => names.filter((each) => each === name).length);
  if (others.length > 0 || powers.some((power) => power > 1)) return true;

  const slope = evaluateTerms(
    terms
      .filter((_, i) => powers[i] === 1)
      .map(({ coefficient, names }) => ({ coefficient, names: names.filter((each) => each !== name) })),
    sizes,
  );
  const rest = evaluateTerms(
    terms.filter((_, i) => powers[i] === 0),
    sizes,
  );
  if (slope === 0) return rest === value;
  const size = (value - rest) / slope;
  if (!Number.isInteger(size) || size < 0) return false;
  sizes.set(name, size);
  return true;
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
