#!/usr/bin/env python3
"""Token ids as Hugging Face `tokenizers` gives them, for our tests to be held against.

    # Build a tokenizer.json where the publisher's files are others.
    tools/tokenizer_goldens.py from-gpt2 FOLDER_WITH_encoder.json_AND_vocab.bpe OUT.json
    tools/tokenizer_goldens.py from-gguf MODEL.gguf OUT.json
    tools/tokenizer_goldens.py from-tekken tekken_240911.json OUT.json

    # The same vocabulary as GGUF has it, with the name PRE for how text is split.
    tools/tokenizer_goldens.py to-gguf TOKENIZER.json PRE OUT.gguf

    # Compare on tens of thousands of generated strings. TARGET, what our side loads, is the tokenizer.json itself
    # unless another is named (say, the GGUF that OUT.json was made from).
    tools/tokenizer_goldens.py check TOKENIZER.json [--target TARGET] [--count 24000] --test build/release/bin/test_text

    # A small vocabulary with goldens for it, to commit under tests/data/tokenizer.
    tools/tokenizer_goldens.py trim TOKENIZER.json FAMILY

    # Goldens for one that is small as it is.
    tools/tokenizer_goldens.py sample TOKENIZER.json FAMILY

Goldens are JSON lines: a header {"tokenizer": path}, then per string "text", "special" (ids with special tokens
recognised) and, where they differ from those and from the text, "plain" (ids with control tokens as ordinary
text) and "decoded".
tools/sentencepiece_goldens.py does the same for vocabularies it trains itself.
Needs: pip install tokenizers gguf
"""

import argparse
import base64
import collections
import itertools
import json
import os
import random
import re
import string
import subprocess
import sys
import sysconfig
import tempfile
import unicodedata
from pathlib import Path

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

DATA = Path(__file__).resolve().parent.parent / "tests" / "data" / "tokenizer"

# ---------------------------------------------------------------------------------------------------------------
# Strings

