"""Packed weights on disk: made by `pack` or beside the first run, used by the next, never in the way."""

import time

from harness import start
from serving import WAIT_S, Serving

PROMPT = {"prompt": "Once", "max_tokens": 12, "temperature": 0}


class Packed(Serving):
    def setUp(self) -> None:
        super().setUp()
        # Just above the size from which packed weights are kept.
        self.model = self.home / "model.gguf"
        self.ok("synth", "--arch", "llama", "--preset", "tiny", "--seed", "3", "--dialect", "gguf", "--format", "q4_1",
                "--d-model", "1024", "--heads", "16", "--kv-heads", "16", "--head-dim", "64", "--ffn", "4096", "--layers", "27",
                "--out", self.model)
        self.folder = self.home / ".cache" / "atelier" / "packed"

    def files(self) -> list:
        return sorted(self.folder.glob("*")) if self.folder.exists() else []

    def packed(self) -> dict:
        return self.ok("pack", "-m", self.model, "--json").json()

    def answer(self, *flags) -> tuple[bytes, str]:
        done = self.ok("--verbose", "generate", "-m", self.model, "--temp", "0", "--max-tokens", "12", *flags, "Once")
        return done.out, done.err

    def test_pack_makes_a_file_that_later_runs_use(self):
        first = self.packed()
        self.assertEqual((first["used"], first["was_there"]), (True, False))
        file, = self.files()
        self.assertEqual((str(file), file.stat().st_size), (first["path"], first["bytes"]))
        self.assertTrue(self.packed()["was_there"])

        plain, said = self.answer("--no-pack-cache")
        self.assertIn("packed weights: none kept", said)
        kept, said = self.answer()
        self.assertIn(f"packed weights: {file}", said)
        self.assertEqual(kept, plain)

        cleared = self.ok("pack", "-m", self.model, "--clear", "--json").json()
        self.assertEqual((cleared["removed_bytes"], self.files()), (first["bytes"], []))

    def test_a_run_keeps_them_in_idle_time(self):
        server = self.serve("-m", self.model, starter=False)
        end = time.monotonic() + WAIT_S
        while not any(file.suffix == ".panels" for file in self.files()):
            self.assertLess(time.monotonic(), end, "no packed weights were kept")
            time.sleep(0.05)
        answer = self.posted(server, "/v1/completions", PROMPT).json()["choices"][0]["text"]
        self.assertEqual(server.stop(), 0)

        again = self.serve("-m", self.model, "--verbose", starter=False)
        again.wait_for(r"packed weights: .*\.panels")
        self.assertEqual(self.posted(again, "/v1/completions", PROMPT).json()["choices"][0]["text"], answer)

        # A file that has lost its name stays good until the last of its users goes.
        for file in self.files():
            file.unlink()
        self.assertEqual(self.posted(again, "/v1/completions", PROMPT).json()["choices"][0]["text"], answer)

    def test_weights_used_in_place_are_packed_on_request_only(self):
        self.model.unlink()
        self.ok("synth", "--arch", "gpt-oss", "--preset", "tiny", "--seed", "3", "--dialect", "gguf", "--d-model", "1024",
                "--ffn", "2048", "--experts", "32", "--layers", "4", "--out", self.model)
        process = self.serve("-m", self.model, starter=False)
        self.posted(process, "/v1/completions", PROMPT)
        self.assertEqual((process.stop(), self.files()), (0, []))
        self.assertTrue(self.packed()["used"])
        kept, said = self.answer()
        self.assertIn("packed weights: " + str(self.files()[0]), said)
        self.assertEqual(kept, self.answer("--no-pack-cache")[0])

    def test_neither_read_nor_written_where_not_wanted(self):
        process = start("generate", "-m", self.model, "--no-pack-cache", "--max-tokens", "60", "Once", home=self.home,
                        data_home=self.own_data)
        process.communicate(timeout=WAIT_S)
        self.assertEqual((process.returncode, self.files()), (0, []))

    def test_what_is_truncated_is_an_error_and_then_made_anew(self):
        file = self.packed()["path"]
        server = self.serve("-m", self.model, starter=False)
        self.posted(server, "/v1/completions", PROMPT)
        with open(file, "r+b") as open_file:
            open_file.truncate(4096)
        reply = server.post("/v1/completions", PROMPT)
        self.assertGreaterEqual(reply.status, 500, reply.text)
        self.assertIn("packed weights", reply.text)
        server.stop()
        self.assertFalse(self.packed()["was_there"])
        self.assertIn(f"packed weights: {file}", self.answer()[1])

    def test_another_checkpoint_of_the_same_size_is_not_taken_for_it(self):
        self.packed()
        with open(self.model, "r+b") as model:
            model.seek(-1, 2)
            model.write(b"\x01")
        self.assertIn("packed weights: none kept", self.answer()[1])
        self.assertFalse(self.packed()["was_there"])
