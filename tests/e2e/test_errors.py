"""Bad input: exit status 1, one line that names the thing, nothing on stdout, nothing left behind."""

import json
import os

import ggufs
from harness import TEXT, EndToEnd, World

# A file is refused alike whatever wanted to read it.
READERS = {
    "generate": lambda model: ("generate", "-m", model, "--max-tokens", "1", "Hello"),
    "chat": lambda model: ("chat", "-m", model, "--max-tokens", "1", "Hello"),
    "perplexity": lambda model: ("perplexity", "-m", model, TEXT),
    "show": lambda model: ("show", model),
    "pull": lambda model: ("pull", model),
}


class BadModels(EndToEnd):
    def every_reader_refuses(self, path, *mentions, readers=tuple(READERS)):
        for name in readers:
            with self.subTest(reader=name):
                self.refused(*READERS[name](path), mentions=mentions)

    def file(self, name: str, data: bytes):
        path = self.home / name
        path.write_bytes(data)
        return path

    def test_wrong_magic(self):
        self.every_reader_refuses(self.file("wrong.gguf", ggufs.tiny(magic=b"FUGG")), "wrong.gguf", "GGUF", "FUGG")

    def test_empty_file(self):
        self.every_reader_refuses(self.file("empty.gguf", b""), "empty.gguf")

    def test_text_instead_of_a_model(self):
        self.every_reader_refuses(self.file("notes.gguf", b"Dear diary, " * 1000), "notes.gguf")

    def test_truncated(self):
        with open(World.starter_path(), "rb") as file:
            head = file.read(3_000_000)
        for size in (3, 23, 1000, 1_000_000, 3_000_000):
            path = self.file("cut.gguf", head[:size])
            self.every_reader_refuses(path, "cut.gguf", readers=("generate", "pull"))

    def test_old_version(self):
        self.every_reader_refuses(self.file("old.gguf", ggufs.tiny(version=1)), "old.gguf", "version")

    def test_unsupported_architecture(self):
        path = self.file("odd.gguf", ggufs.tiny(architecture="quantum-rwkv"))
        self.every_reader_refuses(path, "odd.gguf", "quantum-rwkv", readers=("generate", "chat", "show"))

    def test_unsupported_format(self):
        self.every_reader_refuses(self.file("format.gguf", ggufs.tiny(kind=255)), "format.gguf", "255")

    def test_an_architecture_without_its_tensors(self):
        self.every_reader_refuses(self.file("hollow.gguf", ggufs.tiny()), "hollow.gguf",
                                  readers=("generate", "chat", "show"))

    def test_missing_file(self):
        self.every_reader_refuses(self.home / "absent.gguf", "absent.gguf")
        self.every_reader_refuses("no-such-model", "no-such-model")

    def test_folder_without_weights(self):
        folder = self.home / "hollow"
        folder.mkdir()
        self.every_reader_refuses(folder, "hollow")
        (folder / "config.json").write_text('{"model_type": "llama"}', encoding="utf-8")
        self.every_reader_refuses(folder, "hollow")

    def test_folder_with_broken_parts(self):
        folder = self.home / "broken"
        folder.mkdir()
        (folder / "config.json").write_text('{"model_type": ', encoding="utf-8")
        (folder / "model.safetensors").write_bytes(b"\x10\0\0\0\0\0\0\0{}")
        self.every_reader_refuses(folder, "broken")

    def test_what_is_no_regular_file(self):
        fifo = self.home / "fifo.gguf"
        os.mkfifo(fifo)
        for path in (fifo, "/dev/null", "/dev/zero"):
            self.every_reader_refuses(path, path, readers=("generate", "show"))

    def test_a_link_to_nothing(self):
        link = self.home / "dangling.gguf"
        link.symlink_to(self.home / "nowhere")
        self.every_reader_refuses(link, "dangling.gguf")

    def test_a_model_larger_than_memory(self):
        path = self.home / "giant.gguf"
        claimed = ggufs.enormous(World.starter_path(), path, width_factor=682, layers=1000)
        self.assertGreater(claimed, 1 << 40)
        for name in ("generate", "chat"):
            with self.subTest(reader=name):
                # The limit keeps the machine alive should the check come too late.
                done = self.refused(*READERS[name](path), mentions=("giant.gguf",), data_limit=4 << 30)
                self.assertRegex(done.err, r"(?i)need.*\d.*(available|free)|\d.*needed.*\d.*(available|free)")

    def test_a_damaged_store_entry(self):
        data = self.own_data / "atelier" / "models" / "mine"
        data.mkdir(parents=True)
        (data / "manifest.json").write_text("{", encoding="utf-8")
        self.refused("generate", "-m", "mine", "Hello", starter=False, mentions=("mine", "damaged"))

    def test_a_broken_configuration(self):
        config = self.home / ".config" / "atelier" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text('{"default_model": 7}', encoding="utf-8")
        self.refused("chat", "Hello", mentions=("config.json", "default_model"))

    def test_the_configured_model_is_missing(self):
        config = self.home / ".config" / "atelier" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text('{"default_model": "gone"}', encoding="utf-8")
        self.refused("chat", "Hello", mentions=("gone",))


