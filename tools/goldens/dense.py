"""GPT-2, Qwen 2 and 3, Gemma 3 (text): Hugging Face and GGUF checkpoints against transformers in float32."""
import dataclasses
import pathlib
from typing import Callable

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from . import common, gguf_file

VOCAB, N_TOKENS, CONTEXT = 96, 230, 256
HIDDEN, HEADS, KV_HEADS, HEAD_DIM, FFN = 48, 6, 2, 12, 80
GEMMA_LAYERS = 6  # the first five slide, the sixth does not

QWEN = {
    "hidden_act": "silu", "hidden_size": HIDDEN, "intermediate_size": FFN, "max_position_embeddings": 2048,
    "num_attention_heads": HEADS, "num_hidden_layers": 2, "num_key_value_heads": KV_HEADS, "rms_norm_eps": 1e-6,
    "rope_theta": 1000000.0, "sliding_window": None, "use_sliding_window": False, "vocab_size": VOCAB,
}
CONFIGS = {
    "gpt2": {"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
             "layer_norm_epsilon": 1e-5, "n_ctx": CONTEXT, "n_embd": 40, "n_head": 5, "n_layer": 2,
             "n_positions": CONTEXT, "vocab_size": VOCAB, "bos_token_id": 0, "eos_token_id": 0},
    "qwen2": QWEN | {"architectures": ["Qwen2ForCausalLM"], "model_type": "qwen2", "tie_word_embeddings": True},
    "qwen3": QWEN | {"architectures": ["Qwen3ForCausalLM"], "model_type": "qwen3", "attention_bias": False,
                     "head_dim": 16, "tie_word_embeddings": False},
    "gemma3": {"architectures": ["Gemma3ForCausalLM"], "model_type": "gemma3_text", "attention_bias": False,
               "attn_logit_softcapping": None, "final_logit_softcapping": None, "head_dim": 16,
               "hidden_activation": "gelu_pytorch_tanh", "hidden_size": 36, "intermediate_size": 56,
               "layer_types": ["sliding_attention"] * 5 + ["full_attention"], "max_position_embeddings": 2048,
               "num_attention_heads": 4, "num_hidden_layers": GEMMA_LAYERS, "num_key_value_heads": 1,
               "query_pre_attn_scalar": 16, "rms_norm_eps": 1e-6, "rope_local_base_freq": 10000.0,
               "rope_theta": 1000000.0, "sliding_window": 64, "tie_word_embeddings": True,
               "use_bidirectional_attention": False, "vocab_size": VOCAB},
}


def random_value(family: str, name: str, shape: torch.Size, w: common.Weights) -> torch.Tensor:
    if len(shape) == 1:
        if name.endswith("bias"):
            return w.normal(*shape, std=0.3)
        # Gemma's norms multiply by one more than what is stored.
        return w.normal(*shape, std=0.25, mean=0.0 if family == "gemma3" else 1.0)
    if name.endswith(("embed_tokens.weight", "wte.weight")):
        return w.normal(*shape, std=0.35)
    if name.endswith("wpe.weight"):
        return w.normal(*shape, std=0.2)
    n_inputs = shape[0] if family == "gpt2" else shape[1]  # GPT-2's Conv1D holds [in, out]
    gain = 2.0 if "lm_head" in name else 1.5 if any(k in name for k in ("q_proj", "k_proj", "c_attn")) else 1.0
    return w.normal(*shape, std=gain / n_inputs**0.5)


def random_tensors(family: str, seed: int, dtype: str) -> tuple[dict[str, torch.Tensor], list[int]]:
    """Published names → float32 values that `dtype` stores exactly; and the tokens."""
    w = common.Weights(seed)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(**CONFIGS[family]))
    tensors = {}
    for name, parameter in model.named_parameters():  # a tied head is not listed
        # GPT-2's published file leaves out the prefix.
        tensors[name.removeprefix("transformer.")] = random_value(family, name, parameter.shape, w)
    return common.rounded(tensors, dtype), common.random_tokens(w, N_TOKENS, VOCAB)


def write_hf(folder: pathlib.Path, family: str, tensors: dict[str, torch.Tensor], dtype: str) -> None:
    common.save_json(folder / "config.json", CONFIGS[family])
    common.save_tokenizer(folder / "tokenizer.json", VOCAB)
    common.save_safetensors(folder / "model.safetensors", tensors, dtype)


def logits_from_files(folder: pathlib.Path, tokens: list[int], **overrides):
    config = AutoConfig.from_pretrained(folder, **overrides)
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    return common.logits_of(model, tokens)


LLAMA_LIKE = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "self_attn.q_norm": "attn_q_norm",
    "self_attn.k_norm": "attn_k_norm", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
