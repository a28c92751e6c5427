/**
 * An ONNX graph that is being written: nodes and constants under fresh names, values that several nodes read, and shapes
 * that are known only when the program runs.
 */

import { type Shape, termsOf } from "../shape.ts";
import type { DType, Tensor } from "../tensor.ts";
import { ELEMENT_TYPES, type OnnxAttribute, type OnnxNode, type OnnxTensor } from "./schema.ts";

const ATTRIBUTE = { float: 1, int: 2, ints: 7, text: 3 };
const EXTERNAL = 1;

/** Constants of at least this many bytes go to the external data file where there is one. */
const EXTERNAL_BYTES = 1024;

/** A float32 input's values, in the model or in a file beside it. In float16 they are widened when the model is loaded. */
export interface BoundInput {
  readonly type: "float32" | "float16";
  readonly values: Uint8Array | { readonly location: string; readonly offset: number; readonly length: number };
}

type AttributeValue = { int: number } | { float: number } | { ints: readonly number[] } | { text: string };

interface NodeOptions {
  readonly attributes?: Readonly<Record<string, AttributeValue>>;
  readonly domain?: string;
  readonly output?: string[];
  readonly scope?: string;
}

interface GraphOptions {
  /** The program's inputs, by name: what sizes are read from when it runs. */
  readonly inputs: ReadonlyMap<string, Tensor>;
  /** Names that the program itself gives, which no value in between may have. */
  readonly taken: ReadonlySet<string>;
  readonly externalDataName?: string | undefined;
}

export class OnnxGraph {
  readonly nodes: OnnxNode[] = [];
  readonly initializers: OnnxTensor[] = [];
  readonly externalData: Uint8Array<ArrayBuffer>[] = [];
  private externalOffset = 0;
  private readonly helpers = new Map<string, string>();
  private readonly inputs: ReadonlyMap<string, Tensor>;
  private readonly taken: ReadonlySet<string>;
  private readonly externalDataName: string | undefined;
  private counter = 0;

  constructor({ inputs, taken, externalDataName }: GraphOptions) {
    this.inputs = inputs;
    this.taken = taken;
    this.externalDataName = externalDataName;
  }

  freshName(prefix: string): string {
    const name = `${prefix}${this.counter++}`;
    return this.taken.has(name) ? this.freshName(prefix) : name;
  }

  /** Writes a node and returns the names of its outputs: one fresh name unless they are given. */
  write(opType: string, input: string[], options: NodeOptions = {}): string[] {
    const output = options.output ?? [this.freshName("v")];
    const attribute = Object.entries(options.attributes ?? {}).map(([name, value]) => encodeAttribute(name, value));
    const id = `${opType}_${this.nodes.length}`;
    this.nodes.push({
      name: options.scope ? `${options.scope}/${id}` : id,
      opType,
      domain: options.domain ?? "",
      input,
      output,
      attribute,
    });
    return output;
  }

  /** A value of int64 that is known now. */
  ints(values: readonly number[]): string {
    return this.helper(`ints:${values.join(",")}`, () => this.literal(values, [values.length], "int64"));
  }

  /** A value that is made once a graph, by a key that says what it holds. */
  helper(key: string, make: () => string): string {
    const known = this.helpers.get(key);
    if (known) return known;
    const name = make();
    this.helpers.set(key, name);
    return name;
  }

  /** A constant. */
  literal(values: ArrayLike<number>, dims: Shape, dtype: DType): string {
    const name = this.freshName("c");
    const rawData = encodeValues(values, dtype);
    const tensor: OnnxTensor = { name, dims: dims.map(BigInt), dataType: ELEMENT_TYPES[dtype] };
    if (this.externalDataName && rawData.byteLength >= EXTERNAL_BYTES) {
      const location = {
        location: this.externalDataName,
        offset: this.externalOffset,
        length: rawData.byteLength,
      };
      placeOutside(tensor, location);
      this.externalData.push(rawData);
      this.externalOffset += rawData.byteLength;
    } else {
      tensor.rawData = rawData;
    }
    this.initializers.push(tensor);
    return name;
  }

