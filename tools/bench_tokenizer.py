#!/usr/bin/env python3
"""Encoding speed against tiktoken, one thread each, the same documents in the same run, alternating.

Times are processor time of that thread, so that other programs on the machine count as little as possible.

    tools/bench_tokenizer.py TOKENIZER.json build/release/bin/bench_tokenizer

The documents are what the machine has: Python's standard library (code), texts under /usr/share/doc and
/usr/share/common-licenses, and the translations in /usr/share/locale (many scripts). Needs: pip install tiktoken
"""

import argparse
import gettext
import gzip
import json
import random
import statistics
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

import tiktoken


def read(path):
    try:
        raw = gzip.open(path).read() if path.suffix == ".gz" else path.read_bytes()
        return raw.decode("utf-8").replace("\0", "")
    except (OSError, UnicodeDecodeError, EOFError):
        return ""


def translations(path):
    try:
        with open(path, "rb") as file:
            catalog = gettext.GNUTranslations(file)._catalog
        return "\n".join(str(v) for v in catalog.values()).replace("\0", "")
    except (OSError, UnicodeDecodeError, ValueError):
        return ""


def gather(paths, limit, read=read, seed=1):
    paths = sorted(paths)
    random.Random(seed).shuffle(paths)
    total, documents = 0, []
    for path in paths:
        text = read(path)
        if len(text) > 500:
            documents.append(text)
            total += len(text.encode())
        if total > limit:
            break
    return documents


def corpora(limit):
    doc = Path("/usr/share/doc")
    sets = {
        "code": gather(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"), limit),
        "text": gather([p for p in doc.rglob("*") if p.is_file()] + list(Path("/usr/share/common-licenses").glob("*")), limit),
        "translations": gather(Path("/usr/share/locale").rglob("*.mo"), limit, translations),
    }
    sets["mixed"] = [d for group in sets.values() for d in group]
    return {name: documents for name, documents in sets.items() if documents}


def byte_alphabet():
    own = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    rest = [b for b in range(256) if b not in own]
    return {chr(b): b for b in own} | {chr(0x100 + i): b for i, b in enumerate(rest)}


def build_tiktoken(path):
    spec = json.loads(Path(path).read_text("utf-8"))
    alphabet = byte_alphabet()
    ranks = {bytes(alphabet[c] for c in token): i for token, i in spec["model"]["vocab"].items()}
    steps = spec["pre_tokenizer"].get("pretokenizers", [spec["pre_tokenizer"]])
    (pattern,) = [s["pattern"]["Regex"] for s in steps if s["type"] == "Split"]
    return tiktoken.Encoding("peer", pat_str=pattern, mergeable_ranks=ranks, special_tokens={})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tokenizer")
    parser.add_argument("program")
    parser.add_argument("--megabytes", type=float, default=4, help="of each kind of document")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    peer = build_tiktoken(args.tokenizer)
    for name, documents in corpora(args.megabytes * 1e6).items():
        size = sum(len(d.encode()) for d in documents) / 1e6
        ours, theirs, loads = [], [], []
        with tempfile.NamedTemporaryFile("w", encoding="utf-8", newline="") as file:
            file.write("\0".join(documents))
            file.flush()
            for _ in range(args.rounds):
                start = time.thread_time()
                tokens = sum(len(peer.encode_ordinary(d)) for d in documents)
                theirs.append(size / (time.thread_time() - start))
                result = json.loads(subprocess.check_output([args.program, args.tokenizer, file.name, "1"]))
                ours.append(result["encode_mb_s"])
                loads.append(result["load_ms"])
                assert result["tokens"] == tokens, f"{name}: {result['tokens']} tokens, tiktoken {tokens}"
        ratio = statistics.median(ours) / statistics.median(theirs)
        print(f"{name:13s} {size:5.1f} MB  atelier {statistics.median(ours):6.1f} MB/s ({min(ours):.1f}–{max(ours):.1f})"
              f"  tiktoken {statistics.median(theirs):5.1f} MB/s ({min(theirs):.1f}–{max(theirs):.1f})"
              f"  ratio {ratio:.1f}  load {statistics.median(loads):.0f} ms ({min(loads):.0f}–{max(loads):.0f})")


if __name__ == "__main__":
    main()
