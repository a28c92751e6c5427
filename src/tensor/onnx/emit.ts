/**
 * Writes a program as an ONNX model. Operations outside the ONNX standard are those of ONNX Runtime's `com.microsoft`
 * domain: FusedMatMul (transposes and a factor without a copy), QuickGelu, Gelu, FastGelu, RotaryEmbedding, and
 * SimplifiedLayerNormalization, which ONNX Runtime keeps in the standard domain.
 */

import { ShapeError } from "../../errors.ts";
import type { Program } from "../program.ts";
import { programInputs, topologicalOrder } from "../program.ts";
import type { Dim, Shape } from "../shape.ts";
import type { Node, Tensor } from "../tensor.ts";
import { type BoundInput, OnnxGraph } from "./graph.ts";
import { ELEMENT_TYPES, encodeModel, type OnnxValueInfo } from "./schema.ts";

/** The fused operations that `emitOnnx` writes as one node. */
export const onnxFused: ReadonlySet<string> = new Set(["silu", "gelu", "geluTanh", "rmsNorm", "rope"]);

const OPSET = 18n;
const IR_VERSION = 9n;

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

/**
 * Emits a program whose fused operations are among `onnxFused`. Throws ShapeError where an input and an output have the
 * same name.
 */
export function emitOnnx(program: Program, options: EmitOptions = {}): OnnxFiles {
  const emitter = new Emitter(program, options);
  const model = emitter.emit();
  return { model, externalData: emitter.graph.externalData };
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

class Emitter {
  readonly graph: OnnxGraph;
  /** The names of a node's outputs. */
  private readonly names = new Map<Node, string[]>();
  private readonly inputs: Map<string, Tensor>;
  private readonly program: Program;
  private readonly options: EmitOptions;

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
    const taken = new Set([...this.inputs.keys(), ...outputs]);
    this.graph = new OnnxGraph({ inputs: this.inputs, taken, externalDataName: options.externalDataName });
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
        node: this.graph.nodes,
        initializer: this.graph.initializers,
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
      else this.graph.write("Identity", [value], { output: [name] });
    }
    const rename = (value: string) => renamed.get(value) ?? value;
    for (const node of this.graph.nodes) {
      node.input = node.input.map(rename);
      node.output = node.output.map(rename);
    }
  }

  private nameOf(t: Tensor): string {
    return this.names.get(t.node)![t.index]!;
  }

  private emitNode(node: Node): string[] {
    const { graph } = this;
    const inputs = node.inputs.map((t) => this.nameOf(t));
    const { attributes: a, scope } = node;
    const plain = PLAIN[node.op];
    if (plain) return graph.write(plain, inputs, { scope });
    switch (node.op) {
      case "input":
        return [this.inputName(a.name as string)];
      case "constant": {
        const { shape, dtype } = node.outputs[0]!;
        return [graph.literal(node.literal!, shape, dtype)];
      }
      case "reduceSum":
        return graph.write("ReduceSum", [inputs[0]!, graph.ints(a.axes as number[])], {
          attributes: { keepdims: { int: a.keepDims ? 1 : 0 } },
          scope,
        });
      case "reduceMax":
        return graph.write("ReduceMax", [inputs[0]!, graph.ints([-1])], {
          attributes: { keepdims: { int: 1 } },
          scope,
        });
      case "softmax":
        return graph.write("Softmax", inputs, { attributes: { axis: { int: -1 } }, scope });
      case "matmul": {
        const { transA, transB, alpha } = a as { transA: boolean; transB: boolean; alpha: number };
        if (!transA && !transB && alpha === 1) return graph.write("MatMul", inputs, { scope });
        if (this.options.plainProducts) return this.emitPlainProduct(node);
        const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: alpha } };
        return graph.write("FusedMatMul", inputs, { attributes, domain: "com.microsoft", scope });
      }
      case "toFloat":
        return graph.write("Cast", inputs, { attributes: { to: { int: ELEMENT_TYPES.float32 } }, scope });
      case "gather":
        return graph.write("Gather", inputs, { attributes: { axis: { int: 0 } }, scope });
      case "rowIndices":
        return this.emitRowIndices(inputs, scope);
      case "scatterAdd":
        return this.emitScatterAdd(inputs, scope);
      case "reshape":
        return graph.write("Reshape", [inputs[0]!, graph.shapeVector(a.shape as Shape)], { scope });
      case "transpose":
        return graph.write("Transpose", inputs, { attributes: { perm: { ints: a.permutation as number[] } }, scope });
      case "slice":
        return graph.write(
          "Slice",
          [inputs[0]!, graph.ints([a.start as number]), graph.ints([a.end as number]), graph.ints([a.axis as number])],
          { scope },
        );
      case "pad":
        return graph.write(
          "Pad",
          [inputs[0]!, graph.ints([a.before as number, a.after as number]), "", graph.ints([a.axis as number])],
          { scope },
        );
      case "concat":
        return graph.write("Concat", inputs, { attributes: { axis: { int: a.axis as number } }, scope });
      case "broadcastTo":
        return graph.write("Expand", [inputs[0]!, graph.write("Shape", [inputs[1]!])[0]!], { scope });
      case "silu":
        return graph.write("QuickGelu", inputs, {
          attributes: { alpha: { float: 1 } },
          domain: "com.microsoft",
          scope,
        });
      case "gelu":
        return graph.write("Gelu", inputs, { domain: "com.microsoft", scope });
      case "geluTanh":
        return graph.write("FastGelu", inputs, { domain: "com.microsoft", scope });
      case "rmsNorm": {
        const attributes = { axis: { int: -1 }, epsilon: { float: a.epsilon as number } };
        const output = [graph.freshName("v"), graph.freshName("v")];
        return graph.write("SimplifiedLayerNormalization", inputs, { attributes, output, scope });
      }
      case "rope":
        return this.emitRope(inputs, a as { heads: number; inverse: boolean }, node.outputs[0]!.shape, scope);
      default:
        throw new Error(`no ONNX form for the operation "${node.op}"`);
    }
  }

  private inputName(name: string): string {
    const bound = this.options.bound?.get(name);
    return bound === undefined ? name : this.graph.bound(name, this.inputs.get(name)!.shape, bound);
  }

  /** A product with transposes or a factor: Gemm's where both are matrices. */
  private emitPlainProduct({ inputs, attributes: a, scope }: Node): string[] {
    const { graph } = this;
    const { transA, transB, alpha } = a as { transA: boolean; transB: boolean; alpha: number };
    if (inputs.every(({ shape }) => shape.length === 2)) {
      const attributes = { transA: { int: +transA }, transB: { int: +transB }, alpha: { float: alpha } };
      return graph.write(
        "Gemm",
        inputs.map((t) => this.nameOf(t)),
        { attributes, scope },
      );
    }
    const side = (t: Tensor, transposed: boolean): string => {
      if (!transposed) return this.nameOf(t);
      const rank = t.shape.length;
      const swapped = [...Array(rank - 2).keys(), rank - 1, rank - 2];
      return graph.write("Transpose", [this.nameOf(t)], { attributes: { perm: { ints: swapped } }, scope })[0]!;
    };
    const product = graph.write("MatMul", [side(inputs[0]!, transA), side(inputs[1]!, transB)], { scope });
    return alpha === 1 ? product : graph.write("Mul", [...product, graph.literal([alpha], [], "float32")], { scope });
  }

  private emitRowIndices([x, after]: string[], scope: string): string[] {
    const { graph } = this;
    const scalar = (value: number) => graph.helper(`int:${value}`, () => graph.literal([value], [], "int64"));
    const count = (value: string) => graph.write("Squeeze", [graph.axisSize(value, 0)])[0]!;
    const start = after === undefined ? scalar(0) : count(after);
    const end = after === undefined ? count(x!) : graph.write("Add", [start, count(x!)])[0]!;
    return graph.write("Range", [start, end, scalar(1)], { scope });
  }

  private emitScatterAdd([like, ids, values]: string[], scope: string): string[] {
    const { graph } = this;
    const shape = graph.write("Shape", [like!])[0]!;
    const zeros = graph.write("ConstantOfShape", [shape])[0]!;
    const indices = graph.write("Unsqueeze", [ids!, graph.ints([1])])[0]!;
    return graph.write("ScatterND", [zeros, indices, values!], { attributes: { reduction: { text: "add" } }, scope });
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
    const { graph } = this;
    const byToken = (table: string) =>
      graph.helper(`${table}[${positions}]`, () => graph.write("Gather", [table, positions!])[0]!);
    const sine = byToken(sin!);
    const angles = [byToken(cos!), a.inverse ? graph.helper(`-${sine}`, () => graph.write("Neg", [sine])[0]!) : sine];
    const batched = graph.write("Unsqueeze", [x!, graph.ints([0])])[0]!;
    const rotated = graph.write("RotaryEmbedding", [batched, graph.ints([0]), ...angles], {
      attributes: { interleaved: { int: 0 }, num_heads: { int: a.heads } },
      domain: "com.microsoft",
      scope,
    });
    return graph.write("Reshape", [rotated[0]!, graph.shapeVector(shape)]);
  }
}

function valueInfo(name: string, t: Tensor): OnnxValueInfo {
  const dim = t.shape.map((d: Dim) => (typeof d === "number" ? { dimValue: BigInt(d) } : { dimParam: d }));
  return { name, type: { tensorType: { elemType: ELEMENT_TYPES[t.dtype], shape: { dim } } } };
}
