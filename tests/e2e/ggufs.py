"""Forges GGUF files: small wrong ones, and ones that claim to be enormous (sparse, so they occupy nothing)."""

import struct
from pathlib import Path

UINT32, STRING, ARRAY = 4, 8, 9
F32, Q4_1 = 0, 3
ALIGNMENT = 32


def string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def header(version: int, n_tensors: int, pairs: list[bytes], magic: bytes = b"GGUF") -> bytes:
    return magic + struct.pack("<IQQ", version, n_tensors, len(pairs)) + b"".join(pairs)


def text_pair(key: str, value: str) -> bytes:
    return string(key) + struct.pack("<I", STRING) + string(value)


def tensor(name: str, shape: list[int], kind: int, offset: int) -> bytes:
    """`shape` innermost first, as GGUF writes it."""
    return string(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, offset)


def padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % ALIGNMENT)


def tiny(architecture: str = "llama", version: int = 3, kind: int = F32, magic: bytes = b"GGUF") -> bytes:
    """One tensor of eight values; no model, but a well-formed file."""
    pairs = [text_pair("general.architecture", architecture)]
    return padded(header(version, 1, pairs, magic) + tensor("output_norm.weight", [8], kind, 0)) + b"\0" * 32


class Reader:
    """Just enough to take a good file's head apart again."""

    SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

    def __init__(self, data: bytes):
        self.data = data
        self.at = 0

    def number(self, form: str):
        value, = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def string(self) -> str:
        size = self.number("Q")
        self.at += size
        return self.data[self.at - size:self.at].decode()

    def skip(self, kind: int) -> None:
        if kind == STRING:
            self.string()
        elif kind == ARRAY:
            inner, count = self.number("I"), self.number("Q")
            if inner == STRING:
                for _ in range(count):
                    self.string()
            else:
                self.at += self.SIZES[inner] * count
        else:
            self.at += self.SIZES[kind]


def enormous(source: Path, target: Path, width_factor: int, layers: int) -> int:
    """A copy of a llama GGUF with `layers` layers, feed-forward `width_factor` times as wide, without weights.

    The head is consistent and the file as long as it says, but sparse. Returns the bytes it claims to hold.
    """
    with open(source, "rb") as file:
        reader = Reader(file.read(16 << 20))
    reader.at = 4
    version, n_tensors, n_pairs = reader.number("I"), reader.number("Q"), reader.number("Q")
    pairs = []
    for _ in range(n_pairs):
        begin = reader.at
        key = reader.string()
        kind = reader.number("I")
        value_at = reader.at
        reader.skip(kind)
        changed = {"llama.feed_forward_length": lambda width: width * width_factor,
                   "llama.block_count": lambda _: layers}.get(key)
        if changed:
            value, = struct.unpack_from("<I", reader.data, value_at)
            pairs.append(string(key) + struct.pack("<II", UINT32, changed(value)))
        else:
            pairs.append(reader.data[begin:reader.at])

    wanted = []  # (name, shape); every layer is like the first
    for _ in range(n_tensors):
        name = reader.string()
        shape = [reader.number("Q") for _ in range(reader.number("I"))]
        reader.at += 12  # kind, offset
        if ".ffn_gate." in name or ".ffn_up." in name:
            shape[1] *= width_factor
        elif ".ffn_down." in name:
            shape[0] *= width_factor
        if name.startswith("blk.0."):
            wanted += [(name.replace("blk.0.", f"blk.{layer}."), shape) for layer in range(layers)]
        elif not name.startswith("blk."):
            wanted.append((name, shape))

    tensors, offset = [], 0
    for name, shape in wanted:
        matrix = len(shape) > 1
        tensors.append(tensor(name, shape, Q4_1 if matrix else F32, offset))
        offset += shape[0] * shape[1] // 32 * 20 if matrix else shape[0] * 4
        offset += -offset % ALIGNMENT
    head = padded(header(version, len(tensors), pairs) + b"".join(tensors))
    with open(target, "wb") as file:
        file.write(head)
        file.truncate(len(head) + offset)
    return offset
