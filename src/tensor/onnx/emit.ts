/**
 * Writes a program as an ONNX model. Operations outside the ONNX standard are those of ONNX Runtime's `com.microsoft`
 * domain: FusedMatMul (transposes and a factor without a copy), QuickGelu, Gelu, FastGelu, RotaryEmbedding, and
 * SimplifiedLayerNormalization, which ONNX Runtime keeps in the standard domain.
 */

import { ShapeError } from "../../errors.ts";
import type { Program } from "../program.ts";
import { programInputs, topologicalOrder } from "../program.ts";
import { type Dim, type Shape, termsOf } from "../shape.ts";
import type { DType, Node, Tensor } from "../tensor.ts";
import { encodeModel, type OnnxAttribute, type OnnxNode, type OnnxTensor, type OnnxValueInfo } from "./schema.ts";

/** The fused operations that `emitOnnx` writes as one node. */
export const onnxFused: ReadonlySet<string> = new Set(["silu", "gelu", "geluTanh", "rmsNorm", "rope"]);

const OPSET = 18n;
const IR_VERSION = 9n;
const ELEMENT_TYPES: Record<DType | "float16", number> = { float32: 1, int64: 7, bool: 9, float16: 10 };
const ATTRIBUTE = { float: 1, int: 2, ints: 7 };
const EXTERNAL = 1;

/** Constants of at least this many bytes go to the external data file where there is one. */
const EXTERNAL_BYTES = 1024;

export interface OnnxFiles {
  /** The model file. */
  readonly model: Uint8Array<ArrayBuffer>;
  /** The values of the large constants, to be written beside the model under the name that was asked for. */
  readonly externalData: Uint8Array<ArrayBuffer>[];
}

export interface EmitOptions {
  /** Puts large constants into a file of this name beside the model instead of into the model. */
  readonly externalDataName?: string;
  /** Inputs of the program that the model has the values of, by name: they are no inputs of the model. */
  readonly bound?: ReadonlyMap<string, BoundInput>;
  /** Writes products without FusedMatMul, which ONNX Runtime does not have for WebGPU. */
  readonly plainProducts?: boolean;
}

/** A float32 input's values, in the model or in a file beside it. In float16 they are widened when the model is loaded. */
export interface BoundInput {
  readonly type: "float32" | "float16";
  readonly values: Uint8Array | { readonly location: string; readonly offset: number; readonly length: number };
}

/**
 * Emits a program whose fused operations are among `onnxFused`. Throws ShapeError where an input and an output have the
 * same name.
 */
export function emitOnnx(program: Program, options: EmitOptions = {}): OnnxFiles {
  const emitter = new Emitter(program, options);
  const model = emitter.emit();
  return { model, externalData: emitter.externalData };
}

/** The ONNX name and domain of operations that need no attributes. */
const PLAIN: Readonly<Record<string, string>> = {
  neg: "Neg",
  exp: "Exp",
  log: "Log",
  sqrt: "Sqrt",
  tanh: "Tanh",
  erf: "Erf",
  abs: "Abs",
  sigmoid: "Sigmoid",
  softplus: "Softplus",
  add: "Add",
  sub: "Sub",
  mul: "Mul",
  div: "Div",
  maximum: "Max",
  greaterOrEqual: "GreaterOrEqual",
  where: "Where",
};

type AttributeValue = { int: number } | { float: number } | { ints: readonly number[] };

class Emitter {
  readonly externalData: Uint8Array<ArrayBuffer>[] = [];
  private externalOffset = 0;
  private readonly nodes: OnnxNode[] = [];
  private readonly initializers: OnnxTensor[] = [];
  /** ONNX value names: of a node's outputs, and of helper values by a key that says what they hold. */
  private readonly names = new Map<Node, string[]>();
  private readonly helpers = new Map<string, string>();
  private readonly inputs: Map<string, Tensor>;
  private readonly program: Program;
  private readonly options: EmitOptions;
  /** Names that the program itself gives, which no value in between may have. */
  private readonly taken: ReadonlySet<string>;
  private counter = 0;

