"""xoshiro128** seeded through splitmix32, written from their authors' definitions, for tests/random.test.ts.

Writes tests/golden/training/random.json:

    python tests/reference/training_random.py

xoshiro128** 1.1: David Blackman and Sebastiano Vigna 2018, https://prng.di.unimi.it/xoshiro128starstar.c. splitmix32: a
Weyl sequence by the golden ratio through a 32-bit mixer with the multipliers 0x21f0aaad and 0x735a2d97.
"""

import json
from pathlib import Path

TARGET = Path(__file__).parents[1] / "golden" / "training" / "random.json"
MASK = 0xFFFFFFFF


def splitmix32(seed):
    state = seed & MASK
    while True:
        state = (state + 0x9E3779B9) & MASK
        z = state
        z = ((z ^ (z >> 16)) * 0x21F0AAAD) & MASK
        z = ((z ^ (z >> 15)) * 0x735A2D97) & MASK
        yield z ^ (z >> 15)


def rotate(x, k):
    return ((x << k) | (x >> (32 - k))) & MASK


def xoshiro128starstar(s):
    while True:
        yield (rotate((s[1] * 5) & MASK, 7) * 9) & MASK
        t = (s[1] << 9) & MASK
        s[2] ^= s[0]
        s[3] ^= s[1]
        s[1] ^= s[2]
        s[0] ^= s[3]
        s[2] ^= t
        s[3] = rotate(s[3], 11)


def stream(seed, count):
    mixer = splitmix32(seed)
    generator = xoshiro128starstar([next(mixer) for _ in range(4)])
    return [next(generator) for _ in range(count)]


# The generator itself, from the state that its published test vectors start from.
generator = xoshiro128starstar([1, 2, 3, 4])
assert [next(generator) for _ in range(4)] == [11520, 0, 5927040, 70819200]
TARGET.write_text(json.dumps([{"seed": seed, "bits": stream(seed, 8)} for seed in [0, 1, 42, 0xFFFFFFFF]]) + "\n")
