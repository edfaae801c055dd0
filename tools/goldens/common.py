"""What every family of goldens shares: random weights, rounding, files, reference logits."""
import json
import pathlib
import shutil
import tempfile

import numpy as np
import torch
from safetensors.torch import save_file

TORCH_DTYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


class Weights:
    """Draws tensors in call order from one seed, so that a case is reproducible whatever else is generated."""

    def __init__(self, seed: int):
        self._rng = np.random.default_rng(seed)

    def normal(self, *shape: int, std: float = 1.0, mean: float = 0.0) -> torch.Tensor:
        return torch.from_numpy(self._rng.normal(mean, std, shape).astype(np.float32))

    def matrix(self, rows: int, cols: int, gain: float = 1.0) -> torch.Tensor:
        """[rows, cols], such that inputs of unit variance give outputs of standard deviation `gain`."""
        return self.normal(rows, cols, std=gain / cols**0.5)

    def norm(self, size: int) -> torch.Tensor:
        return self.normal(size, std=0.25, mean=1.0)

    def integers(self, low: int, high: int, *shape: int) -> np.ndarray:
        return self._rng.integers(low, high, shape)


def rounded(tensors: dict[str, torch.Tensor], dtype: str) -> dict[str, torch.Tensor]:
    """The float32 values that remain after storing as `dtype`."""
    return {name: t.to(TORCH_DTYPES[dtype]).float() for name, t in tensors.items()}


def save_safetensors(path: pathlib.Path, tensors: dict[str, torch.Tensor], dtype: str | None = None) -> None:
    """`dtype` None stores the tensors as they are."""
    stored = {n: (t if dtype is None else t.to(TORCH_DTYPES[dtype])).contiguous() for n, t in tensors.items()}
    save_file(stored, path, metadata={"format": "pt"})


def save_json(path: pathlib.Path, value) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")


MERGES = [("\u0120", "t")]


def vocabulary(size: int) -> list[str]:
    """A byte-level vocabulary of ASCII only, with one merge: engines do not open a model without one."""
    tokens = ["<|endoftext|>", "\u0120", "\u010a", "\u0120t"] + [chr(c) for c in range(33, 127)][-(size - 4):]
    return tokens + [f"<|unused_{i}|>" for i in range(size - len(tokens))]


def save_tokenizer(path: pathlib.Path, size: int) -> None:
    """tokenizer.json of the same vocabulary."""
    tokens = vocabulary(size)
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    path.write_text(json.dumps({
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": t, **flags} for i, t in enumerate(tokens) if t.startswith("<|")],
        "normalizer": None, "pre_tokenizer": byte_level, "post_processor": None, "decoder": byte_level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {t: i for i, t in enumerate(tokens)}, "merges": [list(pair) for pair in MERGES]},
    }, ensure_ascii=False) + "\n")


def random_tokens(weights: Weights, count: int, vocab: int) -> list[int]:
    return [int(t) for t in weights.integers(0, vocab, count)]


def sample_positions(n_tokens: int, count: int = 40) -> list[int]:
    """Positions whose logits are kept: the first, the last, around the edges of a 128-token window and of
    64-token chunks, and an even spread."""
    edges = [0, 1, 2, 63, 64, 65, 126, 127, 128, 129, 130, 255, 256, 257, n_tokens - 2, n_tokens - 1]
    spread = np.linspace(0, n_tokens - 1, count - len(edges)).astype(int).tolist()
    return sorted({p for p in edges + spread if 0 <= p < n_tokens})


@torch.no_grad()
def logits_of(model: torch.nn.Module, tokens: list[int]) -> np.ndarray:
    """[n_tokens, vocab] float32 of a transformers model in float32, the whole sequence in one pass, no cache."""
    assert all(p.dtype == torch.float32 for p in model.parameters())
    out = model(input_ids=torch.tensor([tokens]), use_cache=False)
    return out.logits[0].float().numpy()


def relative_difference(a: np.ndarray, b: np.ndarray) -> float:
    """max |a − b| in units of the standard deviation of `b`'s logits."""
    return float(np.abs(a.astype(np.float64) - b).max() / b.std())


def mean_kl(a: np.ndarray, b: np.ndarray) -> float:
    """Mean over positions of KL(softmax b ‖ softmax a), in nats."""
    la, lb = (torch.log_softmax(torch.from_numpy(x.astype(np.float64)), -1) for x in (a, b))
    return float((lb.exp() * (lb - la)).sum(-1).mean())


def scratch_folder() -> pathlib.Path:
    return pathlib.Path(tempfile.mkdtemp(prefix="goldens-"))


def fresh_folder(root: pathlib.Path, name: str) -> pathlib.Path:
    folder = root / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def write_golden(folder: pathlib.Path, tokens: list[int], logits: np.ndarray) -> None:
    positions = sample_positions(len(tokens))
    (folder / "tokens.json").write_text(json.dumps(tokens) + "\n")
    (folder / "positions.json").write_text(json.dumps(positions) + "\n")
    np.save(folder / "logits.npy", np.ascontiguousarray(logits[positions], dtype=np.float32))
