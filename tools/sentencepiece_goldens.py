#!/usr/bin/env python3
"""Unigram and byte-pair vocabularies in SentencePiece's own forms, with goldens for them.

    # Train on the texts of this machine: FOLDER/NAME.model (SentencePiece), .json (tokenizer.json), .gguf
    tools/sentencepiece_goldens.py train FOLDER NAME [--type unigram|bpe] [--tokens 8000] [--rules RULES.tsv]

    # The same forms of a model that somebody published (PyPI's ai21-tokenizer has one of 262,144 tokens)
    tools/sentencepiece_goldens.py convert MODEL.model FOLDER/NAME

    # A GGUF with the tokens and, from the order of the merges, the scores of a tokenizer.json such as Llama 2's
    tools/sentencepiece_goldens.py gguf TOKENIZER.json OUT.gguf

    # Compare a .gguf with the sentencepiece library on tens of thousands of generated strings
    tools/sentencepiece_goldens.py check FOLDER/NAME [--count 24000] --test build/release/bin/test_text

    # The same strings, few of them, to commit
    tools/sentencepiece_goldens.py sample FOLDER/NAME FAMILY [--count 100]

The .json form is checked with tools/tokenizer_goldens.py, against Hugging Face tokenizers.
Needs: pip install sentencepiece protobuf tokenizers gguf numpy
"""

import argparse
import base64
import itertools
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import sentencepiece
from sentencepiece import sentencepiece_model_pb2 as proto

from tokenizer_goldens import DATA, Strings, write_goldens

# Token types are the same numbers in a SentencePiece model and in GGUF.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, BYTE = 1, 2, 3, 4, 6

# A few rules of every kind that normalisation has: one for one, one for many, many for one, and removal.
RULES = {"\ufb01": "fi", "\u2460": "1", "\uff21": "A", "e\u0301": "\u00e9", "\u304b\u3099": "\u304c", "\u200b": " ",
         "\t": " ", "\n": " ", "\r": " ", "\u2026": "...", "\u337f": "\u682a\u5f0f\u4f1a\u793e", "\u00ad": "",
         "\u3000": " ", "\u00bd": "1\u20442", "\u212b": "\u00c5", "\u2122": "TM", "\u0130": "i\u0307"}


def write_gguf(path, model, tokens, scores, types, **options):
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_tokenizer_model(model)
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    for name, value in options.items():
        getattr(writer, f"add_{name}")(value)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_rules(path):
    def points(text):
        return " ".join(f"{ord(c):X}" for c in text)

    path.write_text("".join(f"{points(a)}\t{points(b)}\n" for a, b in RULES.items()))


def to_json(model):
    """The tokenizer.json that Hugging Face's converter writes for a unigram model."""
    spec = model.normalizer_spec
    added = [i for i, p in enumerate(model.pieces) if p.type in (UNKNOWN, CONTROL, USER_DEFINED)]
    charsmap = base64.b64encode(spec.precompiled_charsmap).decode()
    normalizers = [{"type": "Precompiled", "precompiled_charsmap": charsmap}] if charsmap else []
    if spec.remove_extra_whitespaces:
        normalizers += [{"type": "Strip", "strip_left": False, "strip_right": True},
                        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "▁"}]
    prefix = spec.add_dummy_prefix
    metaspace = {"type": "Metaspace", "replacement": "▁", "prepend_scheme": "always" if prefix else "never", "split": True}
    fallback = model.trainer_spec.byte_fallback
    decoders = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
    if prefix:
        decoders.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {
        "version": "1.0", "truncation": None, "padding": None,
        "added_tokens": [{"id": i, "content": model.pieces[i].piece, "single_word": False, "lstrip": False,
                          "rstrip": False, "normalized": False, "special": model.pieces[i].type != USER_DEFINED} for i in added],
        "normalizer": {"type": "Sequence", "normalizers": normalizers},
        "pre_tokenizer": metaspace,
        "post_processor": None,
        "decoder": {"type": "Sequence", "decoders": decoders} if fallback else metaspace,
        "model": {"type": "Unigram", "unk_id": model.trainer_spec.unk_id,
                  "vocab": [[p.piece, p.score] for p in model.pieces], "byte_fallback": fallback},
    }


def train(args):
    folder = Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    strings = Strings([], seed=4)
    lines = [line.strip() for text in [*strings.sources, *strings.sentences * 20] for line in text.splitlines()]
    lines += [" ".join(strings.script() for _ in range(4)) for _ in range(args.scripts)]
    texts = folder / f"{args.name}.txt"
    texts.write_text("\n".join(line for line in lines if line), "utf-8")
    options = {"normalization_rule_name": args.rules}
    if args.rules == "few":
        write_rules(folder / "rules.tsv")
        options = {"normalization_rule_tsv": str(folder / "rules.tsv")}
    prefix = folder / args.name
    sentencepiece.SentencePieceTrainer.train(
        input=str(texts), model_prefix=str(prefix), vocab_size=args.tokens, model_type=args.type,
        byte_fallback=not args.unknown, character_coverage=0.98, max_sentence_length=20000, num_threads=2, minloglevel=2,
        **options)
    write_forms(prefix)