class BadRequests(EndToEnd):
    def test_prompt_longer_than_the_context(self):
        self.refused("generate", "-m", "starter", "word " * 9000, mentions=("8192",))
        self.refused("generate", "-m", "starter", "--ctx", "16", "word " * 40, mentions=("16",))
        self.refused("chat", "--ctx", "64", stdin=b"word " * 400, mentions=("64",))

    def test_empty_prompt(self):
        self.refused("generate", "-m", "starter", "")
        self.refused("chat", stdin=b"\n")

    def test_text_that_is_not_there(self):
        self.refused("perplexity", "-m", "starter", self.home / "absent.txt", mentions=("absent.txt",))
        self.refused("perplexity", "-m", "starter", self.home, mentions=(self.home,))

    def test_text_too_short_to_measure(self):
        path = self.home / "short.txt"
        path.write_text("", encoding="utf-8")
        self.refused("perplexity", "-m", "starter", path)

    def test_token_ids_that_are_none(self):
        for text in (b"", b"{}", b"[1,", b'["a"]', b"[-1]", b"[1.5]", b"[49152]", b"[99999999999999999999]", b"[1] x"):
            with self.subTest(ids=text):
                self.refused("detokenize", "-m", "starter", stdin=text)
                path = self.home / "ids.json"
                path.write_bytes(text)
                self.refused("logits", "-m", "starter", "--tokens", path)

    def test_logits_of_more_tokens_than_the_context(self):
        path = self.home / "ids.json"
        path.write_text(json.dumps([100] * 8193), encoding="utf-8")
        out = self.home / "logits.npy"
        self.refused("logits", "-m", "starter", "--tokens", path, "--out", out, mentions=("8192",))

    def test_output_that_cannot_be_written(self):
        path = self.home / "ids.json"
        path.write_text("[1]", encoding="utf-8")
        self.refused("logits", "-m", "starter", "--tokens", path, "--out", self.home / "absent" / "logits.npy",
                     mentions=("absent",))

    def test_removing_what_is_not_there(self):
        self.refused("rm", "no-such-model", mentions=("no-such-model",))
        self.refused("rm", "../starter", mentions=("../starter",))


class Usage(EndToEnd):
    """Wrong usage: exit status 2 and words on stderr, nothing on stdout."""

    def test_wrong_usage(self):
        for arguments in (("no-such-command",), ("chat", "--no-such-flag"), ("generate", "Hello"), ("generate", "-m", "starter"),
                          ("pull",), ("show",), ("rm",), ("perplexity", "-m", "starter"),
                          ("chat", "--temp", "hot", "Hello"), ("chat", "--temp", "-1", "Hello"),
                          ("chat", "--max-tokens", "0", "Hello"), ("chat", "--max-tokens", "-3", "Hello"),
                          ("chat", "--top-p", "2", "Hello"), ("generate", "-m", "starter", "--seed", "x", "Hello"),
                          ("perplexity", "-m", "starter", "--ctx", "0", TEXT), ("bench", "-m", "starter", "--threads", "0")):
            with self.subTest(arguments=arguments):
                done = self.atelier(*arguments)
                self.assertEqual(done.status, 2, f"stdout {done.out!r}, stderr {done.err!r}")
                self.assertEqual(done.out, b"")
                self.assertNotEqual(done.err, "")

    def test_help_and_version_go_to_stdout(self):
        for arguments in (("--help",), ("--version",), ("chat", "--help"), ("pull", "--help"), ("bench", "--help")):
            done = self.ok(*arguments)
            self.assertGreater(len(done.text.strip()), 5)
            self.assertEqual(done.err, "")
        self.assertRegex(self.ok("--version").text, r"\Aatelier \d+\.\d+\.\d+\n\Z")
