/** The check of what a program is given against what it declares, the same for every engine. */

import { ShapeError } from "../errors.ts";
import {
  type DType,
  evaluateDim,
  formatShape,
  learnSize,
  type Shape,
  type TensorType,
  termsOf,
} from "../tensor/index.ts";
import type { Value } from "./runtime.ts";

/** The arrays that an engine takes for float32 values. */
type FloatArrays = readonly (typeof Float32Array | typeof Float64Array)[];

type Types = ReadonlyMap<string, TensorType>;
type Values = Readonly<Record<string, Value>>;

/**
 * Checks the given values of a program's inputs and learns the sizes of its named dimensions from them. Throws ShapeError
 * for a value that is missing, of another shape than was declared, or of another type.
 */
export function bindInputs(declared: Types, given: Values, floats: FloatArrays): Map<string, number> {
  const sizes = new Map<string, number>();
  for (const [name, { shape, dtype }] of declared) {
    const value = given[name];
    if (!value) throw new ShapeError(`the program needs the input "${name}", which was not given`);
    checkData(`input "${name}"`, dtype, value, floats);
    if (!fits(shape, value.dims, sizes)) throw misfit(`input "${name}"`, shape, value.dims, sizes);
  }
  // A size may have been learned only after an input that depends on it: "S*T" came before "S".
  for (const [name, { shape }] of declared) {
    const { dims } = given[name]!;
    if (!fits(shape, dims, sizes)) throw misfit(`input "${name}"`, shape, dims, sizes);
  }
  return sizes;
}

/** Checks the arrays that are to receive outputs. Throws ShapeError for a name that is no output, or an array that does not fit. */
export function checkTargets(outputs: Types, into: Values, sizes: Map<string, number>, floats: FloatArrays): void {
  for (const [name, value] of Object.entries(into)) {
    const t = outputs.get(name);
    if (!t) throw new ShapeError(`the program has no output "${name}": it has ${[...outputs.keys()].join(", ")}`);
    checkData(`output "${name}"`, t.dtype, value, floats);
    const dims = t.shape.map((dim) => evaluateDim(dim, sizes));
    if (!fits(dims, value.dims, sizes)) throw misfit(`output "${name}"`, t.shape, value.dims, sizes);
  }
}

function checkData(what: string, dtype: DType, { dims, data }: Value, floats: FloatArrays): void {
  const types = dtype === "int64" ? [BigInt64Array] : floats;
  if (!types.some((type) => data instanceof type)) {
    const wanted = types.map((type) => type.name).join(" or ");
    throw new ShapeError(`${what} is ${dtype}: its values must be a ${wanted}, not a ${data.constructor.name}`);
  }
  if (dims.reduce((a, b) => a * b, 1) !== data.length) {
    throw new ShapeError(`${what} has ${data.length} values, which are not the shape ${formatShape(dims)}`);
  }
}

function fits(shape: Shape, dims: readonly number[], sizes: Map<string, number>): boolean {
  return shape.length === dims.length && shape.every((dim, i) => learnSize(dim, dims[i]!, sizes));
}

function misfit(what: string, shape: Shape, dims: readonly number[], sizes: ReadonlyMap<string, number>): ShapeError {
  const names = new Set(shape.flatMap(termsOf).flatMap((term) => term.names));
  const known = [...names].filter((name) => sizes.has(name)).map((name) => `${name} = ${sizes.get(name)}`);
  const where = known.length === 0 ? "" : ` with ${known.join(", ")}`;
  return new ShapeError(`${what} must have the shape ${formatShape(shape)}${where}, not ${formatShape(dims)}`);
}
