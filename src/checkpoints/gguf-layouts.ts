/** How tensors lie in GGUF files other than in Hugging Face's, and back. */

/** How a tensor [rows, columns] of a GGUF file (a vector has one column) lies there. */
export interface TensorLayout {
  /** From the file's order to Hugging Face's. */
  readonly restore: (values: Floats, rows: number, columns: number) => Floats;
  /** From Hugging Face's order to the file's; `rows` and `columns` are those in the file. */
  readonly store: (values: Float32Array, rows: number, columns: number) => Floats;
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
  return reordered(heads * headDim, (row) => {
    const [head, d] = [Math.floor(row / headDim), row % headDim];
    return head * headDim + 2 * (d % half) + Math.floor(d / half);
  });
}

/** All heads' queries, then all keys, then all values, where Hugging Face's GPT-NeoX has each head's three together. */
export function separateProjections(heads: number, headDim: number): TensorLayout {
  return reordered(3 * heads * headDim, (row) => {
    const [head, part] = [Math.floor(row / (3 * headDim)), Math.floor(row / headDim) % 3];
    return (part * heads + head) * headDim + (row % headDim);
  });
}

/** Gemma's norms multiply by 1 + weight; llama.cpp's converter has added the 1. */
export const gainWithOne: TensorLayout = {
  restore: (values) => values.map((x) => x - 1),
  store: (values) => Float32Array.from(values, (x) => x + 1),
};

/** [out, in], where GPT-2 has [in, out]. */
export const transposed: TensorLayout = {
  transposes: true,
  restore: turned,
  store: (values, rows, columns) => turned(values, columns, rows),
};

function turned(values: Float32Array, rows: number, columns: number): Floats {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) result[column * rows + row] = values[row * columns + column]!;
  }
  return result;
}

/** Rows in another order: row i of Hugging Face's is row `place(i)` in the file. */
function reordered(count: number, place: (row: number) => number): TensorLayout {
  const move = (values: Float32Array, columns: number, way: (row: number) => [from: number, to: number]): Floats => {
    const moved = new Float32Array(values.length);
    for (let row = 0; row < count; row++) {
      const [from, to] = way(row);
      moved.set(values.subarray(from * columns, (from + 1) * columns), to * columns);
    }
    return moved;
  };
  return {
    rows: count,
    restore: (values, _, columns) => move(values, columns, (row) => [place(row), row]),
    store: (values, _, columns) => move(values, columns, (row) => [row, place(row)]),
  };
}