def write_forms(prefix):
    """PREFIX.json and .gguf of PREFIX.model."""
    model = proto.ModelProto()
    model.ParseFromString(prefix.with_suffix(".model").read_bytes())
    kind = {1: "unigram", 2: "bpe"}[model.trainer_spec.model_type]
    if kind == "unigram":
        prefix.with_suffix(".json").write_text(json.dumps(to_json(model), ensure_ascii=False, separators=(",", ":")), "utf-8")
    spec = model.normalizer_spec
    charsmap = {"precompiled_charsmap": spec.precompiled_charsmap} if spec.precompiled_charsmap else {}
    write_gguf(prefix.with_suffix(".gguf"), {"unigram": "t5", "bpe": "llama"}[kind],
               [p.piece for p in model.pieces], [p.score for p in model.pieces], [p.type for p in model.pieces],
               add_space_prefix=spec.add_dummy_prefix, remove_extra_whitespaces=spec.remove_extra_whitespaces,
               unk_token_id=model.trainer_spec.unk_id, bos_token_id=model.trainer_spec.bos_id,
               eos_token_id=model.trainer_spec.eos_id, **charsmap)


def convert(args):
    prefix = Path(args.prefix)
    prefix.parent.mkdir(parents=True, exist_ok=True)
    if Path(args.model).resolve() != prefix.with_suffix(".model").resolve():
        shutil.copy(args.model, prefix.with_suffix(".model"))
    write_forms(prefix)


def to_gguf(args):
    spec = json.loads(Path(args.tokenizer).read_text("utf-8"))
    vocab = spec["model"]["vocab"]
    tokens = sorted(vocab, key=vocab.get)
    special = {t["content"] for t in spec["added_tokens"] if t["special"]}
    order = {}
    for merge in spec["model"]["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        order.setdefault(left + right, len(order))

    def kind(token):
        if token == spec["model"]["unk_token"]:
            return UNKNOWN
        return CONTROL if token in special else BYTE if token.startswith("<0x") and len(token) == 6 else NORMAL

    write_gguf(args.out, "llama", tokens, [-float(order.get(t, len(order))) for t in tokens], [kind(t) for t in tokens],
               unk_token_id=vocab[spec["model"]["unk_token"]], add_space_prefix=True)


class Reference:
    def __init__(self, prefix):
        self.processor = sentencepiece.SentencePieceProcessor(model_file=f"{prefix}.model")

    def record(self, text):
        ids = self.processor.encode(text)
        record = {"text": text, "special": ids}
        decoded = self.processor.decode(ids)
        if decoded != text:
            record["decoded"] = decoded
        return record


def records(prefix, seed, count, line):
    reference = Reference(prefix)
    strings = Strings(["@@"], seed)  # the library recognises no special tokens in text
    texts = itertools.chain(strings.take(count), strings.chunks(512) if line > 1000 else [], strings.long_lines(line))
    # A zero byte ends a string for part of the library.
    return map(reference.record, (t.replace("\0", "") for t in texts))


def check(args):
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        target = Path(f"{args.prefix}.gguf").resolve()
        write_goldens(folder / "check.goldens.jsonl", target, records(args.prefix, 1, args.count, args.line))
        environment = dict(os.environ, ATELIER_TOKENIZER_GOLDENS=str(folder))
        return subprocess.run([args.test, "--gtest_filter=TokenizerGoldens.GivenFolder"], env=environment).returncode


def sample(args):
    shutil.copy(f"{args.prefix}.gguf", DATA / f"{args.family}.gguf")
    write_goldens(DATA / f"{args.family}.goldens.jsonl", f"{args.family}.gguf", records(args.prefix, 3, args.count, 300))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("train")
    command.add_argument("folder")
    command.add_argument("name")
    command.add_argument("--type", default="unigram", choices=["unigram", "bpe"])
    command.add_argument("--tokens", type=int, default=8000)
    command.add_argument("--rules", default="nmt_nfkc", help="a rule name of the library's, or few: those in this file")
    command.add_argument("--scripts", type=int, default=3000, help="lines in scripts of all kinds")
    command.add_argument("--unknown", action="store_true", help="an unknown token instead of bytes")
    command.set_defaults(run=train)
    command = commands.add_parser("convert")
    command.add_argument("model")
    command.add_argument("prefix")
    command.set_defaults(run=convert)
    command = commands.add_parser("gguf")
    command.add_argument("tokenizer")
    command.add_argument("out")
    command.set_defaults(run=to_gguf)
    command = commands.add_parser("check")
    command.add_argument("prefix")
    command.add_argument("--count", type=int, default=24000)
    command.add_argument("--line", type=int, default=1 << 20)
    command.add_argument("--test", required=True)
    command.add_argument("--keep")
    command.set_defaults(run=check)
    command = commands.add_parser("sample")
    command.add_argument("prefix")
    command.add_argument("family")
    command.add_argument("--count", type=int, default=100)
    command.set_defaults(run=sample)
    args = parser.parse_args()
    sys.exit(args.run(args))


if __name__ == "__main__":
    main()
