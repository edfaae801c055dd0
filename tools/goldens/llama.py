"""The LLaMA family: Hugging Face, Meta and GGUF checkpoints against transformers' LlamaForCausalLM in float32."""
import dataclasses
import math
import pathlib

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from . import common, gguf_file


@dataclasses.dataclass
class Shape:
    hidden: int = 48
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 12
    ffn: int = 88
    layers: int = 2
    vocab: int = 96
    tied: bool = False
    bias: bool = False
    theta: float = 10000.0
    scaling: dict | None = None
    eps: float = 1e-5
    n_tokens: int = 230


def random_weights(shape: Shape, seed: int) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Hugging Face's names → float32, and the tokens. Queries and keys are large enough for attention to be
    peaked: a mistake in positions then shows in the logits."""
    w = common.Weights(seed)
    q_dim, kv_dim = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    t = {"model.embed_tokens.weight": w.normal(shape.vocab, shape.hidden)}
    for i in range(shape.layers):
        p = f"model.layers.{i}."
        t[p + "input_layernorm.weight"] = w.norm(shape.hidden)
        t[p + "self_attn.q_proj.weight"] = w.matrix(q_dim, shape.hidden, gain=1.5)
        t[p + "self_attn.k_proj.weight"] = w.matrix(kv_dim, shape.hidden, gain=1.5)
        t[p + "self_attn.v_proj.weight"] = w.matrix(kv_dim, shape.hidden)
        t[p + "self_attn.o_proj.weight"] = w.matrix(shape.hidden, q_dim, gain=1.5)
        if shape.bias:
            for name, size in (("q", q_dim), ("k", kv_dim), ("v", kv_dim), ("o", shape.hidden)):
                t[p + f"self_attn.{name}_proj.bias"] = w.normal(size, std=0.5)
        t[p + "post_attention_layernorm.weight"] = w.norm(shape.hidden)
        t[p + "mlp.gate_proj.weight"] = w.matrix(shape.ffn, shape.hidden, gain=1.5)
        t[p + "mlp.up_proj.weight"] = w.matrix(shape.ffn, shape.hidden)
        t[p + "mlp.down_proj.weight"] = w.matrix(shape.hidden, shape.ffn)
    t["model.norm.weight"] = w.norm(shape.hidden)
    if not shape.tied:
        t["lm_head.weight"] = w.matrix(shape.vocab, shape.hidden, gain=2.0)
    else:
        t["model.embed_tokens.weight"] *= 0.35  # the same matrix is the head: keep σ(logits) near 2
    return t, common.random_tokens(w, shape.n_tokens, shape.vocab)


def config_json(shape: Shape, new_style: bool = False) -> dict:
    """As published: `rope_theta` and `rope_scaling`, or, from transformers 5 on, both in `rope_parameters`."""
    config = {
        "architectures": ["LlamaForCausalLM"], "attention_bias": shape.bias, "bos_token_id": 1, "eos_token_id": 2,
        "head_dim": shape.head_dim, "hidden_act": "silu", "hidden_size": shape.hidden,
        "intermediate_size": shape.ffn, "max_position_embeddings": 2048, "mlp_bias": False, "model_type": "llama",
        "num_attention_heads": shape.heads, "num_hidden_layers": shape.layers,
        "num_key_value_heads": shape.kv_heads, "rms_norm_eps": shape.eps, "tie_word_embeddings": shape.tied,
        "vocab_size": shape.vocab,
    }
    if new_style:
        config["rope_parameters"] = {"rope_theta": shape.theta, **(shape.scaling or {"rope_type": "default"})}
    else:
        config |= {"rope_theta": shape.theta, "rope_scaling": shape.scaling}
    return config


def reference(shape: Shape, tensors: dict[str, torch.Tensor], tokens: list[int]) -> np.ndarray:
    """Logits of `tensors` (float32, Hugging Face's names) without going through a file."""
    model = LlamaForCausalLM(LlamaConfig(**config_json(shape), attn_implementation="eager")).eval()
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    assert not unexpected and set(missing) <= ({"lm_head.weight"} if shape.tied else set()), (missing, unexpected)
    return common.logits_of(model, tokens)


def write_hf(folder: pathlib.Path, shape: Shape, tensors: dict[str, torch.Tensor], dtype: str,
             new_style: bool = False, n_files: int = 1) -> None:
    common.save_json(folder / "config.json", config_json(shape, new_style))
    common.save_tokenizer(folder / "tokenizer.json", shape.vocab)
    if n_files == 1:
        common.save_safetensors(folder / "model.safetensors", tensors, dtype)
        return
    names, index = sorted(tensors), {}
    for i in range(n_files):
        part = f"model-{i + 1:05}-of-{n_files:05}.safetensors"
        share = names[i::n_files]
        index |= {name: part for name in share}
        common.save_safetensors(folder / part, {name: tensors[name] for name in share}, dtype)
    size = sum(t.numel() * common.TORCH_DTYPES[dtype].itemsize for t in tensors.values())
    common.save_json(folder / "model.safetensors.index.json",
                     {"metadata": {"total_size": size}, "weight_map": dict(sorted(index.items()))})


def logits_from_files(folder: pathlib.Path, tokens: list[int]) -> np.ndarray:
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    return common.logits_of(model, tokens)


META_NAMES = {
    "input_layernorm": "attention_norm", "self_attn.q_proj": "attention.wq", "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv", "self_attn.o_proj": "attention.wo", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "feed_forward.w1", "mlp.up_proj": "feed_forward.w3", "mlp.down_proj": "feed_forward.w2",
}


def write_meta(folder: pathlib.Path, shape: Shape, tensors: dict[str, torch.Tensor], dtype: str) -> None:
    """Meta's own names, row order and params.json. Its scaling is fixed: factor 8, 1, 4, 8192."""
    assert shape.heads * shape.head_dim == shape.hidden, "params.json has no head size"
    out = {"tok_embeddings.weight": tensors["model.embed_tokens.weight"], "norm.weight": tensors["model.norm.weight"],
           "output.weight": tensors["lm_head.weight"]}
    for name, t in tensors.items():
        if not name.startswith("model.layers."):
            continue
        _, _, layer, rest = name.split(".", 3)
        stem, suffix = rest.rsplit(".", 1)
        if stem == "self_attn.q_proj":
            t = gguf_file.to_adjacent_pairs(t, shape.heads)
        if stem == "self_attn.k_proj":
            t = gguf_file.to_adjacent_pairs(t, shape.kv_heads)
        out[f"layers.{layer}.{META_NAMES[stem]}.{suffix}"] = t
    common.save_tokenizer(folder / "tokenizer.json", shape.vocab)
    common.save_json(folder / "params.json", {
        "dim": shape.hidden, "n_layers": shape.layers, "n_heads": shape.heads, "n_kv_heads": shape.kv_heads,
        "vocab_size": shape.vocab, "ffn_dim_multiplier": 1.3, "multiple_of": 8, "norm_eps": shape.eps,
        "rope_theta": shape.theta, "use_scaled_rope": shape.scaling is not None})
    common.save_safetensors(folder / "consolidated.safetensors", out, dtype)


GGUF_NAMES = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}


