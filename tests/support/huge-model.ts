/** A Llama of 275 billion parameters in four layers, that no machine has the memory for: all of it but its weights. */

import { modelFor } from "../../src/models/index.ts";

export const hugeConfig = {
  model_type: "llama",
  vocab_size: 1024,
  hidden_size: 65536,
  intermediate_size: 262144,
  num_hidden_layers: 4,
  num_attention_heads: 512,
  max_position_embeddings: 512,
};

/** The beginning of its safetensors file in bfloat16, and how many bytes the whole has. */
export function hugeWeights(): { readonly head: Buffer; readonly size: number } {
  let end = 0;
  const entries = [...modelFor({ config: hugeConfig, source: "huge" }).weights].map(([name, shape]) => {
    const begin = end;
    end += 2 * shape.reduce((a, b) => a * b, 1);
    return [name, { dtype: "BF16", shape, data_offsets: [begin, end] }] as const;
  });
  const header = Buffer.from(JSON.stringify(Object.fromEntries(entries)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return { head: Buffer.concat([length, header]), size: 8 + header.length + end };
}
