"""Writes GGUF files with the tensor names, row order and keys of llama.cpp's converters."""
import pathlib

import gguf
import numpy as np
import torch
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType
from gguf.quants import dequantize, quantize

from . import common
from .common import Weights


def to_adjacent_pairs(w: torch.Tensor, n_heads: int) -> torch.Tensor:
    """Rows of a query or key projection (or its bias) from half-rotation order, as Hugging Face stores them, to the
    adjacent pairs of Meta's files and GGUF's "llama" architecture."""
    half = w.shape[0] // n_heads // 2
    return w.reshape(n_heads, 2, half, *w.shape[1:]).transpose(1, 2).reshape(w.shape)


class Stored:
    """A tensor's encoded bytes and the float32 values they decode to."""

    def __init__(self, data: np.ndarray, kind: GGMLQuantizationType, values: torch.Tensor):
        self.data, self.kind, self.values = data, kind, values


def encode(values: torch.Tensor, format_name: str) -> Stored:
    kind = GGMLQuantizationType[format_name]
    array = values.contiguous().numpy()
    data = quantize(array, kind)
    return Stored(data, kind, torch.from_numpy(dequantize(data, kind).reshape(array.shape).astype(np.float32)))


# Byte offsets of the binary16 fields of the K-quants' super-blocks.
K_QUANT_HALVES = {"Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208]}


def random_k_quant(weights: Weights, rows: int, cols: int, format_name: str, std: float) -> Stored:
    """Random codes and sub-scales (PyPI `gguf` decodes K-quants but does not make them); the super-block scales
    are chosen so that the decoded values have mean about 0 and standard deviation about `std`."""
    kind = GGMLQuantizationType[format_name]
    block, size = GGML_QUANT_SIZES[kind]
    data = weights.integers(0, 256, rows, cols // block, size).astype(np.uint8)
    if format_name in ("Q4_K", "Q5_K"):
        # 6-bit sub-scales and minima: with min ≈ scale · (middle code) the values centre on 0.
        middle = 7.5 if format_name == "Q4_K" else 15.5
        _set_equal_minima(data)
        _set_halves(data, 0, 1.0 + 0.25 * weights.normal(rows, cols // block).numpy())
        scale = data[..., 0:2].copy().view(np.float16)[..., 0].astype(np.float32)
        _set_halves(data, 2, scale * middle)
    else:
        for offset in K_QUANT_HALVES[format_name]:
            _set_halves(data, offset, 1.0 + 0.25 * weights.normal(rows, cols // block).numpy())
    raw = dequantize(data.reshape(rows, -1), kind).std()
    for offset in K_QUANT_HALVES[format_name]:
        old = data[..., offset:offset + 2].copy().view(np.float16)[..., 0].astype(np.float32)
        _set_halves(data, offset, old * std / raw)
    flat = data.reshape(rows, -1)
    return Stored(flat, kind, torch.from_numpy(dequantize(flat, kind).astype(np.float32)))


def _set_halves(data: np.ndarray, offset: int, values: np.ndarray) -> None:
    data[..., offset:offset + 2] = values.astype(np.float16)[..., None].view(np.uint8)


def _set_equal_minima(data: np.ndarray) -> None:
    """Makes each sub-block's 6-bit minimum equal its 6-bit scale in the 12 packed bytes at offset 4: bytes 0–3 hold
    scales 0–3, bytes 4–7 minima 0–3, bytes 8–11 the low nibbles of both for 4–7, whose top two bits are the
    top two of the first eight bytes."""
    data[..., 8:12] = data[..., 4:8]
    low = data[..., 12:16] & 0x0F
    data[..., 12:16] = low | (low << 4)


def add_vocabulary(writer: gguf.GGUFWriter, size: int) -> None:
    tokens = common.vocabulary(size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL if t.startswith("<|") else gguf.TokenType.NORMAL for t in tokens])
    writer.add_token_merges([" ".join(pair) for pair in common.MERGES])
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)


class File:
    def __init__(self, path: pathlib.Path, architecture: str, vocab: int):
        self.writer = gguf.GGUFWriter(path, architecture)
        self.writer.add_name("golden")
        add_vocabulary(self.writer, vocab)

    def add(self, name: str, stored: Stored) -> torch.Tensor:
        """Returns the float32 values a reader gets."""
        if stored.kind == GGMLQuantizationType.F32:
            self.writer.add_tensor(name, stored.data)
        else:
            self.writer.add_tensor(name, stored.data, raw_dtype=stored.kind)
        return stored.values

    def close(self) -> None:
        self.writer.write_header_to_file()
        self.writer.write_kv_data_to_file()
        self.writer.write_tensors_to_file()
        self.writer.close()


def split(path: pathlib.Path, stem: pathlib.Path, tensors_per_file: int) -> None:
    """Cuts a file into STEM-00001-of-0000N.gguf as llama.cpp's split tool does: the keys in the first part, and in
    every part split.no, split.count and split.tensors.count."""
    reader = gguf.GGUFReader(path)
    parts = [reader.tensors[i:i + tensors_per_file] for i in range(0, len(reader.tensors), tensors_per_file)]
    for number, tensors in enumerate(parts):
        architecture = str(reader.fields["general.architecture"].contents())
        writer = gguf.GGUFWriter(f"{stem}-{number + 1:05}-of-{len(parts):05}.gguf", architecture)
        if number == 0:
            for field in reader.fields.values():
                if field.name.startswith("GGUF.") or field.name == "general.architecture":
                    continue
                writer.add_key_value(field.name, field.contents(), field.types[0])
        writer.add_uint16("split.no", number)
        writer.add_uint16("split.count", len(parts))
        writer.add_int32("split.tensors.count", len(reader.tensors))
        for t in tensors:
            writer.add_tensor(t.name, t.data, raw_dtype=t.tensor_type)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
