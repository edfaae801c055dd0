#!/usr/bin/env python3
"""Writes tests/data/models/: tiny random checkpoints and the logits the reference implementations make of them.

  pip install torch transformers safetensors gguf==0.19.0 numpy
  python3 tools/model_goldens.py [--family NAME …] [--only PREFIX] [--out DIR] [--gpt-oss DIR]

Families: llama and gpt-oss, whose cases are committed, and gpt2, qwen2, qwen3, gemma3, to be committed with their
models (the tests run every folder they find).

--gpt-oss names a checkout of github.com/openai/gpt-oss; its gpt_oss/torch/model.py is the second reference of the
gpt-oss cases, which are skipped without it. Prints one row per case: the size, σ of the logits, and how far the logits
of plausible mistakes lie from the golden, in units of σ.
"""
import argparse
import functools
import pathlib
import sys

import torch

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
from goldens import common, dense, gpt_oss_cases, llama_cases  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parent.parent / "tests" / "data" / "models"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--family", nargs="+", default=["llama", "gpt-oss"])
    parser.add_argument("--only", default="", help="names that start with this")
    parser.add_argument("--out", type=pathlib.Path, default=OUT)
    parser.add_argument("--gpt-oss", type=pathlib.Path, help="checkout of github.com/openai/gpt-oss")
    options = parser.parse_args()
    torch.set_num_threads(1)  # one summation order, so that a run can be repeated to the bit
    torch.set_grad_enabled(False)

    cases = {}
    if "llama" in options.family:
        cases |= llama_cases.CASES
    if "gpt-oss" in options.family and options.gpt_oss is not None:
        cases |= {name: functools.partial(write, checkout=options.gpt_oss)
                  for name, write in gpt_oss_cases.CASES.items()}
    cases |= {name: case for name, case in dense.CASES.items() if case.family in options.family}
    for name, write in cases.items():
        if not name.startswith(options.only):
            continue
        folder = common.fresh_folder(options.out, name)
        tokens, logits, variants = write(folder)
        common.write_golden(folder, tokens, logits)
        size = sum(f.stat().st_size for f in folder.iterdir())
        differences = "; ".join(f"{what}: {common.relative_difference(v, logits):.2g}"
                                for what, v in variants.items())
        print(f"| `{name}` | {size / 1000:.0f} kB | {logits.std():.2f} | {differences} |", flush=True)


if __name__ == "__main__":
    main()
