/** Symbolic tensors: build a program, differentiate it, write it as ONNX. */

export { type Product, type ProgramCost, programCost, type Sizes } from "./cost.ts";
export * from "./fused.ts";
export { gradientRules, gradients } from "./gradients.ts";
export { type EmitOptions, emitOnnx, type OnnxFiles, onnxFused } from "./onnx/emit.ts";
export type { BoundInput } from "./onnx/graph.ts";
export * from "./operations.ts";
export { type OptimizeOptions, optimize, type Program, programInputs, topologicalOrder } from "./program.ts";
export { type Dim, evaluateDim, formatShape, learnSize, product, quotient, type Shape, termsOf } from "./shape.ts";
export { constant, type DType, input, type Node, scope, Tensor, type TensorType } from "./tensor.ts";
