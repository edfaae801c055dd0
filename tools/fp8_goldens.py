#!/usr/bin/env python3
"""Writes tests/data/models/qwen3-fp8-hf: a tiny checkpoint with FP8 weights, and its logits.

  pip install numpy ml_dtypes safetensors
  python3 tools/fp8_goldens.py

The weights are in E4M3 with one BF16 scale for each 128 × 128 tile, as Qwen publishes them (DeepSeek's scales are
F32); no matrix is a whole number of tiles. ml_dtypes decodes them. The logits are those of Qwen3's forward pass in
float64, written out below; it is first held to the committed logits that transformers made of qwen3-hf.
"""
import json
import pathlib

import ml_dtypes
import numpy as np
from safetensors.numpy import load_file, save_file

MODELS = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "models"
CONFIG = {
    "architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False, "head_dim": 32,
    "hidden_act": "silu", "hidden_size": 160, "intermediate_size": 200, "max_position_embeddings": 2048,
    "num_attention_heads": 6, "num_hidden_layers": 2, "num_key_value_heads": 2, "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0, "sliding_window": None, "use_sliding_window": False, "vocab_size": 96,
    "tie_word_embeddings": False,
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic",
                            "weight_block_size": [128, 128], "modules_to_not_convert": ["lm_head"]},
}
TILE = 128
N_TOKENS = 230


def rms_norm(x, weight, eps):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * weight


def rotate(x, theta):
    """x: [tokens, heads, head_dim], halves turned by position."""
    half = x.shape[-1] // 2
    angles = np.arange(len(x))[:, None] * theta ** (-np.arange(half) / half)
    cos, sin = np.cos(angles)[:, None], np.sin(angles)[:, None]
    a, b = x[..., :half], x[..., half:]
    return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)


