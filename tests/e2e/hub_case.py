"""What tests of downloads share: small models to serve, and a hub to serve them."""

import hashlib
import json
import struct
import subprocess
from pathlib import Path

import ggufs
from harness import EndToEnd
from hub import Hub

MIB = 1 << 20
CHUNK = 16 * MIB
CONNECTIONS = 4
RECORD = MIB  # how much of a chunk may be lost to a kill, per connection
SHIM_SOURCE = Path(__file__).with_name("fault_shim.c")


def noise(size: int, seed: int) -> bytes:
    """Bytes that no two files share."""
    block = b"".join(hashlib.sha256(b"%d %d" % (seed, i)).digest() for i in range(2048))
    return (block * (size // len(block) + 1))[:size]


def safetensors(size: int, seed: int = 0, tensor: str = "model.norm.weight") -> bytes:
    header = json.dumps({tensor: {"dtype": "F32", "shape": [size // 4], "data_offsets": [0, size]}}).encode()
    return struct.pack("<Q", len(header)) + header + noise(size, seed)


def gguf(size: int, seed: int = 0) -> bytes:
    """A well-formed file of one F32 tensor of `size` bytes."""
    pairs = [ggufs.text_pair("general.architecture", "llama")]
    head = ggufs.padded(ggufs.header(3, 1, pairs) + ggufs.tensor("output_norm.weight", [size // 4], ggufs.F32, 0))
    return head + noise(size, seed)


def split_gguf(part: int, parts: int) -> bytes:
    def number(key: str, kind: int, form: str, value: int) -> bytes:
        return ggufs.string(key) + struct.pack("<I" + form, kind, value)

    pairs = [ggufs.text_pair("general.architecture", "llama"), number("split.no", 2, "H", part),
             number("split.count", 2, "H", parts), number("split.tensors.count", 5, "i", parts)]
    head = ggufs.padded(ggufs.header(3, 1, pairs) + ggufs.tensor(f"blk.{part}.weight", [2048], ggufs.F32, 0))
    return head + noise(8192, part)


def folder_model(size: int = 8192, seed: int = 0, model_type: str = "llama") -> dict[str, bytes]:
    return {"config.json": json.dumps({"model_type": model_type}).encode(), "tokenizer.json": b"{}",
            "model.safetensors": safetensors(size, seed)}


def build_shim(folder: Path) -> Path:
    shim = folder / "fault_shim.so"
    subprocess.run(["cc", "-O1", "-w", "-shared", "-fPIC", "-o", shim, SHIM_SOURCE, "-ldl"], check=True)
    return shim


class HubTest(EndToEnd):
    def setUp(self):
        super().setUp()
        self.hub = Hub()
        self.addCleanup(self.hub.close)
        self.env = {"HF_ENDPOINT": self.hub.url, "HF_HOME": str(self.home / "hf"), "HF_TOKEN": "", "HF_HUB_CACHE": "",
                    "HF_TOKEN_PATH": "", "HF_HUB_OFFLINE": "", "OLLAMA_MODELS": "", "NO_PROXY": "*", "no_proxy": "*"}

    def pull(self, *arguments, env=None, **options):
        return self.atelier("pull", *arguments, starter=False, env=self.env | (env or {}), **options)

    def pulled(self, *arguments, **options):
        done = self.pull(*arguments, "--json", **options)
        self.assertEqual(done.status, 0, done.err)
        return done.json()

    def fails(self, *arguments, mentions=(), **options):
        done = self.pull(*arguments, **options)
        self.assertEqual(done.status, 1, done)
        self.assertEqual(done.out, b"")
        self.assertRegex(done.err, r"\Aatelier: [^\n]+\n\Z")
        self.assertNotIn("signature=", done.err)  # that of a signed URL
        for part in mentions:
            self.assertIn(part, done.err)
        return done

    def listing(self) -> dict:
        return self.ok("list", "--json", starter=False).json()

    def names(self) -> list[str]:
        return [model["name"] for model in self.listing()["models"]]

    def store(self) -> Path:
        return self.own_data / "atelier"

    def files(self, name: str) -> dict[str, bytes]:
        folder = self.store() / "models" / name / "files"
        return {path.name: path.read_bytes() for path in folder.iterdir()}

    def nothing_unfinished(self):
        self.assertEqual(self.listing()["unfinished"], [])
        for folder in ("staging", "downloads"):
            self.assertEqual(list((self.store() / folder).glob("*")), [])
