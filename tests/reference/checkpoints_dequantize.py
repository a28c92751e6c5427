"""Golden numbers for dequantization: blocks of seeded random bytes and what the `gguf` package makes of them.

Writes tests/golden/checkpoints/dequantize.json: for every storage type the blocks and their float32 values (both base64,
little-endian), and SHA-256 digests of every float16 and bfloat16 bit pattern that is not a NaN, widened.

    python tests/reference/checkpoints_dequantize.py
"""

import base64
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

# type: (blocks, byte offsets of its float16 scales)
LAYOUTS = {
    "Q4_0": (8, [0]),
    "Q4_1": (8, [0, 2]),
    "Q5_0": (8, [0]),
    "Q5_1": (8, [0, 2]),
    "Q8_0": (8, [0]),
    "Q4_K": (4, [0, 2]),
    "Q5_K": (4, [0, 2]),
    "Q6_K": (4, [208]),
}
# The first blocks get scales at the edges: a subnormal, zero, negative zero and the largest float16.
EDGE_SCALES = np.array([6e-8, 0.0, -0.0, 65504.0], np.float16)


def encode(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def random_blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    count, scale_offsets = LAYOUTS[name]
    _, block_bytes = gguf.GGML_QUANT_SIZES[Type[name]]
    blocks = rng.integers(0, 256, (count, block_bytes), np.uint8)
    for offset in scale_offsets:
        scales = rng.normal(0, 0.05, count).astype(np.float16)
        edges = min(len(EDGE_SCALES), count // 2)
        scales[:edges] = EDGE_SCALES[:edges]
        blocks[:, offset : offset + 2] = scales.view(np.uint8).reshape(count, 2)
    return blocks


def digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.astype("<f4").tobytes()).hexdigest()


def main() -> None:
    rng = np.random.default_rng(20260)
    types = {}
    for name in LAYOUTS:
        blocks = random_blocks(name, rng)
        values = gguf.quants.dequantize(blocks, Type[name]).astype("<f4")
        types[name] = {"blocks": encode(blocks), "values": encode(values)}
    patterns = np.arange(65536, dtype=np.uint16)
    f16 = patterns.view(np.float16).astype(np.float32)
    bf16 = gguf.quants.dequantize(patterns.view(np.uint8), Type.BF16)
    golden = {
        "types": types,
        "f16": digest(f16[~np.isnan(f16)]),
        "bf16": digest(bf16[~np.isnan(bf16)]),
    }
    target = Path(__file__).parents[1] / "golden" / "checkpoints" / "dequantize.json"
    target.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