def gguf_name(name: str) -> str:
    top = {"model.embed_tokens.weight": "token_embd.weight", "model.norm.weight": "output_norm.weight",
           "lm_head.weight": "output.weight"}
    if name in top:
        return top[name]
    _, _, layer, rest = name.split(".", 3)
    stem, suffix = rest.rsplit(".", 1)
    return f"blk.{layer}.{GGUF_NAMES[stem]}.{suffix}"


def rope_divisors(shape: Shape) -> torch.Tensor | None:
    """rope_freqs.weight: what llama.cpp divides each pair's frequency by, for Llama 3's scaling by wavelength."""
    s = shape.scaling
    if s is None or s["rope_type"] != "llama3":
        return None
    out = []
    for i in range(shape.head_dim // 2):
        wavelength = 2 * math.pi * shape.theta ** (2 * i / shape.head_dim)
        turns = s["original_max_position_embeddings"] / wavelength
        smooth = (turns - s["low_freq_factor"]) / (s["high_freq_factor"] - s["low_freq_factor"])
        smooth = min(max(smooth, 0.0), 1.0)
        out.append(1 / ((1 - smooth) / s["factor"] + smooth))
    return torch.tensor(out, dtype=torch.float32)


def write_gguf(path: pathlib.Path, shape: Shape, tensors: dict[str, torch.Tensor],
               format_of) -> dict[str, torch.Tensor]:
    """`format_of(gguf name)` names a format or gives a finished Stored; vectors are F32. Returns the decoded values
    under Hugging Face's names, in Hugging Face's row order."""
    file = gguf_file.File(path, "llama", shape.vocab)
    g = file.writer
    g.add_vocab_size(shape.vocab)
    g.add_context_length(2048)
    g.add_embedding_length(shape.hidden)
    g.add_block_count(shape.layers)
    g.add_feed_forward_length(shape.ffn)
    g.add_head_count(shape.heads)
    g.add_head_count_kv(shape.kv_heads)
    g.add_key_length(shape.head_dim)
    g.add_value_length(shape.head_dim)
    g.add_rope_dimension_count(shape.head_dim)
    g.add_rope_freq_base(shape.theta)
    g.add_layer_norm_rms_eps(shape.eps)
    if shape.scaling and shape.scaling["rope_type"] == "linear":
        g.add_string("llama.rope.scaling.type", "linear")
        g.add_rope_scaling_factor(shape.scaling["factor"])
    divisors = rope_divisors(shape)
    if divisors is not None:
        file.add("rope_freqs.weight", gguf_file.encode(divisors, "F32"))
    decoded = {}
    for name, t in tensors.items():
        to_halves = {"self_attn.q_proj": shape.heads, "self_attn.k_proj": shape.kv_heads}
        n_heads = next((n for stem, n in to_halves.items() if stem in name), None)
        target = gguf_name(name)
        chosen = format_of(target) if t.dim() > 1 else "F32"
        if isinstance(chosen, gguf_file.Stored):
            values = file.add(target, chosen)
        else:
            stored = to_pairs(t, n_heads)
            values = file.add(target, gguf_file.encode(stored, chosen))
        decoded[name] = values if n_heads is None else to_halves_order(values, n_heads)
    file.close()
    return decoded


def to_pairs(t: torch.Tensor, n_heads: int | None) -> torch.Tensor:
    return t if n_heads is None else gguf_file.to_adjacent_pairs(t, n_heads)


def to_halves_order(w: torch.Tensor, n_heads: int) -> torch.Tensor:
    half = w.shape[0] // n_heads // 2
    return w.reshape(n_heads, half, 2, *w.shape[1:]).transpose(1, 2).reshape(w.shape)
