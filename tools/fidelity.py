#!/usr/bin/env python3
"""Measures how exactly atelier computes: against its own reference path, transformers, and llama.cpp.

  tools/fidelity.py goldens                              every case of tests/data/models, reference and fast path
  tools/fidelity.py fast MODEL --text FILE [--count N]   the fast path against --reference on a text
  tools/fidelity.py transformers FOLDER --text FILE      both paths against transformers in float32 (needs torch too)
  tools/fidelity.py perplexity MODEL --text FILE --peers DIR [--llama-perplexity PROGRAM]
  tools/fidelity.py greedy MODEL --peers DIR             64 greedy tokens of five prompts against llama.cpp's
  tools/fidelity.py self-test                            the comparison itself must notice wrong logits

Needs numpy. DIR lies outside the repository and holds node_modules/node-llama-cpp; see docs/benchmarks.md. Each
command ends with 1 when a bound of that page is exceeded.
"""
import argparse
import json
import pathlib
import re
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "bench" / "compare"))
import peers  # noqa: E402

REFERENCE_BOUND = 1e-4  # largest |Δlogit| / σ of the reference path
FAST_KL_8_BIT = 3e-3    # mean KL of the fast path, weights of at most 8 bits
FAST_KL_16_BIT = 1e-4   # … and of BF16, F16 or F32 weights
TOP_1_BOUND = 0.97
PERPLEXITY_BOUND = 3e-3  # relative difference to llama.cpp
GAP_BOUND = 0.05         # greedy tokens may part where the best two logits are this close

PROMPTS = [
    "The capital of France is",
    "Once upon a time, in a small village by the sea,",
    "def fibonacci(n):\n    ",
    "The three laws of thermodynamics state that",
    "Dear Sir or Madam,\n\nI am writing to",
]


class Measured:
    """Comparison of logits [n, vocab] with a truth of the same shape."""

    def __init__(self, logits: np.ndarray, truth: np.ndarray):
        if logits.shape != truth.shape or not np.isfinite(logits).all() or not np.isfinite(truth).all():
            raise SystemExit(f"expected finite logits of shape {truth.shape}, found {logits.shape}")
        rows = [self._row(a.astype(np.float64), b.astype(np.float64)) for a, b in zip(logits, truth)]
        largest, kl, same_best = (np.array(column) for column in zip(*rows))
        self.max_over_sigma = float(largest.max() / truth.std(dtype=np.float64))
        self.kl = kl
        self.top_1 = float(same_best.mean())

    @staticmethod
    def _row(a: np.ndarray, b: np.ndarray) -> tuple[float, float, bool]:
        la, lb = log_softmax(a), log_softmax(b)
        return float(np.abs(a - b).max()), float((np.exp(lb) * (lb - la)).sum()), a.argmax() == b.argmax()

    def __str__(self) -> str:
        return f"max |Δ|/σ {self.max_over_sigma:.2g}, mean KL {self.kl.mean():.2g}, top-1 {self.top_1:.1%}"

    def by_position(self, width: int) -> str:
        parts = [f"{i}–{min(i + width, len(self.kl)) - 1}: {self.kl[i:i + width].mean():.2g}"
                 for i in range(0, len(self.kl), width)]
        return "mean KL by position: " + ", ".join(parts)


def log_softmax(x: np.ndarray) -> np.ndarray:
    x = x - x.max(-1, keepdims=True)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


class Atelier:
    def __init__(self, binary: pathlib.Path, threads: int | None):
        self.binary = binary
        self.threads = [] if threads is None else ["--threads", str(threads)]

    def run(self, *arguments, stdin: bytes | None = None) -> bytes:
        done = subprocess.run([str(self.binary), *map(str, arguments)], input=stdin, capture_output=True)
        if done.returncode != 0:
            raise SystemExit(done.stderr.decode(errors="replace").strip())
        return done.stdout

    def logits(self, model: pathlib.Path, tokens: list[int], *flags) -> np.ndarray:
        with tempfile.TemporaryDirectory() as folder:
            ids, out = pathlib.Path(folder, "tokens.json"), pathlib.Path(folder, "logits.npy")
            ids.write_text(json.dumps(tokens))
            self.run("logits", "-m", model, "--tokens", ids, "--out", out, *self.threads, *flags)
            return np.load(out)

    def tokenize(self, model: pathlib.Path, text: str) -> list[int]:
        return json.loads(self.run("tokenize", "-m", model, stdin=text.encode()))


def model_file(folder: pathlib.Path) -> pathlib.Path:
    return next(iter(sorted(folder.glob("*.gguf"))), folder)


def is_quantised(folder: pathlib.Path) -> bool:
    return "gpt-oss" in folder.name or any(mark in folder.name for mark in ("q8_0", "q4_1", "mixed", "k-quants"))