LAYER_NAMES = {
    "gpt2": {"ln_1": "attn_norm", "attn.c_attn": "attn_qkv", "attn.c_proj": "attn_output", "ln_2": "ffn_norm",
             "mlp.c_fc": "ffn_up", "mlp.c_proj": "ffn_down"},
    "qwen2": LLAMA_LIKE | {"post_attention_layernorm": "ffn_norm"},
    "qwen3": LLAMA_LIKE | {"post_attention_layernorm": "ffn_norm"},
    "gemma3": LLAMA_LIKE | {"post_attention_layernorm": "post_attention_norm",
                            "pre_feedforward_layernorm": "ffn_norm", "post_feedforward_layernorm": "post_ffw_norm"},
}
TOP_NAMES = {"model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
             "wte": "token_embd", "wpe": "position_embd", "ln_f": "output_norm"}


def gguf_name(family: str, name: str) -> str:
    stem, suffix = name.rsplit(".", 1)
    if stem in TOP_NAMES:
        return f"{TOP_NAMES[stem]}.{suffix}"
    layer, rest = stem.removeprefix("model.layers.").removeprefix("h.").split(".", 1)
    return f"blk.{layer}.{LAYER_NAMES[family][rest]}.{suffix}"


def write_gguf(path: pathlib.Path, family: str, tensors: dict[str, torch.Tensor], dtype: str) -> None:
    config = CONFIGS[family]
    file = gguf_file.File(path, family, VOCAB)
    g = file.writer
    if family == "gpt2":
        g.add_context_length(config["n_ctx"])
        g.add_embedding_length(config["n_embd"])
        g.add_block_count(config["n_layer"])
        g.add_feed_forward_length(4 * config["n_embd"])
        g.add_head_count(config["n_head"])
        g.add_layer_norm_eps(config["layer_norm_epsilon"])
    else:
        g.add_context_length(config["max_position_embeddings"])
        g.add_embedding_length(config["hidden_size"])
        g.add_block_count(config["num_hidden_layers"])
        g.add_feed_forward_length(config["intermediate_size"])
        g.add_head_count(config["num_attention_heads"])
        g.add_head_count_kv(config["num_key_value_heads"])
        g.add_layer_norm_rms_eps(config["rms_norm_eps"])
        g.add_rope_freq_base(config["rope_theta"])
        if "head_dim" in config:
            g.add_key_length(config["head_dim"])
            g.add_value_length(config["head_dim"])
    if family == "gemma3":
        g.add_sliding_window(config["sliding_window"])
    for name, t in tensors.items():
        if family == "gpt2" and t.dim() == 2 and name.startswith("h."):
            t = t.T.contiguous()
        if family == "gemma3" and t.dim() == 1:
            t = t + 1  # the converter stores the factor itself
        kept_exact = t.dim() == 1 or name == "wpe.weight"
        file.add(gguf_name(family, name), gguf_file.encode(t, "F32" if kept_exact else dtype))
    file.close()


@dataclasses.dataclass
class Case:
    family: str
    seed: int
    dialect: str
    dtype: str
    # What the report varies: description → configuration overrides.
    variants: Callable[[], dict] = dict

    def __call__(self, folder: pathlib.Path):
        tensors, tokens = random_tensors(self.family, self.seed, self.dtype)
        hf = folder if self.dialect == "hf" else common.scratch_folder()
        write_hf(hf, self.family, tensors, self.dtype)
        if self.dialect == "gguf":
            write_gguf(folder / "model.gguf", self.family, tensors, self.dtype)
        logits = logits_from_files(hf, tokens)
        return tokens, logits, {what: logits_from_files(hf, tokens, **o) for what, o in self.variants().items()}


def gemma_variants() -> dict:
    return {"window of 63": {"sliding_window": 63},
            "no windows": {"layer_types": ["full_attention"] * GEMMA_LAYERS}}


CASES = {
    "gpt2-hf": Case("gpt2", 301, "hf", "F32", lambda: {"exact GELU": {"activation_function": "gelu"}}),
    "gpt2-gguf": Case("gpt2", 301, "gguf", "F32"),
    "qwen2-hf": Case("qwen2", 302, "hf", "BF16"),
    "qwen2-gguf": Case("qwen2", 302, "gguf", "BF16"),
    "qwen3-hf": Case("qwen3", 303, "hf", "BF16"),
    "qwen3-gguf": Case("qwen3", 303, "gguf", "BF16"),
    "gemma3-hf": Case("gemma3", 304, "hf", "BF16", gemma_variants),
    "gemma3-gguf": Case("gemma3", 304, "gguf", "BF16"),
}
