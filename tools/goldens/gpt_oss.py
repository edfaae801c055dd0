"""gpt-oss in its three dialects, against two references in float32: transformers' GptOssForCausalLM, reading the
Hugging Face files, and OpenAI's gpt_oss/torch/model.py, reading the `original` files. Both dequantise MXFP4 themselves."""
import dataclasses
import pathlib
import sys

import numpy as np
import torch
from gguf.constants import GGMLQuantizationType

from . import common, gguf_file


@dataclasses.dataclass
class Shape:
    hidden: int = 96
    heads: int = 6
    kv_heads: int = 2
    head_dim: int = 32
    ffn: int = 96
    experts: int = 5
    layers: int = 2
    vocab: int = 96
    n_tokens: int = 420
    window: int = 128


@dataclasses.dataclass
class Mxfp4:
    """The publisher's layout: element 2i in the low nibble of byte i."""
    blocks: np.ndarray  # uint8 [experts, rows, cols/32, 16]
    scales: np.ndarray  # uint8 [experts, rows, cols/32], exponent + 127

    @staticmethod
    def random(w: common.Weights, experts: int, rows: int, cols: int, exponent: int) -> "Mxfp4":
        """Every code equally likely; scales 2^(exponent − 1), 2^exponent or 2^(exponent + 1)."""
        blocks = w.integers(0, 256, experts, rows, cols // 32, 16).astype(np.uint8)
        scales = (127 + exponent + w.integers(-1, 2, experts, rows, cols // 32)).astype(np.uint8)
        return Mxfp4(blocks, scales)

    def rows(self, first: int, step: int) -> "Mxfp4":
        return Mxfp4(self.blocks[:, first::step], self.scales[:, first::step])

    def gguf_bytes(self) -> np.ndarray:
        """17-byte blocks: the scale, then elements 0–15 in the low and 16–31 in the high nibbles."""
        values = np.stack((self.blocks & 0x0F, self.blocks >> 4), -1).reshape(*self.blocks.shape[:-1], 32)
        codes = values[..., :16] | (values[..., 16:] << 4)
        packed = np.concatenate((self.scales[..., None], codes), -1)
        return packed.reshape(*packed.shape[:2], -1)


@dataclasses.dataclass
class Layer:
    attn_norm: torch.Tensor
    q: torch.Tensor
    k: torch.Tensor
    v: torch.Tensor
    o: torch.Tensor
    q_bias: torch.Tensor
    k_bias: torch.Tensor
    v_bias: torch.Tensor
    o_bias: torch.Tensor
    sinks: torch.Tensor
    ffn_norm: torch.Tensor
    router: torch.Tensor
    router_bias: torch.Tensor
    gate_up: Mxfp4  # rows alternate: gate, up
    gate_up_bias: torch.Tensor
    down: Mxfp4
    down_bias: torch.Tensor


@dataclasses.dataclass
class Model:
    shape: Shape
    embedding: torch.Tensor
    layers: list[Layer]
    norm: torch.Tensor
    head: torch.Tensor
    tokens: list[int]


def random_model(shape: Shape, seed: int, dense: str = "BF16") -> Model:
    """Float32 values that `dense` stores exactly. Gate and up projections have a standard deviation near 4, so that
    the clamps at 7 work; sinks are comparable to the scores."""
    w = common.Weights(seed)

    def draw(*size: int, std: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        return w.normal(*size, std=std, mean=mean).to(torch.bfloat16).float()

    def matrix(rows: int, cols: int, gain: float = 1.0) -> torch.Tensor:
        values = w.matrix(rows, cols, gain).to(torch.bfloat16).float()
        return values if dense == "BF16" else gguf_file.encode(values, dense).values

    s = shape
    q_dim, kv_dim = s.heads * s.head_dim, s.kv_heads * s.head_dim
    embedding = matrix(s.vocab, s.hidden, gain=s.hidden**0.5)
    layers = [Layer(
        attn_norm=draw(s.hidden, std=0.25, mean=1.0),
        q=matrix(q_dim, s.hidden, 1.2), k=matrix(kv_dim, s.hidden, 1.2), v=matrix(kv_dim, s.hidden),
        o=matrix(s.hidden, q_dim, 2.0),
        q_bias=draw(q_dim, std=0.3), k_bias=draw(kv_dim, std=0.3), v_bias=draw(kv_dim, std=0.3),
        o_bias=draw(s.hidden, std=0.3),
        sinks=draw(s.heads, std=1.5, mean=2.0),
        ffn_norm=draw(s.hidden, std=0.25, mean=1.0),
        router=draw(s.experts, s.hidden, std=1.5 / s.hidden**0.5), router_bias=draw(s.experts, std=0.5),
        gate_up=Mxfp4.random(w, s.experts, 2 * s.ffn, s.hidden, exponent=-3),
        gate_up_bias=draw(s.experts, 2 * s.ffn, std=0.5),
        down=Mxfp4.random(w, s.experts, s.hidden, s.ffn, exponent=-8),
        down_bias=draw(s.experts, s.hidden, std=0.3),
    ) for _ in range(s.layers)]
    return Model(s, embedding, layers, draw(s.hidden, std=0.25, mean=1.0), matrix(s.vocab, s.hidden, 2.0),
                 common.random_tokens(w, s.n_tokens, s.vocab))


# YaRN's constants are the same in every published model.
YARN = {"beta_fast": 32.0, "beta_slow": 1.0, "factor": 32.0, "original_max_position_embeddings": 4096,
        "rope_type": "yarn", "truncate": False}


def hf_config(s: Shape) -> dict:
    return {
        "architectures": ["GptOssForCausalLM"], "attention_bias": True, "attention_dropout": 0.0,
        "eos_token_id": 2, "experts_per_token": 4, "head_dim": s.head_dim, "hidden_act": "silu",
        "hidden_size": s.hidden, "initial_context_length": 4096, "initializer_range": 0.02,
        "intermediate_size": s.ffn,
        "layer_types": ["sliding_attention", "full_attention"] * (s.layers // 2),
        "max_position_embeddings": 131072, "model_type": "gpt_oss", "num_attention_heads": s.heads,
        "num_experts_per_tok": 4, "num_hidden_layers": s.layers, "num_key_value_heads": s.kv_heads,
        "num_local_experts": s.experts, "output_router_logits": False,
        "quantization_config": {
            "modules_to_not_convert": ["model.layers.*.self_attn", "model.layers.*.mlp.router",
                                       "model.embed_tokens", "lm_head"],
            "quant_method": "mxfp4"},
        "rms_norm_eps": 1e-05, "rope_scaling": YARN, "rope_theta": 150000, "router_aux_loss_coef": 0.9,
        "sliding_window": s.window, "swiglu_limit": 7.0, "tie_word_embeddings": False, "use_cache": True,
        "vocab_size": s.vocab,
    }


def write_hf(folder: pathlib.Path, m: Model, dtype: torch.dtype = torch.bfloat16) -> None:
    """Published files are bfloat16; float32 is for dense values that bfloat16 does not hold."""
    dense = {"model.embed_tokens.weight": m.embedding, "model.norm.weight": m.norm, "lm_head.weight": m.head}
    packed = {}
    for i, layer in enumerate(m.layers):
        p = f"model.layers.{i}."
        a = p + "self_attn."
        dense |= {
            p + "input_layernorm.weight": layer.attn_norm, p + "post_attention_layernorm.weight": layer.ffn_norm,
            a + "q_proj.weight": layer.q, a + "k_proj.weight": layer.k, a + "v_proj.weight": layer.v,
            a + "o_proj.weight": layer.o, a + "q_proj.bias": layer.q_bias, a + "k_proj.bias": layer.k_bias,
            a + "v_proj.bias": layer.v_bias, a + "o_proj.bias": layer.o_bias, a + "sinks": layer.sinks,
            p + "mlp.router.weight": layer.router, p + "mlp.router.bias": layer.router_bias,
            p + "mlp.experts.gate_up_proj_bias": layer.gate_up_bias, p + "mlp.experts.down_proj_bias": layer.down_bias,
        }
        for name, x in (("gate_up_proj", layer.gate_up), ("down_proj", layer.down)):
            packed[p + f"mlp.experts.{name}_blocks"] = torch.from_numpy(x.blocks)
            packed[p + f"mlp.experts.{name}_scales"] = torch.from_numpy(x.scales)
    tensors = {n: t.to(dtype) for n, t in dense.items()} | packed
    common.save_json(folder / "config.json", hf_config(m.shape))
    common.save_tokenizer(folder / "tokenizer.json", m.shape.vocab)
    common.save_safetensors(folder / "model.safetensors", tensors)


def write_original(folder: pathlib.Path, m: Model, dtype: torch.dtype = torch.bfloat16) -> None:
    s = m.shape
    dense = {"embedding.weight": m.embedding, "norm.scale": m.norm, "unembedding.weight": m.head}
    packed, kinds = {}, {}
    for i, layer in enumerate(m.layers):
        p = f"block.{i}."
        dense |= {
            p + "attn.norm.scale": layer.attn_norm, p + "attn.sinks": layer.sinks,
            p + "attn.qkv.weight": torch.cat((layer.q, layer.k, layer.v)),
            p + "attn.qkv.bias": torch.cat((layer.q_bias, layer.k_bias, layer.v_bias)),
            p + "attn.out.weight": layer.o, p + "attn.out.bias": layer.o_bias,
            p + "mlp.norm.scale": layer.ffn_norm, p + "mlp.gate.weight": layer.router,
            p + "mlp.gate.bias": layer.router_bias, p + "mlp.mlp1_bias": layer.gate_up_bias,
            p + "mlp.mlp2_bias": layer.down_bias,
        }
        for name, x in (("mlp1_weight", layer.gate_up), ("mlp2_weight", layer.down)):
            packed[p + f"mlp.{name}.blocks"] = torch.from_numpy(x.blocks)
            packed[p + f"mlp.{name}.scales"] = torch.from_numpy(x.scales)
            kinds |= {p + f"mlp.{name}.blocks": "FP4", p + f"mlp.{name}.scales": "UE8"}
    kinds |= {name: "BF16" for name in dense}
    common.save_json(folder / "config.json", {
        "num_hidden_layers": s.layers, "num_experts": s.experts, "experts_per_token": 4, "vocab_size": s.vocab,
        "hidden_size": s.hidden, "intermediate_size": s.ffn, "swiglu_limit": 7.0, "head_dim": s.head_dim,
        "num_attention_heads": s.heads, "num_key_value_heads": s.kv_heads, "sliding_window": s.window,
        "initial_context_length": 4096, "rope_theta": 150000, "rope_scaling_factor": 32.0, "rope_ntk_alpha": 1,
        "rope_ntk_beta": 32})
    common.save_tokenizer(folder / "tokenizer.json", s.vocab)
    common.save_json(folder / "dtypes.json", dict(sorted(kinds.items())))
    common.save_safetensors(folder / "model.safetensors",
                            {n: t.to(dtype) for n, t in dense.items()} | packed)


def write_gguf(path: pathlib.Path, m: Model, dense: str) -> None:
    """Dense matrices as `dense`, vectors and the router as F32, experts as MXFP4: what llama.cpp's converter and
    the published GGUF files have."""
    s = m.shape
    file = gguf_file.File(path, "gpt-oss", s.vocab)
    g = file.writer
    g.add_context_length(131072)
    g.add_embedding_length(s.hidden)
    g.add_block_count(s.layers)
    g.add_feed_forward_length(s.ffn)
    g.add_expert_feed_forward_length(s.ffn)
    g.add_head_count(s.heads)
    g.add_head_count_kv(s.kv_heads)
    g.add_key_length(s.head_dim)
    g.add_value_length(s.head_dim)
    g.add_expert_count(s.experts)
    g.add_expert_used_count(4)
    g.add_sliding_window(s.window)
    g.add_layer_norm_rms_eps(1e-5)
    g.add_rope_freq_base(150000.0)
    g.add_string("gpt-oss.rope.scaling.type", "yarn")
    g.add_rope_scaling_factor(32.0)
    g.add_rope_scaling_orig_ctx_len(4096)

    def add(name: str, values: torch.Tensor, kind: str = "F32") -> None:
        decoded = file.add(name, gguf_file.encode(values, kind))
        assert torch.equal(decoded, values), f"{name} does not survive {kind}"

    add("token_embd.weight", m.embedding, dense)
    for i, layer in enumerate(m.layers):
        p = f"blk.{i}."
        add(p + "attn_norm.weight", layer.attn_norm)
        for name, weight, bias in (("attn_q", layer.q, layer.q_bias), ("attn_k", layer.k, layer.k_bias),
                                   ("attn_v", layer.v, layer.v_bias), ("attn_output", layer.o, layer.o_bias)):
            add(p + name + ".weight", weight, dense)
            add(p + name + ".bias", bias)
        add(p + "attn_sinks.weight", layer.sinks)
        add(p + "post_attention_norm.weight", layer.ffn_norm)
        add(p + "ffn_gate_inp.weight", layer.router)
        add(p + "ffn_gate_inp.bias", layer.router_bias)
        for name, x in (("ffn_gate_exps", layer.gate_up.rows(0, 2)), ("ffn_up_exps", layer.gate_up.rows(1, 2)),
                        ("ffn_down_exps", layer.down)):
            file.writer.add_tensor(p + name + ".weight", x.gguf_bytes(), raw_dtype=GGMLQuantizationType.MXFP4)
        add(p + "ffn_gate_exps.bias", layer.gate_up_bias[:, ::2].contiguous())
        add(p + "ffn_up_exps.bias", layer.gate_up_bias[:, 1::2].contiguous())
        add(p + "ffn_down_exps.bias", layer.down_bias)
    add("output_norm.weight", m.norm)
    add("output.weight", m.head, dense)
    file.close()


def load_transformers(folder: pathlib.Path, **overrides) -> torch.nn.Module:
    """`overrides` change the configuration: how the variants of the report are computed. The plain loop over experts
    is asked for: the default (grouped products) adds in the same order as OpenAI's code and agrees with it to
    the bit, which would prove less."""
    from transformers import GptOssConfig, GptOssForCausalLM, Mxfp4Config
    config = GptOssConfig.from_pretrained(folder, attn_implementation="eager",
                                          experts_implementation="eager", **overrides)
    # `auto`: the file's type, so that nothing is rounded before everything becomes float32.
    model = GptOssForCausalLM.from_pretrained(folder, config=config, dtype="auto",
                                              quantization_config=Mxfp4Config(dequantize=True))
    return model.eval().float()


def logits_of_transformers(folder: pathlib.Path, tokens: list[int], **overrides) -> np.ndarray:
    return common.logits_of(load_transformers(folder, **overrides), tokens)


def smallest_router_margin(folder: pathlib.Path, tokens: list[int]) -> float:
    """Over all tokens and layers: the fourth largest router logit less the fifth."""
    model, margins = load_transformers(folder), []

    def record(module, inputs, outputs):
        top = outputs[0].topk(5, dim=-1).values
        margins.append(float((top[..., 3] - top[..., 4]).min()))

    for layer in model.model.layers:
        layer.mlp.router.register_forward_hook(record)
    common.logits_of(model, tokens)
    return min(margins)


def logits_of_openai(folder: pathlib.Path, tokens: list[int], checkout: pathlib.Path) -> np.ndarray:
    """OpenAI's own model reading its own layout. Its parameters are bfloat16; here they become float32 and, where the
    file has float32, are read once more."""
    sys.path.insert(0, str(checkout))
    from gpt_oss.torch.model import Transformer
    from gpt_oss.torch.weights import Checkpoint
    model = Transformer.from_checkpoint(str(folder), device="cpu").float()
    checkpoint = Checkpoint(str(folder), torch.device("cpu"))
    with torch.inference_mode():
        for name, parameter in model.named_parameters():
            parameter.copy_(checkpoint.get(name))
        return model(torch.tensor(tokens)).numpy()
