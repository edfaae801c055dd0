"""The committed LLaMA cases. Each writes one folder and returns (tokens, logits of every position, variants), where
`variants` are logits of plausible mistakes: the report shows that the golden tells them apart."""
import dataclasses
import pathlib

import torch

from . import common, gguf_file, llama
from .llama import Shape

# A short original context, so that 230 tokens reach every branch of the scaling.
BITING_LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                 "original_max_position_embeddings": 64}
META_LLAMA3 = BITING_LLAMA3 | {"original_max_position_embeddings": 8192}  # the one Meta's code has built in
LINEAR = {"rope_type": "linear", "factor": 4.0}

PLAIN = Shape(hidden=42, heads=6, kv_heads=2, head_dim=10, ffn=68)
TIED = Shape(tied=True, scaling=BITING_LLAMA3)
BIASED = Shape(hidden=36, heads=3, kv_heads=3, head_dim=14, ffn=52, bias=True, scaling=LINEAR, eps=1e-6)
ONE_KV = Shape(hidden=45, heads=5, kv_heads=1, head_dim=8, ffn=72, layers=3)
META = Shape(hidden=48, heads=6, kv_heads=2, head_dim=8, ffn=88, theta=500000.0, scaling=META_LLAMA3)
QUANTISED = Shape(hidden=64, heads=4, kv_heads=2, head_dim=24, ffn=96, theta=100000.0)
SUPER_BLOCKS = Shape(hidden=256, heads=4, kv_heads=1, head_dim=64, ffn=256, layers=1, theta=500000.0)


def scaling_variants(shape: Shape, tensors, tokens) -> dict:
    other = dataclasses.replace(shape, scaling=None)
    return {"rope scaling left out": llama.reference(other, tensors, tokens)} if shape.scaling else {}


def hf_case(shape: Shape, seed: int, dtype: str, **options):
    def write(folder: pathlib.Path):
        tensors, tokens = llama.random_weights(shape, seed)
        tensors = common.rounded(tensors, dtype)
        llama.write_hf(folder, shape, tensors, dtype, **options)
        logits = llama.logits_from_files(folder, tokens)
        assert common.relative_difference(llama.reference(shape, tensors, tokens), logits) < 1e-6
        return tokens, logits, scaling_variants(shape, tensors, tokens)
    return write


def meta_case(shape: Shape, seed: int, dtype: str):
    def write(folder: pathlib.Path):
        tensors, tokens = llama.random_weights(shape, seed)
        tensors = common.rounded(tensors, dtype)
        llama.write_meta(folder, shape, tensors, dtype)
        unpermuted = {n: llama.to_pairs(t, shape.heads if "q_proj" in n else shape.kv_heads)
                      if "q_proj" in n or "k_proj" in n else t for n, t in tensors.items()}
        variants = scaling_variants(shape, tensors, tokens)
        variants["rows taken in the file's order"] = llama.reference(shape, unpermuted, tokens)
        return tokens, llama.reference(shape, tensors, tokens), variants
    return write


def gguf_case(shape: Shape, seed: int, format_of, published: str = "F32"):
    """`format_of`: a format's name, or GGUF tensor name → format's name. `published`: the format of the weights that
    were converted; it shows in the vectors, which GGUF files keep in F32."""
    def write(folder: pathlib.Path):
        tensors, tokens = llama.random_weights(shape, seed)
        tensors = common.rounded(tensors, published)
        choose = format_of if callable(format_of) else lambda name: format_of
        decoded = llama.write_gguf(folder / "model.gguf", shape, tensors, choose)
        return tokens, llama.reference(shape, decoded, tokens), scaling_variants(shape, decoded, tokens)
    return write


def split_gguf_case(shape: Shape, seed: int, format_name: str, tensors_per_file: int):
    def write(folder: pathlib.Path):
        tensors, tokens = llama.random_weights(shape, seed)
        whole = folder / "whole.gguf"
        decoded = llama.write_gguf(whole, shape, tensors, lambda name: format_name)
        gguf_file.split(whole, folder / "model", tensors_per_file)
        whole.unlink()
        return tokens, llama.reference(shape, decoded, tokens), {}
    return write


# Which format each kind of tensor gets in the mixed file: every 32-wide format that PyPI `gguf` can write.
MIXED = {"token_embd": "Q4_1", "attn_q": "Q5_0", "attn_k": "F16", "attn_v": "Q5_1", "attn_output": "BF16",
         "ffn_gate": "Q4_0", "ffn_up": "Q4_1", "ffn_down": "Q8_0", "output": "Q8_0"}
K_QUANTS = {"token_embd": "Q4_K", "attn_q": "Q4_K", "attn_k": "Q5_K", "attn_v": "Q6_K", "attn_output": "Q5_K",
            "ffn_gate": "Q4_K", "ffn_up": "Q3_K", "ffn_down": "Q6_K", "output": "Q6_K"}


def tensor_kind(gguf_name: str) -> str:
    return gguf_name.removesuffix(".weight").split(".")[-1]


def super_block_case(shape: Shape, seed: int):
    def write(folder: pathlib.Path):
        tensors, tokens = llama.random_weights(shape, seed)
        draws = common.Weights(seed + 1)
        by_gguf_name = {llama.gguf_name(n): t for n, t in tensors.items()}

        def choose(name: str) -> gguf_file.Stored:
            t = by_gguf_name[name]
            return gguf_file.random_k_quant(draws, *t.shape, K_QUANTS[tensor_kind(name)], float(t.std()))

        decoded = llama.write_gguf(folder / "model.gguf", shape, tensors, choose)
        return tokens, llama.reference(shape, decoded, tokens), {}
    return write


CASES = {
    "llama-f32": hf_case(PLAIN, 101, "F32", new_style=True),
    "llama-bf16-tied-llama3-rope": hf_case(TIED, 102, "BF16"),
    "llama-f16-bias-linear-rope": hf_case(BIASED, 103, "F16"),
    "llama-bf16-one-kv-head-sharded": hf_case(ONE_KV, 104, "BF16", n_files=2),
    # The same weights in three dialects.
    "llama3-hf": hf_case(META, 105, "BF16"),
    "llama3-meta": meta_case(META, 105, "BF16"),
    "llama3-gguf": gguf_case(META, 105, "BF16", published="BF16"),
    "llama-gguf-f16-bias-linear-rope": gguf_case(BIASED, 103, "F16", published="F16"),
    "llama-gguf-f32-tied-llama3-rope": gguf_case(dataclasses.replace(TIED, layers=1), 106, "F32"),
    "llama-gguf-q8_0-split": split_gguf_case(QUANTISED, 107, "Q8_0", 8),
    "llama-gguf-q4_1": gguf_case(dataclasses.replace(QUANTISED, tied=True), 108,
                                 lambda name: "Q8_0" if tensor_kind(name) == "token_embd" else "Q4_1"),
    "llama-gguf-mixed": gguf_case(QUANTISED, 109, lambda name: MIXED[tensor_kind(name)]),
    "llama-gguf-k-quants": super_block_case(SUPER_BLOCKS, 110),
}