def check_goldens(atelier: Atelier, options) -> bool:
    good = True
    for folder in sorted((ROOT / "tests/data/models").iterdir()):
        if not (folder / "logits.npy").is_file():
            continue
        tokens, positions = (json.loads((folder / f).read_text()) for f in ("tokens.json", "positions.json"))
        truth = np.load(folder / "logits.npy")
        reference, fast = (Measured(atelier.logits(model_file(folder), tokens, *flags)[positions], truth)
                           for flags in (("--reference",), ()))
        bound = FAST_KL_8_BIT if is_quantised(folder) else FAST_KL_16_BIT
        fine = reference.max_over_sigma <= REFERENCE_BOUND and fast.kl.mean() <= bound
        good &= fine
        print(f"{'ok  ' if fine else 'FAIL'} {folder.name}: reference max |Δ|/σ {reference.max_over_sigma:.1e}; "
              f"fast {fast}", flush=True)
    return good


def text_tokens(atelier: Atelier, options) -> list[int]:
    tokens = atelier.tokenize(options.model, options.text.read_text())
    return tokens[:options.count]


def check_fast(atelier: Atelier, options) -> bool:
    tokens = text_tokens(atelier, options)
    measured = Measured(atelier.logits(options.model, tokens),
                        atelier.logits(options.model, tokens, "--reference"))
    print(f"fast against reference, {len(tokens)} tokens: {measured}\n{measured.by_position(100)}")
    return measured.kl.mean() <= FAST_KL_8_BIT and measured.top_1 >= TOP_1_BOUND


def check_transformers(atelier: Atelier, options) -> bool:
    import torch
    from transformers import AutoModelForCausalLM
    tokens = text_tokens(atelier, options)
    model = AutoModelForCausalLM.from_pretrained(options.model, dtype="auto", attn_implementation="eager")
    model = model.eval().float()
    with torch.inference_mode():
        truth = model(input_ids=torch.tensor([tokens]), use_cache=False).logits[0].float().numpy()
    reference = Measured(atelier.logits(options.model, tokens, "--reference"), truth)
    fast = Measured(atelier.logits(options.model, tokens), truth)
    print(f"reference against transformers, {len(tokens)} tokens: {reference}\n"
          f"fast against transformers: {fast}\n{fast.by_position(100)}")
    return reference.max_over_sigma <= REFERENCE_BOUND and fast.kl.mean() <= FAST_KL_8_BIT


def llama_cpp(options, command: str, *arguments) -> dict:
    done = peers.Runner().run(["node", peers.DRIVER, command, "--modules", options.peers / "node_modules", "--model",
                               options.model, "--threads", options.threads or 2, *arguments])
    return json.loads(done.stdout)


def with_jobs(options, command: str, jobs, *arguments) -> list:
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "jobs.json")
        file.write_text(json.dumps(jobs))
        return llama_cpp(options, command, "--jobs", file, *arguments)["results"]