  constructor(program: Program, options: EmitOptions) {
    this.program = program;
    this.options = options;
    this.inputs = programInputs(program);
    const outputs = Object.keys(program.outputs);
    const both = outputs.find((name) => this.inputs.has(name));
    if (both !== undefined) {
      throw new ShapeError(
        `"${both}" names an input and an output of the program: ONNX has one name a value, rename one`,
      );
    }
    this.taken = new Set([...this.inputs.keys(), ...outputs]);
  }

  emit(): Uint8Array<ArrayBuffer> {
    const outputs = Object.entries(this.program.outputs);
    for (const node of topologicalOrder(outputs.map(([, t]) => t))) this.names.set(node, this.emitNode(node));
    this.nameOutputs(outputs);
    return encodeModel({
      irVersion: IR_VERSION,
      producerName: "preftune",
      opsetImport: [
        { domain: "", version: OPSET },
        { domain: "com.microsoft", version: 1n },
      ],
      graph: {
        name: "program",
        node: this.nodes,
        initializer: this.initializers,
        input: [...this.inputs].flatMap(([name, t]) => (this.options.bound?.has(name) ? [] : [valueInfo(name, t)])),
        output: outputs.map(([name, t]) => valueInfo(name, t)),
      },
    });
  }

  /** Gives values the names of the outputs that they are. An input, a constant or a value with two names is copied. */
  private nameOutputs(outputs: readonly [string, Tensor][]): void {
    const renamed = new Map<string, string>();
    for (const [name, t] of outputs) {
      const value = this.nameOf(t);
      const isComputed = t.node.op !== "input" && t.node.op !== "constant";
      if (isComputed && !renamed.has(value)) renamed.set(value, name);
      else this.write("Identity", [value], { output: [name] });
    }
    const rename = (value: string) => renamed.get(value) ?? value;
    for (const node of this.nodes) {
      node.input = node.input.map(rename);
      node.output = node.output.map(rename);
    }
  }

  private nameOf(t: Tensor): string {
    return this.names.get(t.node)![t.index]!;
  }

  private freshName(prefix: string): string {
    const name = `${prefix}${this.counter++}`;
    return this.taken.has(name) ? this.freshName(prefix) : name;
  }

