/** How tensors lie in GGUF files other than in Hugging Face's, and back. */

/** From a tensor [rows, columns] of a GGUF file (a vector has one column) to Hugging Face's order. */
export interface TensorLayout {
  readonly restore: (values: Floats, rows: number, columns: number) => Floats;
  /** Whether rows and columns change places. */
  readonly transposes?: true;
  /** How many heads its rows are of, and what a head has of them: checked before anything is read. */
  readonly rows?: number;
}

type Floats = Float32Array<ArrayBuffer>;

/**
 * Rotary embedding turns pairs of rows of a head. Hugging Face pairs row d with row d + headDim / 2; llama.cpp's converter
 * interleaves each head's two halves so that the pairs are rows 2d and 2d + 1 (weights and biases alike).
 */
export function interleavedHalves(heads: number, headDim: number): TensorLayout {
  const half = headDim / 2;
  return {
    rows: heads * headDim,
    restore: (values, rows, columns) =>
      pickRows(values, rows, columns, (row) => {
        const [head, d] = [Math.floor(row / headDim), row % headDim];
        return head * headDim + 2 * (d % half) + Math.floor(d / half);
      }),
  };
}

/** All heads' queries, then all keys, then all values, where Hugging Face's GPT-NeoX has each head's three together. */
export function separateProjections(heads: number, headDim: number): TensorLayout {
  return {
    rows: 3 * heads * headDim,
    restore: (values, rows, columns) =>
      pickRows(values, rows, columns, (row) => {
        const [head, part] = [Math.floor(row / (3 * headDim)), Math.floor(row / headDim) % 3];
        return (part * heads + head) * headDim + (row % headDim);
      }),
  };
}

/** Gemma's norms multiply by 1 + weight; llama.cpp's converter has added the 1. */
export const gainWithOne: TensorLayout = { restore: (values) => values.map((x) => x - 1) };

/** [out, in], where GPT-2 has [in, out]. */
export const transposed: TensorLayout = {
  transposes: true,
  restore: (values, rows, columns) => {
    const turned = new Float32Array(values.length);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) turned[column * rows + row] = values[row * columns + column]!;
    }
    return turned;
  },
};

/** Rows in another order: row i is row `from(i)`. */
function pickRows(values: Floats, rows: number, columns: number, from: (row: number) => number): Floats {
  const ordered = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const start = from(row) * columns;
    ordered.set(values.subarray(start, start + columns), row * columns);
  }
  return ordered;
}
