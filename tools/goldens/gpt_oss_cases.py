"""The committed gpt-oss cases; see llama_cases.py for what a case returns."""
import copy
import pathlib

import numpy as np
import torch

from . import common, gpt_oss
from .gpt_oss import Shape

MAIN = Shape()  # queries twice as wide as the residual stream, five experts of which four are active
WIDE_HEAD = Shape(hidden=64, heads=3, kv_heads=1, head_dim=64, ffn=96, experts=8, n_tokens=400)
NARROW = Shape(hidden=64, heads=2, kv_heads=1, head_dim=64, ffn=96, n_tokens=400)

# How far apart the two references may lie: rounding of float32 sums in another order.
AGREEMENT = 1e-5
# How near two experts' router logits may come where one is taken and the other is not.
MARGIN = 5e-5


def both_references(m: gpt_oss.Model, checkout: pathlib.Path, dtype: torch.dtype) -> tuple[np.ndarray, pathlib.Path]:
    """Logits of transformers, after checking that OpenAI's code gives the same; and a folder in the HF dialect."""
    scratch = common.scratch_folder()
    hf, original = scratch / "hf", scratch / "original"
    hf.mkdir()
    original.mkdir()
    gpt_oss.write_hf(hf, m, dtype)
    gpt_oss.write_original(original, m, dtype)
    logits = gpt_oss.logits_of_transformers(hf, m.tokens)
    difference = common.relative_difference(gpt_oss.logits_of_openai(original, m.tokens, checkout), logits)
    print(f"  transformers and OpenAI's model.py: {difference:.1e} σ apart", flush=True)
    assert difference <= AGREEMENT
    margin = gpt_oss.smallest_router_margin(hf, m.tokens)
    print(f"  the fourth and fifth expert are at least {margin:.1e} apart", flush=True)
    assert margin >= MARGIN, "choose another seed: rounding could decide which experts are active"
    return logits, hf


def variants_of(m: gpt_oss.Model, hf: pathlib.Path) -> dict:
    def changed(edit) -> np.ndarray:
        other = copy.deepcopy(m)
        edit(other)
        folder = common.scratch_folder()
        gpt_oss.write_hf(folder, other)
        return gpt_oss.logits_of_transformers(folder, m.tokens)

    def without_sinks(other):
        for layer in other.layers:
            layer.sinks -= 1000.0

    def halves_for_alternating_rows(other):
        for layer in other.layers:
            x = layer.gate_up
            layer.gate_up = gpt_oss.Mxfp4(np.concatenate((x.blocks[:, ::2], x.blocks[:, 1::2]), 1),
                                          np.concatenate((x.scales[:, ::2], x.scales[:, 1::2]), 1))

    run = gpt_oss.logits_of_transformers
    return {
        "YaRN bounds rounded": run(hf, m.tokens, rope_parameters=gpt_oss.YARN | {"truncate": True,
                                                                                 "rope_theta": 150000}),
        "no YaRN": run(hf, m.tokens, rope_parameters={"rope_type": "default", "rope_theta": 150000}),
        "window of 127": run(hf, m.tokens, sliding_window=127),
        "windows on odd layers": run(hf, m.tokens, layer_types=["full_attention", "sliding_attention"]),
        "clamp at 8": run(hf, m.tokens, swiglu_limit=8.0),
        "no sinks": changed(without_sinks),
        "gate and up as halves": changed(halves_for_alternating_rows),
    }


def case(shape: Shape, seed: int, dialect: str, dense: str = "BF16", report: bool = False):
    def write(folder: pathlib.Path, checkout: pathlib.Path):
        m = gpt_oss.random_model(shape, seed, dense)
        logits, hf = both_references(m, checkout, torch.bfloat16 if dense == "BF16" else torch.float32)
        if dialect == "hf":
            gpt_oss.write_hf(folder, m)
        elif dialect == "original":
            gpt_oss.write_original(folder, m)
        else:
            gpt_oss.write_gguf(folder / "model.gguf", m, dense)
        return m.tokens, logits, variants_of(m, hf) if report else {}
    return write


CASES = {
    # The same weights in three dialects.
    "gpt-oss-hf": case(MAIN, 201, "hf", report=True),
    "gpt-oss-original": case(MAIN, 201, "original"),
    "gpt-oss-gguf": case(MAIN, 201, "gguf"),
    "gpt-oss-wide-head-hf": case(WIDE_HEAD, 202, "hf", report=True),
    "gpt-oss-gguf-q8_0": case(NARROW, 203, "gguf", dense="Q8_0"),
}
