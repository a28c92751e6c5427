"""Golden numbers for quantization: float32 blocks, and what NumPy and the `gguf` package make of them.

Writes tests/golden/checkpoints/quantize.json: blocks of 32 values (base64, little-endian float32) with their bytes in every block
format that preftune writes, and SHA-256 digests of 2^20 float32 bit patterns that are not a NaN, narrowed.

    python tests/reference/checkpoints_quantize.py
"""

import base64
import hashlib
import json
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type

# 4099 is prime, so the patterns differ in all their bits.
PATTERN_STEP = 4099


def encode(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()


def blocks() -> np.ndarray:
    """Ordinary weights of many sizes, and the edges: zeros, negative zeros, ties of rounding, equal extremes, subnormals."""
    rng = np.random.default_rng(20261)
    ordinary = rng.normal(0, 1, (48, 32)) * 10.0 ** rng.integers(-7, 4, (48, 1))
    ties = np.arange(-16, 16) / 2
    ties_of_q8 = np.concatenate([[127], np.arange(31) + 0.5])
    extremes = np.concatenate([[3, -3], np.linspace(-3, 3, 30)])
    one = np.eye(1, 32, 5)
    edges = [np.zeros(32), -np.zeros(32), ties, ties_of_q8, -ties_of_q8, extremes, -extremes, one[0], ties * 1e-30]
    return np.concatenate([ordinary, np.stack(edges)]).astype(np.float32)


def digest(values: np.ndarray) -> str:
    return hashlib.sha256(values.tobytes()).hexdigest()


def main() -> None:
    values = blocks()
    types = {name: encode(gguf.quants.quantize(values, Type[name])) for name in ("Q8_0", "Q4_0")}
    patterns = (np.arange(2**20, dtype=np.uint64) * PATTERN_STEP).astype(np.uint32).view(np.float32)
    numbers = patterns[~np.isnan(patterns)]
    with np.errstate(over="ignore"):
        f16 = numbers.astype(np.float16)
    bf16 = gguf.quants.quantize(numbers.reshape(1, -1), Type.BF16)
    golden = {"values": encode(values), "types": types, "f16": digest(f16), "bf16": digest(bf16)}
    target = Path(__file__).parents[1] / "golden" / "checkpoints" / "quantize.json"
    target.write_text(json.dumps(golden, indent=1) + "\n")


if __name__ == "__main__":
    main()