def perplexity_windows(tokens: list[int], bos: int | None, window: int) -> list[dict]:
    """As llama-perplexity cuts a text: whole windows, the first token of each replaced by BOS where the model has
    one; the second half of each is scored."""
    windows = [tokens[i:i + window] for i in range(0, len(tokens) - window + 1, window)]
    if bos is not None:
        windows = [[bos, *w[1:]] for w in windows]
    return [{"tokens": w, "first": window // 2 + 1} for w in windows]


def check_perplexity(atelier: Atelier, options) -> bool:
    ours = json.loads(atelier.run("perplexity", "-m", options.model, "--ctx", options.ctx, "--json", *atelier.threads,
                                  options.text))
    print(f"atelier                     {ours['perplexity']:.4f} over {ours['tokens']} tokens")
    split = llama_cpp(options, "tokenize", "--text", options.text)
    tokens = ([] if split["bos"] is None else [split["bos"]]) + split["tokens"]
    own_ids = atelier.tokenize(options.model, options.text.read_text())
    print(f"token ids equal llama.cpp's: {own_ids == split['tokens']} ({len(own_ids)} and {len(split['tokens'])})")
    losses = with_jobs(options, "nll", perplexity_windows(tokens, split["bos"], options.ctx))
    theirs = [float(np.exp(np.concatenate(losses).mean()))]
    print(f"llama.cpp (prebuilt)        {theirs[0]:.4f} over {sum(map(len, losses))} tokens")
    if options.llama_perplexity:
        done = subprocess.run([options.llama_perplexity, "-m", options.model, "-f", options.text, "-c",
                               str(options.ctx), "-t", str(options.threads or 2)], capture_output=True, text=True,
                              check=True)
        theirs.append(float(re.search(r"PPL = ([0-9.]+)", done.stdout + done.stderr).group(1)))
        print(f"llama.cpp (llama-perplexity) {theirs[1]:.4f}")
    differences = [ours["perplexity"] / other - 1 for other in theirs]
    print("difference " + ", ".join(f"{d:+.3%}" for d in differences))
    return own_ids == split["tokens"] and all(abs(d) <= PERPLEXITY_BOUND for d in differences)


def check_greedy(atelier: Atelier, options) -> bool:
    """Feeds llama.cpp's own continuation to atelier, one token at a time (the decode path): up to the first position
    where our best token is another one, that is our greedy continuation too."""
    prompts = [atelier.tokenize(options.model, text) for text in PROMPTS]
    results = with_jobs(options, "greedy", prompts, "--count", options.count)
    good = True
    for text, prompt, theirs in zip(PROMPTS, prompts, results):
        logits = atelier.logits(options.model, prompt + theirs["tokens"][:-1], "--chunk", 1)[len(prompt) - 1:]
        differing = np.flatnonzero(logits.argmax(-1) != np.array(theirs["tokens"]))
        if differing.size == 0:
            print(f"equal      {len(theirs['tokens'])} tokens: {text!r}")
            continue
        at = int(differing[0])
        gap, their_gap = gap_of_best(logits[at]), theirs["top"][at][0][1] - theirs["top"][at][1][1]
        exact = atelier.logits(options.model, prompt + theirs["tokens"][:at], "--reference")[-1]
        sides = {int(logits[at].argmax()): "ours", theirs["tokens"][at]: "llama.cpp's"}
        judge = sides.get(int(exact.argmax()), "neither")
        fine = min(gap, their_gap, gap_of_best(exact)) <= GAP_BOUND
        good &= fine
        print(f"{'close call' if fine else 'DIFFERENT '} at token {at}: {text!r}; the best two logits are "
              f"{gap:.3f} apart here, {their_gap:.3f} in llama.cpp, {gap_of_best(exact):.3f} in the reference, which takes {judge}")
    return good


def gap_of_best(logits: np.ndarray) -> float:
    best = np.sort(logits)[::-1]
    return float(best[0] - best[1])


def self_test(atelier: Atelier, options) -> bool:
    """Logits that are off by one position, in one element, or by a permutation must be noticed; equal ones pass."""
    truth = np.random.default_rng(1).normal(0, 2, (50, 96)).astype(np.float32)
    spoiled = truth.copy()
    spoiled[31, 7] += 0.01
    wrong = {"another position": np.roll(truth, 1, 0), "one element": spoiled, "another id": np.roll(truth, 1, 1)}
    good = Measured(truth, truth).max_over_sigma == 0 and Measured(truth, truth).top_1 == 1
    good &= all(Measured(x, truth).max_over_sigma > REFERENCE_BOUND for x in wrong.values())
    good &= Measured(wrong["another position"], truth).kl.mean() > FAST_KL_8_BIT
    windows = perplexity_windows(list(range(100, 125)), 1, 8)
    good &= [w["tokens"][:2] for w in windows] == [[1, 101], [1, 109], [1, 117]] and windows[0]["first"] == 5
    for bad in (np.full_like(truth, np.nan), truth[1:]):
        try:
            Measured(bad, truth)
            good = False
        except SystemExit:
            pass
    print("self-test passed" if good else "self-test FAILED")
    return good


def main() -> None:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--atelier", type=pathlib.Path, default=ROOT / "build/release/bin/atelier")
    p.add_argument("--threads", type=int)
    commands = p.add_subparsers(required=True)

    def command(name: str, check, *, model: bool = True, text: bool = False, peer: bool = False, count: int = 0):
        c = commands.add_parser(name)
        c.set_defaults(check=check)
        if model:
            c.add_argument("model", type=pathlib.Path)
        if text:
            c.add_argument("--text", type=pathlib.Path, default=ROOT / "tests/data/text/northanger-abbey.txt")
        if peer:
            c.add_argument("--peers", type=pathlib.Path, required=True)
        if count:
            c.add_argument("--count", type=int, default=count)
        return c

    command("goldens", check_goldens, model=False)
    command("fast", check_fast, text=True, count=600)
    command("transformers", check_transformers, text=True, count=400)
    perplexity = command("perplexity", check_perplexity, text=True, peer=True)
    perplexity.add_argument("--ctx", type=int, default=512)
    perplexity.add_argument("--llama-perplexity", type=pathlib.Path)
    command("greedy", check_greedy, peer=True, count=64)
    command("self-test", self_test, model=False)
    options = p.parse_args()
    sys.exit(0 if options.check(Atelier(options.atelier, options.threads), options) else 1)


if __name__ == "__main__":
    main()