# First and last code points of what is written in each of 38 scripts.
SCRIPTS = {
    "latin": [(0x41, 0x5A), (0x61, 0x7A), (0xC0, 0x24F)], "greek": [(0x370, 0x3FF), (0x1F00, 0x1FFF)],
    "cyrillic": [(0x400, 0x52F)], "armenian": [(0x531, 0x58A)], "hebrew": [(0x591, 0x5F4)],
    "arabic": [(0x600, 0x6FF), (0x750, 0x77F)], "syriac": [(0x700, 0x74F)], "thaana": [(0x780, 0x7B1)],
    "nko": [(0x7C0, 0x7FA)], "devanagari": [(0x900, 0x97F)], "bengali": [(0x980, 0x9FE)],
    "gurmukhi": [(0xA01, 0xA76)], "gujarati": [(0xA81, 0xAFF)], "oriya": [(0xB01, 0xB77)],
    "tamil": [(0xB82, 0xBFA)], "telugu": [(0xC00, 0xC7F)], "kannada": [(0xC80, 0xCF2)],
    "malayalam": [(0xD00, 0xD7F)], "sinhala": [(0xD81, 0xDF4)], "thai": [(0xE01, 0xE5B)],
    "lao": [(0xE81, 0xEDF)], "tibetan": [(0xF00, 0xFDA)], "myanmar": [(0x1000, 0x109F)],
    "georgian": [(0x10A0, 0x10FF), (0x1C90, 0x1CBF)], "hangul": [(0xAC00, 0xD7A3), (0x1100, 0x11FF)],
    "ethiopic": [(0x1200, 0x139F)], "cherokee": [(0x13A0, 0x13FD), (0xAB70, 0xABBF)],
    "canadian": [(0x1400, 0x167F)], "khmer": [(0x1780, 0x17F9)], "mongolian": [(0x1800, 0x18AA)],
    "hiragana": [(0x3041, 0x309F)], "katakana": [(0x30A0, 0x30FF), (0x31F0, 0x31FF)],
    "bopomofo": [(0x3105, 0x312F)], "han": [(0x4E00, 0x9FFF), (0x3400, 0x4DBF), (0x20000, 0x2A6DF)],
    "yi": [(0xA000, 0xA48C)], "gothic": [(0x10330, 0x1034A)], "deseret": [(0x10400, 0x1044F)],
    "adlam": [(0x1E900, 0x1E95F)],
}
SENTENCES = """
All human beings are born free and equal in dignity and rights. | Все люди рождаются свободными и равными.
Alle Menschen sind frei und gleich an Würde geboren. | Tous les êtres humains naissent libres, n'est-ce pas ?
Todos los seres humanos nacen libres. ¿No? ¡Sí! | İnsanların hepsi özgür, onur bakımından eşit doğarlar.
Όλοι οι άνθρωποι γεννιούνται ελεύθεροι. | כל בני האדם נולדו בני חורין | يولد جميع الناس أحرارًا متساوين في الكرامة
सभी मनुष्यों को गौरव और अधिकारों के मामले में | সমস্ত মানুষ স্বাধীনভাবে | மனிதப் பிறிவியினர் சகலரும் | మానవులందరును
ಎಲ್ಲಾ ಮಾನವರೂ ಸ್ವತಂತ್ರರಾಗಿ | മനുഷ്യരെല്ലാവരും തുല്യാവകാശങ്ങളോടും | มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกัน | ມະນຸດທຸກຄົນ
လူတိုင်းသည် တူညီ လွတ်လပ်သော | ყველა ადამიანი იბადება თავისუფალი | 모든 인간은 태어날 때부터 자유로우며 | 人人生而自由，在尊严和权利上一律平等。
すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。 | Tất cả mọi người sinh ra đều được tự do
មនុស្សទាំងអស់កើតមកមានសេរីភាព | སྒྲིག་འགྲེམས། འགྲོ་བ་མིའི་རིགས་ | ሰው ሁሉ ነፃና እኩል | Бүх хүн төрөхөөсөө эрх чөлөөтэй | ᠬᠦᠮᠦᠨ ᠪᠦᠷ
Բոլոր մարդիկ ծնվում են ազատ | ਸਾਰਾ ਮਨੁੱਖੀ ਪਰਿਵਾਰ | બધા મનુષ્યો જન્મથી | ᏂᎦᏓ ᎠᏂᏴᏫ | 𐐃𐐢 𐐸𐐷𐐭𐑋𐐲𐑌 𐐺𐐨𐐮𐑍𐑆
"""
SPACES = "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
NEAR_SPACES = "\u180e\u200b\u200c\u200d\u2060\ufeff\x1c\x1f\u00ad"
EMOJI = ["😀", "🤦🏽‍♂️", "👩‍👩‍👧‍👦", "🇩🇪", "🇯🇵🇫🇷", "1️⃣", "#️⃣", "❤️", "☎", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "👍🏿", "✊🏻", "🫠", "🧑‍🚀", "⚡️", "♻", "🀄", "🅰️"]
CONTRACTIONS = ["'s", "'S", "'t", "'T", "'re", "'RE", "'rE", "'ve", "'Ve", "'m", "'M", "'ll", "'LL", "'lL", "'d", "'D",
                "'ſ", "'ſt", "'", "''", "’s", "'x", "'r", "'l", "'v"]
CASES = ["a", "b", "ß", "A", "B", "É", "ǅ", "ǈ", "ʰ", "ˈ", "ª", "ー", "中", "あ", "\u0301", "\u0308", "\u093e", "é", "ſ",
         "Ⅷ", "ⅷ", "Ａ", "ａ", "𝐀", "𝐚", "א", "ก", "\u0e34"]
NUMBERS = ["0", "1", "7", "12", "2024", "٣", "४", "๙", "½", "²", "₇", "Ⅻ", "㊿", "〇", "一", "𝟗", "1.5", "1,000", "0x1F",
           "\U00011de3", "\U00016ff4", "\U00010d43"]


def points(ranges):
    """The assigned code points of a script, without surrogates."""
    every = itertools.chain.from_iterable(range(a, b + 1) for a, b in ranges)
    return [chr(c) for c in every if unicodedata.category(chr(c)) not in ("Cn", "Cs")]


def pick(rng, items, most):
    return "".join(rng.choice(items) for _ in range(rng.randint(1, most)))


