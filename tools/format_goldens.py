#!/usr/bin/env python3
"""Writes tests/data/formats/: what PyPI `gguf` makes of random blocks of every weight format.

  pip install gguf==0.19.0 numpy; python3 tools/format_goldens.py

  NAME.decode   u32 block count, the encoded blocks, their values as float32
  NAME.encode   u32 block count, float32 inputs, the encoded blocks (formats `gguf` can quantise)
  F8_E4M3.decode   the 256 values of FP8 E4M3, from their definition

All little-endian. Every binary16 scale field runs through zero, subnormals, both signs and the largest value.
"""
import pathlib
import struct

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "formats"

# Byte offsets of the binary16 fields of a block.
HALF_FIELDS = {
    "F16": [0], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q2_K": [80, 82],
    "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
    "BF16": [],
}
EDGE_HALVES = [0x0000, 0x8000, 0x0001, 0x83FF, 0x0400, 0x7BFF, 0xFBFF, 0x3C00, 0xB555]
CAN_QUANTISE = ["BF16", "F16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4"]


def write(name: str, count: int, first: np.ndarray, second: np.ndarray) -> None:
    (OUT / name).write_bytes(struct.pack("<I", count) + first.tobytes() + second.tobytes())


def random_blocks(name: str, rng: np.random.Generator) -> np.ndarray:
    elems, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = {1: 512, 32: 48, 256: 24}[elems]
    blocks = rng.integers(0, 256, (count, size), dtype=np.uint8)
    for place, field in enumerate(HALF_FIELDS[name]):
        for b in range(count):
            if b < len(EDGE_HALVES):
                half = EDGE_HALVES[(b + 4 * place) % len(EDGE_HALVES)]
            else:
                half = int(rng.integers(0, 2)) << 15 | int(rng.integers(0, 0x7C00))
            blocks[b, field:field + 2] = np.frombuffer(struct.pack("<H", half), np.uint8)
    if name == "MXFP4":
        blocks[:8, 0] = [0, 1, 2, 3, 126, 127, 254, 255]
    if name == "BF16":  # no NaN: numpy and hardware differ in their payloads
        bits = blocks.view(np.uint16)
        bits[(bits & 0x7F80) == 0x7F80] &= 0xBFFF
        bits[:4, 0] = [0x0001, 0x8000, 0x7F80, 0xFF80]
    return blocks


def random_values(name: str, rng: np.random.Generator) -> np.ndarray:
    elems, _ = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    count = 512 if elems == 1 else 64
    scale = np.exp(rng.normal(0, 3, (count, 1)))
    values = (rng.normal(0, 1, (count, elems)) * scale).astype(np.float32)
    values[0] = 0
    if elems > 1:
        values[1] = 1.5          # all equal
        values[2] = -0.25
        values[3] = np.abs(values[3])
        values[4] = -np.abs(values[4])
        values[5, :] = 0
        values[5, 7] = -3
        values[6] *= np.float32(1e-6)
    return values


def main() -> None:
    OUT.mkdir(parents=True, exist_ok=True)
    for index, name in enumerate(HALF_FIELDS):
        rng = np.random.default_rng(1000 + index)
        kind = GGMLQuantizationType[name]
        blocks = random_blocks(name, rng)
        with np.errstate(over="ignore"):
            write(f"{name}.decode", len(blocks), blocks, dequantize(blocks, kind).astype(np.float32))
        if name in CAN_QUANTISE:
            values = random_values(name, rng)
            with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
                write(f"{name}.encode", len(values), values, quantize(values, kind))
    codes = np.arange(256)
    exponent, mantissa = codes >> 3 & 15, codes & 7
    magnitude = np.where(exponent == 0, mantissa * 2.0**-9, (1 + mantissa / 8) * 2.0 ** (exponent - 7))
    magnitude = np.where(codes & 0x7F == 0x7F, np.nan, magnitude)
    values = np.where(codes >= 128, -magnitude, magnitude).astype(np.float32)
    write("F8_E4M3.decode", 256, codes.astype(np.uint8), values)


if __name__ == "__main__":
    main()
