"""A model's file that is truncated, replaced, removed or written to while it is in use.

Whatever happens to it, the command or the request it happens to ends with an error that names the file: no SIGBUS, no
answer from half a model, and nobody else notices.
"""

import http.client
import itertools
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from harness import TEXT, run, start
from serving import TOKENIZERS, WAIT_S, Serving

# Weights of some 20 MB, so that commands take a while; the two dialects hold the same numbers.
SHAPE = ("--layers", 8, "--d-model", 256, "--heads", 4, "--kv-heads", 2, "--ffn", 1024, "--ctx", 8192)
DIALECTS = ("gguf", "hf")


def half(path: Path):
    os.truncate(path, path.stat().st_size // 2)


def nothing(path: Path):
    os.truncate(path, 0)


def removed(path: Path):
    path.unlink()


def replaced(path: Path):
    other = path.with_suffix(".new")
    shutil.copyfile(path, other)
    os.replace(other, path)


def written(path: Path):
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff" * 4096)


DAMAGES = (half, nothing, removed, replaced, written)

# What goes on for long enough to be disturbed. {ids}: a file of token ids.
COMMANDS = {
    "generate": ("generate", "-m", "{model}", "--max-tokens", "8000", "--temp", "0", "Hello"),
    "chat": ("chat", "-m", "{model}", "--max-tokens", "8000", "--temp", "0", "Hello"),
    "perplexity": ("perplexity", "-m", "{model}", TEXT),
    "logits": ("logits", "-m", "{model}", "--tokens", "{ids}", "--out", "{out}"),
    "bench": ("bench", "-m", "{model}", "-p", "2048", "-n", "512", "--repeat", "20"),
}


class ServedFiles(Serving):
    @classmethod
    def setUpClass(cls):
        cls.models = Path(tempfile.mkdtemp(prefix="atelier-e2e-models-"))
        cls.addClassCleanup(shutil.rmtree, cls.models, ignore_errors=True)
        tokenizer = TOKENIZERS / "smollm2.json"
        vocabulary = 1 + max(json.loads(tokenizer.read_text(encoding="utf-8"))["model"]["vocab"].values())
        for dialect in DIALECTS:
            out = cls.models / ("model.gguf" if dialect == "gguf" else "hf")
            done = run("synth", "--arch", "llama", "--preset", "tiny", "--seed", 1, "--dialect", dialect, *SHAPE,
                       "--vocab", vocabulary, "--tokenizer", tokenizer, "--out", out, home=cls.models,
                       data_home=cls.models / "data")
            assert done.status == 0, done.err

    def model(self, dialect: str) -> tuple[Path, Path]:
        """A copy: what to give to -m, and the file with its weights."""
        model, weights = self.home / "victim.gguf", self.home / "victim.gguf"
        if dialect == "gguf":
            shutil.copyfile(self.models / "model.gguf", weights)
        else:
            model, weights = self.home / "victim", self.home / "victim" / "model.safetensors"
            shutil.rmtree(model, ignore_errors=True)
            shutil.copytree(self.models / "hf", model)
        os.utime(weights, (1e9, 1e9))  # or a write within the clock's tick could not be told from the copying
        return model, weights

    def wait_until_mapped(self, process: subprocess.Popen, path: Path):
        deadline = time.monotonic() + WAIT_S
        while path.name not in Path(f"/proc/{process.pid}/maps").read_text(encoding="utf-8"):
            self.assertIsNone(process.poll(), "ended before it mapped the model")
            self.assertLess(time.monotonic(), deadline, "the model was never mapped")
            time.sleep(0.001)

    def test_every_command(self):
        ids = self.home / "ids.json"
        ids.write_text(json.dumps([i % 200 for i in range(8000)]), encoding="utf-8")
        # While it loads, or while it computes. By default each command meets each damage once.
        cases = itertools.product(COMMANDS, DAMAGES, DIALECTS, (0.0, 0.4))
        if os.environ.get("ATELIER_TEST_FULL") != "1":
            cases = ((name, damage, DIALECTS[(i + k) % 2], (0.0, 0.4)[(i + k) // 2 % 2])
                     for i, name in enumerate(COMMANDS) for k, damage in enumerate(DAMAGES))
        tried = 0
        for name, damage, dialect, later in cases:
            model, weights = self.model(dialect)
            words = [str(word).format(model=model, ids=ids, out=self.home / "out.npy") for word in COMMANDS[name]]
            with self.subTest(dialect=dialect, command=name, damage=damage.__name__, later=later):
                process = start(*words, home=self.home, data_home=self.own_data, stdin=subprocess.DEVNULL)
                self.addCleanup(process.kill)
                self.wait_until_mapped(process, weights)
                time.sleep(later)
                damage(weights)
                _, err = process.communicate(timeout=WAIT_S)
                self.assertEqual(process.returncode, 1, err.decode())
                self.assertRegex(err.decode(), r"(?m)^atelier: [^\n]*" + weights.name + r"[^\n]*\n\Z")
                tried += 1
        print(f"figure  a model's file damaged while a command used it: {tried} runs ended with an error, none by a signal",
              flush=True)

    def test_a_server(self):
        tried = 0
        for dialect in DIALECTS:
            model, weights = self.model(dialect)
            server = self.serve("-m", "starter", "-m", model)
            name = server.get("/v1/models").json()["data"][1]["id"]
            ask = {"model": name, "prompt": "Hello", "max_tokens": 4, "temperature": 0}
            good = self.posted(server, "/v1/completions", ask).json()["choices"][0]["text"]
            for damage in DAMAGES:
                with self.subTest(dialect=dialect, damage=damage.__name__):
                    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=WAIT_S)
                    self.addCleanup(connection.close)
                    connection.request("POST", "/v1/completions", json.dumps(ask | {"max_tokens": 8000, "stream": True}),
                                       {"content-type": "application/json"})
                    response = connection.getresponse()
                    self.assertEqual(response.status, 200)
                    response.read1(64)
                    damage(weights)
                    rest = response.read().decode()
                    self.assertIn('"error"', rest[-2000:])
                    self.assertIn(weights.name, rest[-2000:])
                    # The server lives, and so do its other models.
                    self.assertEqual(server.get("/health").status, 200)
                    self.posted(server, "/v1/completions", ask | {"model": "starter"})
                    after = server.post("/v1/completions", ask)
                    if damage is replaced:  # by the same weights: loaded anew
                        self.assertEqual(after.json()["choices"][0]["text"], good)
                    elif damage is not written:  # other weights in a file that parses are a model
                        self.assertGreaterEqual(after.status, 400)
                        self.assertIn(weights.name if damage is not removed else "victim", after.text)
                    _, weights = self.model(dialect)
                    self.assertEqual(self.posted(server, "/v1/completions", ask).json()["choices"][0]["text"], good)
                    tried += 1
            self.assertIsNone(server.process.poll())
        self.assertEqual(tried, len(DIALECTS) * len(DAMAGES))
        print(f"figure  a model's file damaged while served: {tried} times, each an error of that request alone, "
              "served again once mended", flush=True)