class Strings:
    """Endless strings of every kind that has broken a tokenizer, the same ones for the same seed."""

    def __init__(self, added_tokens, seed=1):
        self.rng = random.Random(seed)
        self.added = added_tokens or ["<|endoftext|>"]
        self.scripts = {name: points(ranges) for name, ranges in SCRIPTS.items()}
        self.sentences = [part.strip() for part in re.split(r"[|\n]", SENTENCES) if part.strip()]
        self.kinds = [self.code, self.code, self.script, self.script, self.mixed_scripts, self.sentence, self.emoji,
                      self.spaces, self.controls, self.any_points, self.specials, self.contractions, self.cases,
                      self.numbers, self.punctuation, self.bytes_read_as_text, self.ascii]
        files = sorted(Path(sysconfig.get_paths()["stdlib"]).glob("*.py"))
        self.sources = [p.read_text("utf-8", "replace") for p in self.rng.sample(files, min(len(files), 80))]

    def take(self, count):
        for i in range(count):
            yield self.kinds[i % len(self.kinds)]()

    def code(self):
        source = self.rng.choice(self.sources)
        start = self.rng.randrange(len(source))
        text = source[start : start + self.rng.randint(1, 400)]
        return text.replace("    ", "\t") if self.rng.random() < 0.2 else text

    def script(self):
        chars = self.rng.choice(list(self.scripts.values()))
        return self.rng.choice(["", " "]).join(pick(self.rng, chars, 8) for _ in range(self.rng.randint(1, 8)))

    def mixed_scripts(self):
        return "".join(self.script() + self.rng.choice([" ", "", ". ", "\n", "1"]) for _ in range(4))

    def sentence(self):
        parts = [self.rng.choice(self.sentences) for _ in range(self.rng.randint(1, 3))]
        text = self.rng.choice([" ", "\n", "\n\n", "  "]).join(parts)
        form = self.rng.choice(["NFC", "NFD", "NFKC", None])
        return unicodedata.normalize(form, text) if form else text.upper()

    def emoji(self):
        return "".join(self.rng.choice(EMOJI) + self.rng.choice(["", " ", "x", "\n", "!"]) for _ in range(self.rng.randint(1, 8)))

    def spaces(self):
        pools = [" ", " \n", " \t\n", "\r\n", SPACES, SPACES + NEAR_SPACES, "\n"]
        words = ["a", "word", "Z", "1", "42", "!", "é", "中", "/", "", "//", "'s", "\u0301"]
        return "".join(pick(self.rng, self.rng.choice(pools), 6) + self.rng.choice(words) for _ in range(self.rng.randint(1, 8)))

    def controls(self):
        pool = [chr(c) for c in [*range(0x20), *range(0x7F, 0xA0)]] + list(NEAR_SPACES) + list("aB1 !\u202e\u2066\ufff9\ue000")
        return pick(self.rng, pool, 20)

    def any_points(self):
        def one():
            top = self.rng.choice([0x80, 0x800, 0x3000, 0x10000, 0x20000, 0x110000])
            c = self.rng.randrange(top)
            return chr(c) if not 0xD800 <= c < 0xE000 else " "
        return "".join(one() for _ in range(self.rng.randint(1, 24)))

    def specials(self):
        def one():
            token = self.rng.choice(self.added)
            if self.rng.random() < 0.3:
                token = token[: self.rng.randint(1, len(token))] if self.rng.random() < 0.5 else token[1:]
            return token + self.rng.choice(["", " ", "\n", "user", "x", "  ", "<", "|", "\u3000"])
        return "".join(one() for _ in range(self.rng.randint(1, 6)))

    def contractions(self):
        words = ["I", "you", "WE", "it", "Don", "l", "中", "É", "", " ", "1", "\u0301", "ǅ", "a\u0301", "!"]
        return "".join(self.rng.choice(words) + self.rng.choice(CONTRACTIONS) + self.rng.choice(["", " ", "x"]) for _ in range(self.rng.randint(1, 6)))

    def cases(self):
        return "".join(pick(self.rng, CASES, 7) + self.rng.choice(["", "", " ", "_", "'s", "-", "\u0301"]) for _ in range(self.rng.randint(1, 5)))

    def numbers(self):
        return "".join(pick(self.rng, NUMBERS, 5) + self.rng.choice(["", " ", "  ", "a", "%", "\n"]) for _ in range(self.rng.randint(1, 6)))

    def punctuation(self):
        pool = string.punctuation + "…—–«»“”„¿¡、。「」（）×÷±€£¥°©®™→∑∞§¶†‡•\u0301"
        ends = ["", " ", "\n", "\r\n", "/", "\n/", "\r/\n", "a", " b", "ABC", "1"]
        return "".join(pick(self.rng, pool, 5) + self.rng.choice(ends) for _ in range(self.rng.randint(1, 6)))

    def bytes_read_as_text(self):
        """Not UTF-8 at all, as a reader that replaces what it cannot decode, or one that takes Latin-1, sees it."""
        raw = bytes(self.rng.randrange(256) for _ in range(self.rng.randint(1, 24)))
        return raw.decode(*self.rng.choice([("utf-8", "replace"), ("latin-1",), ("utf-16-le", "replace")]))

    def ascii(self):
        return pick(self.rng, string.printable, 40)

    def long_lines(self, size):
        """Single lines of `size` characters, each the worst case of some careless algorithm."""
        repeated = ["a", " ", "\n", "ab", "1", "!", "中", "é", "A", "\u0301", "aA", " a", "'", "😀", "\r\n", " \n", "x\u0301", "/"]
        yield from (unit * (size // len(unit)) for unit in repeated)
        yield " " * size + "x"
        yield " " * (size // 2) + "\n" + " " * (size // 2) + "x"
        yield "A" * size + " "
        yield "\u0301" + "A" * size + "!"
        yield "".join(self.rng.choices(string.ascii_lowercase, k=size))
        yield "".join(self.rng.choices(string.ascii_letters + " ", k=size))
        yield "".join(self.rng.choices(string.printable, k=size))
        yield "".join(self.rng.choices(self.scripts["han"], k=size))
        yield (self.added[0] + "x") * (size // (len(self.added[0]) + 1))
        yield " ".join(self.sources)[:size].replace("\n", " ")

    def chunks(self, size):
        """Every code point once, in order, in texts of `size`."""
        every = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
        for start in range(0, len(every), size):
            yield "".join(every[start : start + size])
        for start in range(0, 0x20000, size):  # each between letters, where runs end
            yield "a".join(every[start : start + size])


# ---------------------------------------------------------------------------------------------------------------
# The reference


def is_markup(token):
    """What our Specials::kAsText leaves alone; see src/text/added_tokens.h."""
    text = token["content"]
    punctuated = len(text.encode()) >= 3 and text[0] in string.punctuation and text[-1] in string.punctuation
    return token["special"] or punctuated


def hide_controls(spec):
    """Gives a unigram model's control tokens texts that nobody writes: in ours no ordinary text becomes one."""
    if spec["model"]["type"] != "Unigram":
        return
    control = {t["content"] for t in spec["added_tokens"] if t["special"]}
    vocab = spec["model"]["vocab"]
    spec["model"]["vocab"] = [[f"\U0010ffff{i}" if t in control else t, score] for i, (t, score) in enumerate(vocab)]


class Reference:
    def __init__(self, path):
        spec = json.loads(Path(path).read_text("utf-8"))
        self.added = [t["content"] for t in spec["added_tokens"]]
        self.recognising = Tokenizer.from_str(json.dumps(spec))
        for token in spec["added_tokens"]:
            assert self.recognising.token_to_id(token["content"]) == token["id"], token
        hide_controls(spec)
        spec["added_tokens"] = [t for t in spec["added_tokens"] if not is_markup(t)]
        spec["post_processor"] = None
        self.plain = Tokenizer.from_str(json.dumps(spec))

    def record(self, text):
        special = self.recognising.encode(text, add_special_tokens=False).ids
        plain = self.plain.encode(text, add_special_tokens=False).ids
        record = {"text": text, "special": special}
        if plain != special:
            record["plain"] = plain
        decoded = self.recognising.decode(special, skip_special_tokens=False)
        if decoded != text:
            record["decoded"] = decoded
        return record


def write_goldens(path, target, records):
    with open(path, "w", encoding="utf-8") as out:
        for record in itertools.chain([{"tokenizer": str(target)}], records):
            out.write(json.dumps(record, ensure_ascii=False, separators=(",", ":")) + "\n")


def check(args):
    reference = Reference(args.tokenizer)
    strings = Strings(reference.added, args.seed)
    texts = itertools.chain(strings.take(args.count), strings.chunks(512), strings.long_lines(args.line))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.keep or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "check.goldens.jsonl"
        write_goldens(path, Path(args.target or args.tokenizer).resolve(), map(reference.record, texts))
        environment = dict(os.environ, ATELIER_TOKENIZER_GOLDENS=str(folder))
        return subprocess.run([args.test, "--gtest_filter=TokenizerGoldens.GivenFolder"], env=environment).returncode


# ---------------------------------------------------------------------------------------------------------------
# Tokenizer files


def byte_level(vocab, merges, special, steps):
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(steps) if len(steps) > 1 else steps[0]
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in special])
    return tokenizer


def from_gpt2(args):
    folder = Path(args.source)
    vocab = json.loads((folder / "encoder.json").read_text("utf-8"))
    lines = (folder / "vocab.bpe").read_text("utf-8").split("\n")[1:]
    merges = [tuple(line.split(" ")) for line in lines if line]
    steps = [pre_tokenizers.ByteLevel(add_prefix_space=False)]
    byte_level(vocab, merges, ["<|endoftext|>"], steps).save(args.out)


def from_gguf(args):
    import gguf

    fields = gguf.GGUFReader(args.source).fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    types = fields["tokenizer.ggml.token_type"].contents()
    merges = [tuple(m.split(" ")) for m in fields["tokenizer.ggml.merges"].contents()]
    pre = fields["tokenizer.ggml.pre"].contents()
    steps = {"smollm": [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)],
             "gpt-2": [pre_tokenizers.ByteLevel(add_prefix_space=False)]}[pre]
    control = [t for t, kind in zip(tokens, types) if kind == 3]
    byte_level({t: i for i, t in enumerate(tokens)}, merges, control, steps).save(args.out)


def from_tekken(args):
    """Mistral's file of ranks (PyPI mistral-common): every way to make a token of two lower ones is a merge."""
    spec = json.loads(Path(args.source).read_text("utf-8"))
    config = spec["config"]
    n_special = config["default_num_special_tokens"]
    ranked = [base64.b64decode(t["token_bytes"]) for t in spec["vocab"][: config["default_vocab_size"] - n_special]]
    rank_of = {token: rank for rank, token in enumerate(ranked)}
    letters = {b: chr(c) for b, c in zip(*byte_alphabet())}

    def spelled(token):
        return "".join(letters[b] for b in token)

    merges = []
    for token in ranked:
        cuts = [(token[:i], token[i:]) for i in range(1, len(token))]
        cuts = [(rank_of[a], rank_of[b], a, b) for a, b in cuts if a in rank_of and b in rank_of]
        merges += [(spelled(a), spelled(b)) for _, _, a, b in sorted(cuts)]
    vocab = {spelled(token): rank + n_special for rank, token in enumerate(ranked)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, ignore_merges=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(config["pattern"]), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    out = json.loads(tokenizer.to_str())
    names = ["<unk>", "<s>", "</s>", "[INST]", "[/INST]", "[AVAILABLE_TOOLS]", "[/AVAILABLE_TOOLS]", "[TOOL_RESULTS]",
             "[/TOOL_RESULTS]", "[TOOL_CALLS]"]
    names += [f"<SPECIAL_{i}>" for i in range(len(names), n_special)]
    out["added_tokens"] = [{"id": i, "content": name, "single_word": False, "lstrip": False, "rstrip": False,
                            "normalized": False, "special": True} for i, name in enumerate(names)]
    out["model"]["vocab"] |= {name: i for i, name in enumerate(names)}
    Path(args.out).write_text(json.dumps(out, ensure_ascii=False), "utf-8")


def byte_alphabet():
    """Bytes, and the characters that byte-level vocabularies write for them."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in plain]
    return plain + others, plain + [256 + i for i in range(len(others))]


def to_gguf(args):
    import gguf

    spec = json.loads(Path(args.source).read_text("utf-8"))
    text_of = {i: t for t, i in spec["model"]["vocab"].items()}
    added = {t["id"]: t for t in spec["added_tokens"]}
    text_of |= {i: t["content"] for i, t in added.items()}
    size = max(text_of) + 1
    kind = {i: 3 if t["special"] else 4 for i, t in added.items()}  # control, user-defined
    writer = gguf.GGUFWriter(args.out, "llama")
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(args.pre)
    writer.add_token_list([text_of.get(i, f"[PAD{i}]") for i in range(size)])
    writer.add_token_types([kind.get(i, 1 if i in text_of else 5) for i in range(size)])
    writer.add_token_merges([m if isinstance(m, str) else " ".join(m) for m in spec["model"]["merges"]])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def trim(args):
    """Keeps the tokens that generated strings use most, with everything they are merged from."""
    spec = json.loads(Path(args.tokenizer).read_text("utf-8"))
    reference = Reference(args.tokenizer)
    model = spec["model"]
    vocab = model["vocab"]
    text_of = {i: t for t, i in vocab.items()}
    merges = [tuple(m.split(" ")) if isinstance(m, str) else tuple(m) for m in model["merges"]]
    parts = {}
    for a, b in merges:
        parts.setdefault(a + b, (a, b))

    byte_tokens = {f"<0x{b:02X}>" for b in range(256)} if model.get("byte_fallback") else set()
    alphabet = set(string.printable) if byte_tokens else pre_tokenizers.ByteLevel.alphabet()
    keep = {t for t in {*alphabet, *byte_tokens, model.get("unk_token")} if t in vocab}
    strings = Strings(reference.added, seed=2)
    uses = collections.Counter()
    for text in strings.take(6000):
        uses.update(set(reference.plain.encode(text, add_special_tokens=False).ids))

    def closure(token):
        if token in keep or token not in vocab:
            return
        keep.add(token)
        for part in parts.get(token, ()):
            closure(part)

    for i, _ in uses.most_common():
        if len(keep) >= args.tokens:
            break
        closure(text_of[i])
    kept_merges = [list(m) for m in merges if m[0] in keep and m[1] in keep and m[0] + m[1] in keep]
    wanted = [t for t in spec["added_tokens"] if "unused" not in t["content"]]
    added = [t for t in wanted if t["content"] not in vocab][: args.added]
    inside = [t for t in wanted if t["content"] in vocab][: args.added]
    keep |= {t["content"] for t in inside}
    ordered = sorted(keep, key=vocab.get)
    model["vocab"] = {t: i for i, t in enumerate(ordered)}
    model["merges"] = [" ".join(m) for m in kept_merges] if args.merge_strings else kept_merges
    for token in inside:
        token["id"] = model["vocab"][token["content"]]
    for i, token in enumerate(added):
        token["id"] = len(ordered) + i
    spec["added_tokens"] = inside + added
    post = spec["post_processor"]
    for processor in post.get("processors", [post]) if post else []:
        for token in processor.get("special_tokens", {}).values():
            token["ids"] = [next(t["id"] for t in spec["added_tokens"] if t["content"] == token["id"])]
    if args.split:
        spec["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = args.split

    write_sample(spec, args.family, args.count)


def write_sample(spec, family, count):
    """A tokenizer.json and goldens for it, to commit."""
    DATA.mkdir(parents=True, exist_ok=True)
    path = DATA / f"{family}.json"
    path.write_text(json.dumps(spec, ensure_ascii=False, separators=(",", ":")), "utf-8")
    reference = Reference(path)
    strings = Strings(reference.added, seed=3)
    texts = itertools.chain(strings.take(count), ["", " ", "\n"], strings.long_lines(300))
    write_goldens(DATA / f"{family}.goldens.jsonl", path.name, map(reference.record, texts))


def sample(args):
    write_sample(json.loads(Path(args.tokenizer).read_text("utf-8")), args.family, args.count)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(required=True)
    for name, run in [("from-gpt2", from_gpt2), ("from-gguf", from_gguf), ("from-tekken", from_tekken)]:
        command = commands.add_parser(name)
        command.add_argument("source")
        command.add_argument("out")
        command.set_defaults(run=run)
    command = commands.add_parser("to-gguf")
    command.add_argument("source")
    command.add_argument("pre")
    command.add_argument("out")
    command.set_defaults(run=to_gguf)
    command = commands.add_parser("check")
    command.add_argument("tokenizer")
    command.add_argument("--target")
    command.add_argument("--count", type=int, default=24000)
    command.add_argument("--line", type=int, default=1 << 20)
    command.add_argument("--seed", type=int, default=1)
    command.add_argument("--test", required=True)
    command.add_argument("--keep", help="a folder for the goldens, to be compared again without this script")
    command.set_defaults(run=check)
    command = commands.add_parser("trim")
    command.add_argument("tokenizer")
    command.add_argument("family")
    command.add_argument("--tokens", type=int, default=4000)
    command.add_argument("--added", type=int, default=24)
    command.add_argument("--count", type=int, default=340)
    command.add_argument("--split", help="another expression in place of the first Split's")
    command.add_argument("--merge-strings", action="store_true", help="write merges as strings, the older way")
    command.set_defaults(run=trim)
    command = commands.add_parser("sample")
    command.add_argument("tokenizer")
    command.add_argument("family")
    command.add_argument("--count", type=int, default=120)
    command.set_defaults(run=sample)
    args = parser.parse_args()
    sys.exit(args.run(args))


if __name__ == "__main__":
    main()