def logits_of(config: dict, w: dict, tokens: list[int]) -> np.ndarray:
    n, dim, eps = len(tokens), config["head_dim"], config["rms_norm_eps"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    x = w["model.embed_tokens.weight"][tokens]
    for i in range(config["num_hidden_layers"]):
        def linear(name, value, layer=i):
            return value @ w[f"model.layers.{layer}.{name}.weight"].T

        def norm(name, value, layer=i):
            return rms_norm(value, w[f"model.layers.{layer}.{name}.weight"], eps)

        h = norm("input_layernorm", x)
        q = rotate(norm("self_attn.q_norm", linear("self_attn.q_proj", h).reshape(n, heads, dim)), config["rope_theta"])
        k = rotate(norm("self_attn.k_norm", linear("self_attn.k_proj", h).reshape(n, kv_heads, dim)),
                   config["rope_theta"])
        v = linear("self_attn.v_proj", h).reshape(n, kv_heads, dim)
        k, v = (np.repeat(t, heads // kv_heads, axis=1) for t in (k, v))
        scores = np.einsum("qhd,khd->hqk", q, k) / np.sqrt(dim)
        scores = np.where(np.tril(np.ones((n, n), bool)), scores, -np.inf)
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        x = x + linear("self_attn.o_proj", np.einsum("hqk,khd->qhd", weights, v).reshape(n, heads * dim))
        h = norm("post_attention_layernorm", x)
        gate = linear("mlp.gate_proj", h)
        x = x + linear("mlp.down_proj", gate / (1 + np.exp(-gate)) * linear("mlp.up_proj", h))
    return rms_norm(x, w["model.norm.weight"], eps) @ w["lm_head.weight"].T


def check_the_forward_pass() -> None:
    folder = MODELS / "qwen3-hf"
    tensors = load_file(folder / "model.safetensors")
    found = logits_of(json.loads((folder / "config.json").read_text()),
                      {name: t.astype(np.float64) for name, t in tensors.items()},
                      json.loads((folder / "tokens.json").read_text()))
    golden = np.load(folder / "logits.npy").astype(np.float64)
    positions = json.loads((folder / "positions.json").read_text())
    difference = np.abs(found[positions] - golden).max() / golden.std()
    assert difference < 2e-5, difference
    print(f"the forward pass is within {difference:.1e} σ of transformers' on qwen3-hf")


def quantised(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """E4M3 codes, BF16 scales, and the float64 values they stand for (rounded to float32 once, as stored)."""
    rows, cols = values.shape
    scales = np.zeros((-(-rows // TILE), -(-cols // TILE)), ml_dtypes.bfloat16)
    codes = np.zeros(values.shape, ml_dtypes.float8_e4m3fn)
    decoded = np.zeros(values.shape, np.float32)
    for r in range(0, rows, TILE):
        for c in range(0, cols, TILE):
            tile = values[r:r + TILE, c:c + TILE]
            scale = ml_dtypes.bfloat16(np.abs(tile).max() / 448)
            scales[r // TILE, c // TILE] = scale
            codes[r:r + TILE, c:c + TILE] = (tile / np.float32(scale)).astype(ml_dtypes.float8_e4m3fn)
            decoded[r:r + TILE, c:c + TILE] = codes[r:r + TILE, c:c + TILE].astype(np.float32) * np.float32(scale)
    return codes, scales, decoded.astype(np.float64)


def main() -> None:
    check_the_forward_pass()
    rng = np.random.default_rng(305)
    stored, values = {}, {}

    def bf16(name, value):
        stored[name] = value.astype(ml_dtypes.bfloat16)
        values[name] = stored[name].astype(np.float64)

    def fp8(name, rows, cols, gain=1.0):
        matrix = rng.normal(0, gain / cols**0.5, (rows, cols)).astype(np.float32)
        matrix *= np.exp(rng.normal(0, 0.5, (rows, 1))).astype(np.float32)  # tiles of different scales
        stored[name], stored[name + "_scale_inv"], values[name] = quantised(matrix)

    c = CONFIG
    hidden, ffn, dim = c["hidden_size"], c["intermediate_size"], c["head_dim"]
    q_dim, kv_dim = c["num_attention_heads"] * dim, c["num_key_value_heads"] * dim
    bf16("model.embed_tokens.weight", rng.normal(0, 0.35, (c["vocab_size"], hidden)))
    for i in range(c["num_hidden_layers"]):
        p = f"model.layers.{i}."
        for name, size in (("input_layernorm", hidden), ("post_attention_layernorm", hidden),
                           ("self_attn.q_norm", dim), ("self_attn.k_norm", dim)):
            bf16(f"{p}{name}.weight", rng.normal(1, 0.25, size))
        for name, rows, cols in (("self_attn.q_proj", q_dim, hidden), ("self_attn.k_proj", kv_dim, hidden),
                                 ("self_attn.v_proj", kv_dim, hidden), ("self_attn.o_proj", hidden, q_dim),
                                 ("mlp.gate_proj", ffn, hidden), ("mlp.up_proj", ffn, hidden),
                                 ("mlp.down_proj", hidden, ffn)):
            fp8(f"{p}{name}.weight", rows, cols)
    bf16("model.norm.weight", rng.normal(1, 0.25, hidden))
    bf16("lm_head.weight", rng.normal(0, 2 / hidden**0.5, (c["vocab_size"], hidden)))
    tokens = [int(t) for t in rng.integers(0, c["vocab_size"], N_TOKENS)]

    folder = MODELS / "qwen3-fp8-hf"
    folder.mkdir(exist_ok=True)
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(c, indent=1) + "\n")
    for name in ("tokenizer.json", "positions.json"):  # of the same vocabulary and number of tokens
        (folder / name).write_bytes((MODELS / "qwen3-hf" / name).read_bytes())
    (folder / "tokens.json").write_text(json.dumps(tokens) + "\n")
    logits = logits_of(c, values, tokens)
    positions = json.loads((folder / "positions.json").read_text())
    np.save(folder / "logits.npy", np.ascontiguousarray(logits[positions], dtype=np.float32))
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"qwen3-fp8-hf: {size / 1000:.0f} kB, σ of the logits {logits.std():.2f}")


if __name__ == "__main__":
    main()