  private write(
    opType: string,
    input: string[],
    options: { attributes?: Record<string, AttributeValue>; domain?: string; output?: string[]; scope?: string } = {},
  ): string[] {
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
  private ints(values: readonly number[]): string {
    return this.helper(`ints:${values.join(",")}`, () => this.literal(values, [values.length], "int64"));
  }

  private helper(key: string, make: () => string): string {
    const known = this.helpers.get(key);
    if (known) return known;
    const name = make();
    this.helpers.set(key, name);
    return name;
  }

  private literal(values: ArrayLike<number>, dims: Shape, dtype: DType): string {
    const name = this.freshName("c");
    const rawData = encodeValues(values, dtype);
    const tensor: OnnxTensor = { name, dims: dims.map(BigInt), dataType: ELEMENT_TYPES[dtype] };
    if (this.options.externalDataName && rawData.byteLength >= EXTERNAL_BYTES) {
      const location = {
        location: this.options.externalDataName,
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

  /**
   * A shape as an int64 vector. One unknown dimension is ONNX's -1; more are computed from the shapes of the program's
   * inputs when it runs.
   */
  private shapeVector(shape: Shape): string {
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
  private axisSize(value: string, at: number): string {
    return this.write("Shape", [value], { attributes: { start: { int: at }, end: { int: at + 1 } } })[0]!;
  }

  private emitNode(node: Node): string[] {
    const inputs = node.inputs.map((t) => this.nameOf(t));
    const { attributes: a, scope } = node;
    const plain = PLAIN[node.op];
    if (plain) return this.write(plain, inputs, { scope });
    switch (node.op) {
      case "input":
        return [this.emitInput(a.name as string)];
      case "constant": {
        const { shape, dtype } = node.outputs[0]!;
        return [this.literal(node.literal!, shape, dtype)];
      }
      case "reduceSum":
        return this.write("ReduceSum", [inputs[0]!, this.ints(a.axes as number[])], {
          attributes: { keepdims: { int: a.keepDims ? 1 : 0 } },
          scope,
        });
      case "reduceMax":
        return this.write("ReduceMax", [inputs[0]!, this.ints([-1])], { attributes: { keepdims: { int: 1 } }, scope });
      case "softmax":
        return this.write("Softmax", inputs, { attributes: { axis: { int: -1 } }, scope });
      case "matmul": {
        const { transA, transB, alpha } = a as { transA: boolean; transB: boolean; alpha: number };
        if (!transA && !transB && alpha === 1) return this.write("MatMul", inputs, { scope });
        if (this.options.plainProducts) return this.emitPlainProduct(node);
        const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: alpha } };
        return this.write("FusedMatMul", inputs, { attributes, domain: "com.microsoft", scope });
      }
      case "toFloat":
        return this.write("Cast", inputs, { attributes: { to: { int: ELEMENT_TYPES.float32 } }, scope });
      case "gather":
        return this.write("Gather", inputs, { attributes: { axis: { int: 0 } }, scope });
      case "rowIndices":
        return this.emitRowIndices(inputs, scope);
      case "scatterAdd":
        return this.emitScatterAdd(inputs, scope);
      case "reshape":
        return this.write("Reshape", [inputs[0]!, this.shapeVector(a.shape as Shape)], { scope });
      case "transpose":
        return this.write("Transpose", inputs, { attributes: { perm: { ints: a.permutation as number[] } }, scope });
      case "slice":
        return this.write(
          "Slice",
          [inputs[0]!, this.ints([a.start as number]), this.ints([a.end as number]), this.ints([a.axis as number])],
          { scope },
        );
      case "pad":
        return this.write(
          "Pad",
          [inputs[0]!, this.ints([a.before as number, a.after as number]), "", this.ints([a.axis as number])],
          { scope },
        );
      case "concat":
        return this.write("Concat", inputs, { attributes: { axis: { int: a.axis as number } }, scope });
      case "broadcastTo":
        return this.write("Expand", [inputs[0]!, this.write("Shape", [inputs[1]!])[0]!], { scope });
      case "silu":
        return this.write("QuickGelu", inputs, { attributes: { alpha: { float: 1 } }, domain: "com.microsoft", scope });
      case "gelu":
        return this.write("Gelu", inputs, { domain: "com.microsoft", scope });
      case "geluTanh":
        return this.write("FastGelu", inputs, { domain: "com.microsoft", scope });
      case "rmsNorm": {
        const attributes = { axis: { int: -1 }, epsilon: { float: a.epsilon as number } };
        const output = [this.freshName("v"), this.freshName("v")];
        return this.write("SimplifiedLayerNormalization", inputs, { attributes, output, scope });
      }
      case "rope":
        return this.emitRope(inputs, a as { heads: number; inverse: boolean }, node.outputs[0]!.shape, scope);
      default:
        throw new Error(`no ONNX form for the operation "${node.op}"`);
    }
  }

  private emitInput(name: string): string {
    const bound = this.options.bound?.get(name);
    if (bound === undefined) return name;
    return this.helper(`bound:${name}`, () => {
      const { type, values } = bound;
      const dims = this.inputs.get(name)!.shape.map(BigInt);
      const tensor: OnnxTensor = { name, dims, dataType: ELEMENT_TYPES[type] };
      if (values instanceof Uint8Array) tensor.rawData = values;
      else placeOutside(tensor, values);
      this.initializers.push(tensor);
      if (type === "float32") return name;
      return this.write("Cast", [name], { attributes: { to: { int: ELEMENT_TYPES.float32 } } })[0]!;
    });
  }

  /** A product with transposes or a factor: Gemm's where both are matrices. */
  private emitPlainProduct({ inputs, attributes: a, scope }: Node): string[] {
    const { transA, transB, alpha } = a as { transA: boolean; transB: boolean; alpha: number };
    if (inputs.every(({ shape }) => shape.length === 2)) {
      const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: alpha } };
      return this.write(
        "Gemm",
        inputs.map((t) => this.nameOf(t)),
        { attributes, scope },
      );
    }
    const side = (t: Tensor, transposed: boolean): string => {
      if (!transposed) return this.nameOf(t);
      const rank = t.shape.length;
      const swapped = [...Array(rank - 2).keys(), rank - 1, rank - 2];
      return this.write("Transpose", [this.nameOf(t)], { attributes: { perm: { ints: swapped } }, scope })[0]!;
    };
    const product = this.write("MatMul", [side(inputs[0]!, transA), side(inputs[1]!, transB)], { scope });
    return alpha === 1 ? product : this.write("Mul", [...product, this.literal([alpha], [], "float32")], { scope });
  }

  private emitRowIndices([x, after]: string[], scope: string): string[] {
    const scalar = (value: number) => this.helper(`int:${value}`, () => this.literal([value], [], "int64"));
    const count = (value: string) => this.write("Squeeze", [this.axisSize(value, 0)])[0]!;
    const start = after === undefined ? scalar(0) : count(after);
    const end = after === undefined ? count(x!) : this.write("Add", [start, count(x!)])[0]!;
    return this.write("Range", [start, end, scalar(1)], { scope });
  }

  private emitScatterAdd([like, ids, values]: string[], scope: string): string[] {
    const shape = this.write("Shape", [like!])[0]!;
    const zeros = this.write("ConstantOfShape", [shape])[0]!;
    const indices = this.write("Unsqueeze", [ids!, this.ints([1])])[0]!;
    return this.writeReduction("ScatterND", [zeros, indices, values!], scope);
  }

  private writeReduction(opType: string, input: string[], scope: string): string[] {
    const output = this.write(opType, input, { scope });
    this.nodes.at(-1)!.attribute.push({ name: "reduction", type: 3, s: new TextEncoder().encode("add") });
    return output;
  }

  /**
   * RotaryEmbedding wants a batch axis, and tables with as many rows as there are tokens: the rows of each token's own
   * position are gathered once a program. With its sine negated it rotates back.
   */
  private emitRope(
    [x, positions, cos, sin]: string[],
    a: { heads: number; inverse: boolean },
    shape: Shape,
    scope: string,
  ): string[] {
    const byToken = (table: string) =>
      this.helper(`${table}[${positions}]`, () => this.write("Gather", [table, positions!])[0]!);
    const sine = byToken(sin!);
    const angles = [byToken(cos!), a.inverse ? this.helper(`-${sine}`, () => this.write("Neg", [sine])[0]!) : sine];
    const batched = this.write("Unsqueeze", [x!, this.ints([0])])[0]!;
    const rotated = this.write("RotaryEmbedding", [batched, this.ints([0]), ...angles], {
      attributes: { interleaved: { int: 0 }, num_heads: { int: a.heads } },
      domain: "com.microsoft",
      scope,
    });
    return this.write("Reshape", [rotated[0]!, this.shapeVector(shape)]);
  }
}

function placeOutside(tensor: OnnxTensor, place: { location: string; offset: number; length: number }): void {
  tensor.externalData = Object.entries(place).map(([key, value]) => ({ key, value: String(value) }));
  tensor.dataLocation = EXTERNAL;
}

function encodeAttribute(name: string, value: AttributeValue): OnnxAttribute {
  if ("int" in value) return { name, type: ATTRIBUTE.int, i: BigInt(value.int) };
  if ("float" in value) return { name, type: ATTRIBUTE.float, f: value.float };
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

function valueInfo(name: string, t: Tensor): OnnxValueInfo {
  const dim = t.shape.map((d: Dim) => (typeof d === "number" ? { dimValue: BigInt(d) } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[t.dtype], shape: { dim } } } };
}