  /** The values of an input that the model has itself, as float32. */
  bound(name: string, dims: Shape, { type, values }: BoundInput): string {
    return this.helper(`bound:${name}`, () => {
      const tensor: OnnxTensor = { name, dims: dims.map(BigInt), dataType: ELEMENT_TYPES[type] };
      if (values instanceof Uint8Array) tensor.rawData = values;
      else placeOutside(tensor, values);
      this.initializers.push(tensor);
      if (type === "float32") return name;
      return this.write("Cast", [name], { attributes: { to: { int: ELEMENT_TYPES.float32 } } })[0]!;
    });
  }

  /**
   * A shape as an int64 vector. One unknown dimension is ONNX's -1; more are computed from the shapes of the program's
   * inputs when it runs.
   */
  shapeVector(shape: Shape): string {
    const unknown = shape.filter((dim) => typeof dim === "string").length;
    if (unknown <= 1) return this.ints(shape.map((dim) => (typeof dim === "string" ? -1 : dim)));
    const parts = shape.map((dim) => (typeof dim === "number" ? this.ints([dim]) : this.dimVector(dim)));
    return this.helper(
      `shape:${shape.join(",")}`,
      () => this.write("Concat", parts, { attributes: { axis: { int: 0 } } })[0]!,
    );
  }

  /** A dimension with names as an int64 vector of one element. */
  private dimVector(dim: string): string {
    return this.helper(`dim:${dim}`, () => {
      for (const [name, t] of this.inputs) {
        const at = t.shape.indexOf(dim);
        if (at >= 0) return this.axisSize(name, at);
      }
      const terms = termsOf(dim);
      if (terms.length === 1 && terms[0]!.coefficient === 1 && terms[0]!.names.length === 1) {
        return this.sizeFromMultiple(dim);
      }
      const summands = terms.map(({ coefficient, names }) => {
        const factors = names.map((name) => this.dimVector(name));
        if (coefficient !== 1 || names.length === 0) factors.unshift(this.ints([coefficient]));
        return factors.reduce((a, b) => this.write("Mul", [a, b])[0]!);
      });
      return summands.reduce((a, b) => this.write("Add", [a, b])[0]!);
    });
  }

  /** The size of a name that no input has alone, from one that has a multiple of it: E is half of [2*E]. */
  private sizeFromMultiple(name: string): string {
    for (const [inputName, t] of this.inputs) {
      for (const [at, dim] of t.shape.entries()) {
        const [term, ...others] = termsOf(dim);
        if (others.length > 0 || term!.names.length !== 1 || term!.names[0] !== name) continue;
        return this.write("Div", [this.axisSize(inputName, at), this.ints([term!.coefficient])])[0]!;
      }
    }
    throw new Error(`no input of the program has the dimension ${name}`);
  }

  /** The size of one axis of a value, as an int64 vector of one element. */
  axisSize(value: string, at: number): string {
    return this.write("Shape", [value], { attributes: { start: { int: at }, end: { int: at + 1 } } })[0]!;
  }
}

function placeOutside(tensor: OnnxTensor, place: { location: string; offset: number; length: number }): void {
  tensor.externalData = Object.entries(place).map(([key, value]) => ({ key, value: String(value) }));
  tensor.dataLocation = EXTERNAL;
}

function encodeAttribute(name: string, value: AttributeValue): OnnxAttribute {
  if ("int" in value) return { name, type: ATTRIBUTE.int, i: BigInt(value.int) };
  if ("float" in value) return { name, type: ATTRIBUTE.float, f: value.float };
  if ("text" in value) return { name, type: ATTRIBUTE.text, s: new TextEncoder().encode(value.text) };
  return { name, type: ATTRIBUTE.ints, ints: value.ints.map(BigInt) };
}

function encodeValues(values: ArrayLike<number>, dtype: DType): Uint8Array<ArrayBuffer> {
  const typed =
    dtype === "float32"
      ? Float32Array.from(values)
      : dtype === "int64"
        ? BigInt64Array.from(Array.from(values, BigInt))
        : Uint8Array.from(values);
  return new Uint8Array(typed.buffer);
}
