// The machine's float32 matrix-product peak in the engine that preftune uses: prints GFLOP/s, the best of several shapes.
//   node bench/sgemm.js [THREADS]
import { nodeRuntime } from "../dist/runtime/node.js";
import { input, matmul } from "../dist/tensor/index.js";

const threads = process.argv[2] === undefined ? undefined : Number(process.argv[2]);
const SHAPES = [
  [512, 576, 1536],
  [512, 1536, 576],
  [1024, 1024, 1024],
];
const random = (...dims) => ({ dims, data: Float32Array.from({ length: dims[0] * dims[1] }, Math.random) });

let peak = 0;
for (const [m, k, n] of SHAPES) {
  const product = matmul(input("a", [m, k]), input("b", [k, n]));
  const program = await nodeRuntime.compile({ outputs: { y: product } }, { threads });
  const inputs = { a: random(m, k), b: random(k, n) };
  const y = { y: random(m, n) };
  const rates = [];
  for (let i = 0; i < 40; i++) {
    const started = performance.now();
    await program.run(inputs, y);
    rates.push((2 * m * k * n) / (performance.now() - started) / 1e6);
  }
  await program[Symbol.asyncDispose]();
  rates.sort((a, b) => a - b);
  peak = Math.max(peak, rates[Math.floor(rates.length / 2)]);
}
console.log(JSON.stringify({ gigaflops: peak }));
