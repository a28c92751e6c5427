/**
 * The part of the ONNX file format that preftune writes, as a protobuf descriptor. Message names, field names and field
 * numbers are those of the format's `onnx.proto` (proto2 syntax; https://onnx.ai/onnx/repo-docs/IR.html).
 */

import { create, createFileRegistry, toBinary } from "@bufbuild/protobuf";
import {
  FieldDescriptorProto_Label,
  FieldDescriptorProto_Type,
  FileDescriptorProtoSchema,
} from "@bufbuild/protobuf/wkt";
import type { DType } from "../tensor.ts";

const { STRING, BYTES, INT32, INT64, FLOAT, MESSAGE } = FieldDescriptorProto_Type;

type FieldType = FieldDescriptorProto_Type | string;

/** name: [number, type or message name, repeated?] */
type Fields = Record<string, [number, FieldType] | [number, FieldType, "repeated"]>;

const messages: Record<string, Fields> = {
  ModelProto: {
    ir_version: [1, INT64],
    producer_name: [2, STRING],
    graph: [7, "GraphProto"],
    opset_import: [8, "OperatorSetIdProto", "repeated"],
  },
  OperatorSetIdProto: { domain: [1, STRING], version: [2, INT64] },
  GraphProto: {
    node: [1, "NodeProto", "repeated"],
    name: [2, STRING],
    initializer: [5, "TensorProto", "repeated"],
    input: [11, "ValueInfoProto", "repeated"],
    output: [12, "ValueInfoProto", "repeated"],
  },
  NodeProto: {
    input: [1, STRING, "repeated"],
    output: [2, STRING, "repeated"],
    name: [3, STRING],
    op_type: [4, STRING],
    attribute: [5, "AttributeProto", "repeated"],
    domain: [7, STRING],
  },
  AttributeProto: {
    name: [1, STRING],
    f: [2, FLOAT],
    i: [3, INT64],
    s: [4, BYTES],
    ints: [8, INT64, "repeated"],
    type: [20, INT32],
  },
  TensorProto: {
    dims: [1, INT64, "repeated"],
    data_type: [2, INT32],
    name: [8, STRING],
    raw_data: [9, BYTES],
    external_data: [13, "StringStringEntryProto", "repeated"],
    data_location: [14, INT32],
  },
  StringStringEntryProto: { key: [1, STRING], value: [2, STRING] },
  ValueInfoProto: { name: [1, STRING], type: [2, "TypeProto"] },
  TypeProto: { tensor_type: [1, "TensorTypeProto"] },
  TensorTypeProto: { elem_type: [1, INT32], shape: [2, "TensorShapeProto"] },
  TensorShapeProto: { dim: [1, "DimensionProto", "repeated"] },
  DimensionProto: { dim_value: [1, INT64], dim_param: [2, STRING] },
};

const file = create(FileDescriptorProtoSchema, {
  name: "onnx.proto",
  package: "onnx",
  syntax: "proto2",
  messageType: Object.entries(messages).map(([name, fields]) => ({
    name,
    field: Object.entries(fields).map(([fieldName, [number, type, repeated]]) => ({
      name: fieldName,
      number,
      label: repeated ? FieldDescriptorProto_Label.REPEATED : FieldDescriptorProto_Label.OPTIONAL,
      ...(typeof type === "string" ? { type: MESSAGE, typeName: `.onnx.${type}` } : { type }),
    })),
  })),
});
const modelProto = createFileRegistry(file, () => undefined).getMessage("onnx.ModelProto")!;

/** TensorProto.DataType of what preftune's tensors and files hold. */
export const ELEMENT_TYPES: Readonly<Record<DType | "float16", number>> = {
  float32: 1,
  int64: 7,
  bool: 9,
  float16: 10,
};

export interface OnnxAttribute {
  name: string;
  type: number;
  f?: number;
  i?: bigint;
  s?: Uint8Array;
  ints?: bigint[];
}

export interface OnnxNode {
  name: string;
  opType: string;
  domain: string;
  input: string[];
  output: string[];
  attribute: OnnxAttribute[];
}

export interface OnnxTensor {
  name: string;
  dims: bigint[];
  dataType: number;
  rawData?: Uint8Array;
  externalData?: { key: string; value: string }[];
  dataLocation?: number;
}

export interface OnnxValueInfo {
  name: string;
  type: { tensorType: { elemType: number; shape: { dim: ({ dimValue: bigint } | { dimParam: string })[] } } };
}

interface OnnxModel {
  irVersion: bigint;
  producerName: string;
  opsetImport: { domain: string; version: bigint }[];
  graph: { name: string; node: OnnxNode[]; initializer: OnnxTensor[]; input: OnnxValueInfo[]; output: OnnxValueInfo[] };
}

/** The bytes of an ONNX file. */
export function encodeModel(model: OnnxModel): Uint8Array<ArrayBuffer> {
  return toBinary(modelProto, create(modelProto, { ...model }));
}
