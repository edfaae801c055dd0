"""pull from a hub: what it takes, what it fetches, and what it does when the hub misbehaves."""

import json
import resource
import signal
import struct
import subprocess
import time

from harness import start
from hub import sha256
from hub_case import (CHUNK, CONNECTIONS, MIB, RECORD, HubTest, build_shim, folder_model, gguf, noise, safetensors,
                      split_gguf)


class Repositories(HubTest):
    def test_only_the_files_that_are_needed(self):
        needed = folder_model() | {"generation_config.json": b"{}", "chat_template.jinja": b"x"}
        self.hub.repositories["maker/tiny"] = needed | {
            "README.md": b"# x", "pytorch_model.bin": noise(9000, 1), "original/model.safetensors": noise(9000, 2),
            "original/config.json": b"{}", "metal/model.bin": noise(9000, 3), "onnx/model.onnx": noise(9000, 4),
            "consolidated.safetensors": noise(9000, 5), "tiny-Q8_0.gguf": gguf(8192)}
        model = self.pulled("maker/tiny")
        self.assertEqual(model["name"], "tiny")
        self.assertEqual(model["source"], f"hf:maker/tiny@{self.hub.commit}")
        self.assertEqual(self.files("tiny"), needed)
        self.assertEqual({file["name"]: file["sha256"] for file in model["files"]},
                         {name: sha256(data) for name, data in needed.items()})
        self.nothing_unfinished()

        self.hub.forget()
        self.pulled("maker/tiny")
        again = [r.path for r in self.hub.content_requests() if "config.json" not in r.path]
        self.assertEqual(again, [], "what is there was fetched again")

    def test_shards_are_those_the_index_names(self):
        shards = {f"model-0000{i}-of-00002.safetensors": safetensors(8192, i, f"t{i}") for i in (1, 2)}
        index = {"weight_map": {"t1": "model-00001-of-00002.safetensors", "t2": "model-00002-of-00002.safetensors"}}
        needed = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}",
                  "model.safetensors.index.json": json.dumps(index).encode()} | shards
        self.hub.repositories["maker/two"] = needed | {"model.fp16-00001-of-00002.safetensors": noise(8192, 9)}
        self.pulled("maker/two@v1.0")
        self.assertEqual(self.files("two"), needed)
        self.assertIn("/revision/v1.0?", self.hub.requests[0].path)

    def test_a_quantisation_is_chosen(self):
        names = ("M.Q4_K_M.gguf", "M.Q8_0.gguf", "M-UD-Q4_K_XL.gguf", "m-iq4_xs.gguf", "mmproj-M-f16.gguf")
        self.hub.repositories["maker/M-GGUF"] = {name: gguf(8192, i) for i, name in enumerate(names)} | {
            f"BF16/M-BF16-0000{i}-of-00002.gguf": split_gguf(i - 1, 2) for i in (1, 2)}
        for choice, stored, files in (
                ("", "M-Q4_K_M", ["M.Q4_K_M.gguf"]), (":q8_0", "M-Q8_0", ["M.Q8_0.gguf"]),
                (":Q4_K_XL", "M-UD-Q4_K_XL", ["M-UD-Q4_K_XL.gguf"]), (":IQ4_XS", "M-IQ4_XS", ["m-iq4_xs.gguf"]),
                (":bf16", "M-BF16", ["M-BF16-00001-of-00002.gguf", "M-BF16-00002-of-00002.gguf"])):
            with self.subTest(choice=choice):
                self.assertEqual(self.pulled(f"hf.co/maker/M-GGUF{choice}")["name"], stored)
                self.assertEqual(sorted(self.files(stored)), files)
        self.assertEqual(self.pulled("maker/M-GGUF:M.Q8_0.gguf", "--name", "mine")["name"], "mine")
        self.fails("maker/M-GGUF:Q3_K_S", mentions=("Q3_K_S", "Q4_K_M", "BF16"))

    def test_several_ggufs_and_no_choice(self):
        self.hub.repositories["maker/M"] = {f"M.{q}.gguf": gguf(8192) for q in ("Q2_K", "Q8_0")}
        self.fails("maker/M", mentions=("Q2_K", "Q8_0"))

    def test_short_names(self):
        files = folder_model(model_type="gpt_oss")
        self.hub.repositories["openai/gpt-oss-20b"] = files | {"original/model.safetensors": noise(9000, 1)}
        self.hub.repositories["openai/gpt-oss-120b"] = files
        self.hub.repositories["deepseek-ai/DeepSeek-V3"] = folder_model(model_type="quantum_rwkv")
        for name in ("gpt-oss-20b", "gpt-oss-120b"):
            self.assertEqual(self.pulled(name)["name"], name)
            self.assertEqual(self.files(name), files)
        self.hub.forget()
        self.fails("deepseek-v3", mentions=("deepseek-ai/DeepSeek-V3", "quantum_rwkv", "--anyway"))
        self.assertFalse([r for r in self.hub.requests if "model.safetensors" in r.path], "weights were fetched")
        self.nothing_unfinished()
        self.assertEqual(self.pulled("deepseek-v3", "--anyway")["name"], "deepseek-v3")

    def test_a_name_that_is_not_there_says_what_fetches_it(self):
        done = self.atelier("generate", "-m", "gpt-oss-20b", "x", starter=False)
        self.assertIn("atelier pull gpt-oss-20b", done.err)

    def test_the_token_goes_to_the_hub_alone(self):
        self.hub.repositories["maker/gated"] = folder_model()
        self.hub.private.add("maker/gated")
        self.fails("maker/gated", mentions=("maker/gated", "HF_TOKEN", "Access is restricted"))
        self.nothing_unfinished()
        self.hub.forget()
        token_file = self.home / "hf" / "token"
        token_file.parent.mkdir()
        token_file.write_text("hf_secret\n", encoding="utf-8")
        self.pulled("maker/gated")
        servers = {"hub": set(), "content": set()}
        for request in self.hub.requests:
            servers[request.server].add(request.headers.get("authorization"))
        self.assertEqual(servers, {"hub": {"Bearer hf_secret"}, "content": {None}})

        self.fails("maker/gated", "--name", "x", env={"HF_TOKEN": "a\nX-Evil: 1"}, mentions=("Access is restricted",))
        self.fails("maker/gated", "--name", "x", env={"HF_TOKEN": "\u00e9"}, mentions=("token",))

    def test_what_is_not_there(self):
        self.fails("maker/absent", mentions=("maker/absent", "Repository not found"))
        self.hub.repositories["maker/empty"] = {"README.md": b"x"}
        self.fails("maker/empty", mentions=("maker/empty", "safetensors"))
        self.hub.repositories["maker/pickled"] = {"config.json": b"{}", "pytorch_model.bin": noise(5000, 1)}
        self.fails("maker/pickled", mentions=("pickled",))
        self.hub.repositories["maker/mute"] = {"config.json": b'{"model_type": "llama"}',
                                               "model.safetensors": safetensors(8192)}
        self.fails("maker/mute", mentions=("tokenizer.json",))
        self.fails("maker/tiny", env={"HF_ENDPOINT": "http://127.0.0.1:9"}, mentions=("127.0.0.1:9",))
        self.fails("maker/tiny", env={"HF_ENDPOINT": "file:///etc"}, mentions=("file",))
        self.nothing_unfinished()

    def test_names_from_the_hub_never_become_paths(self):
        for bad in ("../evil-Q8_0.gguf", "a/../../evil-Q8_0.gguf", "/tmp/evil-Q8_0.gguf", "x/.hidden-Q8_0.gguf"):
            self.hub.repositories["maker/evil"] = {bad: gguf(8192)}
            done = self.pull("maker/evil")
            outside = [path for path in self.home.rglob("*") if "evil" in path.name or ".hidden" in path.name]
            inside = self.store() / "models" / "evil-Q8_0"
            self.assertEqual([path for path in outside if not path.is_relative_to(inside)], [], bad)
            if done.status == 0:  # only the last part of the path was used
                self.assertEqual(sorted(self.files("evil-Q8_0")), ["evil-Q8_0.gguf"], bad)
                self.ok("rm", "evil-Q8_0", starter=False)
        for bad in ("x\x1b[31m-Q8_0.gguf", "x\x00-Q8_0.gguf", "\n-Q8_0.gguf"):
            self.hub.repositories["maker/evil"] = {bad: gguf(8192)}
            done = self.fails("maker/evil", mentions=("plain file names",))
            self.assertNotIn("\x1b", done.err)
        for shard in ("../x.safetensors", "/etc/passwd", "a/b.safetensors", ""):
            index = json.dumps({"weight_map": {"t": shard}}).encode()
            self.hub.repositories["maker/evil"] = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}",
                                                   "model.safetensors.index.json": index, shard: safetensors(8192)}
            self.fails("maker/evil")
        self.assertEqual(self.names(), [])
        self.nothing_unfinished()

    def test_odd_names_of_repositories_are_not_repositories(self):
        for name in ("../x", "a/..", "a/b/c", "a/b@", "a/b:", "a//b", "a/b@../x", "https://hf.co/a/b/evil/x"):
            self.assertEqual(self.pull(name).status, 1, name)
        self.assertEqual([r.path for r in self.hub.requests], [])

    def test_a_listing_without_sizes(self):
        self.hub.repositories["maker/tiny"] = folder_model()
        self.hub.faults.without_sizes = True
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), folder_model())
        self.hub.repositories["maker/other"] = folder_model(seed=1)
        self.hub.faults.content = {"model.safetensors": safetensors(8192, 2)}
        self.fails("maker/other", mentions=("SHA-256",))  # the redirect named it

    def test_a_new_version_replaces_the_old_one_and_shares_what_did_not_change(self):
        index = {"weight_map": {"t1": "model-1.safetensors", "t2": "model-2.safetensors"}}
        files = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b"{}",
                 "model.safetensors.index.json": json.dumps(index).encode(),
                 "model-1.safetensors": safetensors(8192, 1, "t1"), "model-2.safetensors": safetensors(8192, 2, "t2")}
        self.hub.repositories["maker/two"] = files
        self.pulled("maker/two")
        self.hub.forget()
        self.hub.commit = "f" * 40
        newer = files | {"model-2.safetensors": safetensors(8192, 3, "t2")}
        self.hub.repositories["maker/two"] = newer
        self.assertEqual(self.pulled("maker/two")["source"], "hf:maker/two@" + "f" * 40)
        self.assertEqual(self.files("two"), newer)
        fetched = {request.path.split("?")[0] for request in self.hub.content_requests() if "safetensors" in request.path}
        self.assertEqual({path for path in fetched if "index" not in path}, {"/maker/two/model-2.safetensors"})
        self.nothing_unfinished()

    def test_a_name_that_belongs_to_another_model(self):
        self.hub.repositories["maker/tiny"] = folder_model(seed=1)
        self.hub.repositories["thief/tiny"] = folder_model(seed=2)
        self.pulled("maker/tiny")
        self.fails("thief/tiny", mentions=("--name", "hf:maker/tiny"))
        self.assertEqual(self.files("tiny"), folder_model(seed=1))
        self.pulled("thief/tiny", "--name", "tiny2")


class Misbehaviour(HubTest):
    """The hub lies or breaks: one line of error, nothing under the final name, and the next pull works."""

    SIZE = 5 * MIB

    def setUp(self):
        super().setUp()
        self.files_there = folder_model(self.SIZE)
        self.hub.repositories["maker/tiny"] = self.files_there

    def works_again(self):
        self.assertEqual(self.names(), [])
        self.hub.forget()
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), self.files_there)
        self.nothing_unfinished()

    def test_connections_that_break_off(self):
        self.hub.faults.truncate_after, self.hub.faults.truncate_times = 2 * MIB, 2
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), self.files_there)
        sent = sum(r.sent for r in self.hub.content_requests() if "model.safetensors" in r.path)
        self.assertLess(sent, self.SIZE + 2 * RECORD, "what had arrived was fetched again")

    def test_connections_that_always_break_off(self):
        self.hub.faults.truncate_after, self.hub.faults.truncate_times = 100, 1000
        self.fails("maker/tiny", "--attempts", 2, mentions=("model.safetensors", "given up after 2"))
        self.works_again()

    def test_a_hub_that_is_busy(self):
        self.hub.faults.status, self.hub.faults.status_times = 503, 2
        self.pulled("maker/tiny")

    def test_a_stall(self):
        self.hub.faults.stall_after = 2 * MIB
        self.fails("maker/tiny", "--attempts", 1, "--stall-timeout", 1, mentions=("nothing arrived for 1 s",))
        self.assertEqual([entry["name"] for entry in self.listing()["unfinished"]], ["tiny"])
        self.works_again()
        again = sum(r.sent for r in self.hub.content_requests() if "model.safetensors" in r.path)
        self.assertLessEqual(again, self.SIZE - MIB + 4096)

    def test_a_server_without_ranges(self):
        size = CHUNK + 2 * MIB
        self.hub.repositories["maker/tiny"] = self.files_there = folder_model(size)
        self.hub.faults.ignore_range = True
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), self.files_there)
        self.ok("rm", "tiny", starter=False)
        self.hub.forget()
        self.hub.faults.ignore_range = True
        self.hub.faults.truncate_after, self.hub.faults.truncate_times = CHUNK + MIB, 2
        self.pulled("maker/tiny")
        self.assertEqual(self.files("tiny"), self.files_there)

    def test_another_range_than_was_asked_for(self):
        self.hub.faults.wrong_range = True
        self.fails("maker/tiny", mentions=("expected bytes 0-",))
        self.works_again()

    def test_a_size_that_is_not_true(self):
        for lie in (-1000, 1000, 1 << 62):
            self.hub.faults.listed_bytes_lie = lie
            self.fails("maker/tiny")
            self.assertEqual(self.names(), [])
        self.hub.faults.listed_bytes_lie = 0
        self.hub.faults.total_lie = 7
        self.fails("maker/tiny", mentions=("expected bytes 0-",))
        self.works_again()

    def test_more_than_was_announced(self):
        self.hub.faults.extra_bytes = b"!" * 1000
        self.fails("maker/tiny", "--attempts", 1)
        self.works_again()

    def test_a_digest_that_is_not_true(self):
        self.hub.faults.listed_digest = "0" * 64
        self.fails("maker/tiny", mentions=("SHA-256", "0" * 64, sha256(self.files_there["model.safetensors"])))
        self.hub.faults.listed_digest = ""
        self.works_again()

    def test_content_that_is_not_what_was_listed(self):
        bad = {"model.safetensors": safetensors(self.SIZE, 99)}
        self.hub.faults.content = bad
        self.fails("maker/tiny", mentions=("SHA-256",))
        self.ok("rm", "tiny", starter=False)  # the files that were right
        self.hub.faults.content = {"config.json": b'{"model_type": "llamA"}'}
        self.fails("maker/tiny", "--anyway", mentions=("git SHA-1",))
        self.works_again()

    def test_content_that_is_no_model(self):
        self.hub.repositories["maker/tiny"] = self.files_there | {"model.safetensors": noise(9000, 1)}
        self.fails("maker/tiny", mentions=("model.safetensors",))
        self.hub.repositories["maker/tiny"] = self.files_there
        self.works_again()

    def test_listings_that_are_none(self):
        for body in (b"", b"[]", b"{", b'{"sha": "x"}', json.dumps({"sha": "0" * 40, "siblings": [1]}).encode(),
                     json.dumps({"sha": "0" * 40, "siblings": [{"rfilename": 5}]}).encode(), b"[" * 100_000):
            self.hub.plain["/api/models/maker/tiny/revision/main"] = body
            self.fails("maker/tiny", mentions=("maker/tiny",))
        del self.hub.plain["/api/models/maker/tiny/revision/main"]
        self.works_again()

    def test_redirects_that_lead_nowhere(self):
        for target in (f"{self.hub.url}/maker/tiny/resolve/x/model.safetensors", "file:///etc/passwd",
                       "http://user:secret@127.0.0.1/x", "gopher://127.0.0.1/", "http://127.0.0.1:9/"):
            self.hub.faults.redirect_to = target
            self.fails("maker/tiny", "--attempts", 1)
        self.works_again()

    def test_too_little_space_is_said_before_anything_is_fetched(self):
        shim = {"LD_PRELOAD": str(build_shim(self.home)), "FAULT_ROOT": str(self.store()), "FAULT_FREE": str(18 * MIB)}
        self.fails("maker/tiny", env=shim, mentions=("not enough space", "MB needed"))
        self.assertFalse([r for r in self.hub.requests if "model.safetensors" in r.path])
        self.works_again()

    def test_a_limit_on_the_size_of_files(self):
        resource_limit = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, resource_limit[1]))
        try:
            self.fails("maker/tiny", mentions=("File too large",))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, resource_limit)
        self.works_again()


class Resuming(HubTest):
    SIZE = 3 * CHUNK

    def setUp(self):
        super().setUp()
        self.files_there = folder_model(self.SIZE)
        self.hub.repositories["maker/big"] = self.files_there

    def recorded(self) -> int:
        """Bytes that the map of the unfinished download says are there."""
        total = 0
        for path in self.store().glob("downloads/*/*.map"):
            data = path.read_bytes()[64:]
            total += sum(entry & 0x7fffffff for entry, in struct.iter_unpack("<I", data))
        return total

    def stop_halfway(self, signal_number: int) -> int:
        """Stops a pull after 20 MiB of 48; its exit status."""
        self.hub.faults.stall_after = 20 * MIB
        process = start("pull", "maker/big", home=self.home, data_home=self.own_data, env=self.env,
                        stdin=subprocess.DEVNULL)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        deadline = time.monotonic() + 60
        while self.recorded() < 20 * MIB - CONNECTIONS * RECORD - PIECES:
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)
        process.send_signal(signal_number)
        process.wait(30)
        return process.returncode

    def test_a_killed_pull_fetches_at_most_a_chunk_again(self):
        self.stop_halfway(signal.SIGKILL)
        kept = self.recorded()
        self.assertGreater(kept, 0)
        self.assertEqual(self.names(), [])
        first = sum(r.sent for r in self.hub.content_requests() if r.server == "content")
        self.hub.forget()
        self.pulled("maker/big")
        second = sum(r.sent for r in self.hub.content_requests() if r.server == "content")
        self.assertEqual(self.files("big"), self.files_there)
        self.assertLessEqual(first + second - len(self.files_there["model.safetensors"]), CHUNK)
        self.assertLessEqual(second, sum(map(len, self.files_there.values())) - kept)
        self.nothing_unfinished()

    def test_an_interrupted_pull_is_listed_and_can_be_removed(self):
        self.assertEqual(self.stop_halfway(signal.SIGINT), 130)
        unfinished, = self.listing()["unfinished"]
        self.assertEqual(unfinished["name"], "big")
        self.assertIn("unfinished", self.ok("list", starter=False).text)
        self.ok("rm", "big", starter=False)
        self.nothing_unfinished()
        self.assertEqual(self.atelier("rm", "big", starter=False).status, 1)

    def test_two_pulls_at_once(self):
        self.hub.faults.stall_after = MIB
        first = start("pull", "maker/big", home=self.home, data_home=self.own_data, env=self.env,
                      stdin=subprocess.DEVNULL)
        self.addCleanup(first.stdout.close)
        self.addCleanup(first.stderr.close)
        self.assertTrue(self.hub.stalled.wait(30))
        self.fails("maker/big", mentions=("another process",))
        first.kill()
        first.wait()
        self.hub.forget()
        self.pulled("maker/big")

    def test_what_another_version_left_is_not_mixed_in(self):
        self.stop_halfway(signal.SIGKILL)
        self.hub.forget()
        self.files_there = folder_model(self.SIZE, seed=5)
        self.hub.repositories["maker/big"] = self.files_there
        self.pulled("maker/big")
        self.assertEqual(self.files("big"), self.files_there)
        self.nothing_unfinished()

    def test_damage_to_an_unfinished_download_is_repaired(self):
        self.stop_halfway(signal.SIGKILL)
        part = max(self.store().glob("downloads/*/*.part"), key=lambda path: path.stat().st_size)
        with open(part, "r+b") as file:
            file.write(b"rot")
        self.hub.forget()
        self.pulled("maker/big")
        self.assertEqual(self.files("big"), self.files_there)
        # A map that lies about its file, or is none.
        self.ok("rm", "big", starter=False)
        for damage in (lambda f: f.truncate(10), lambda f: f.write(b"x"), lambda f: (f.seek(64), f.write(b"\xff" * 12))):
            self.hub.forget()
            self.stop_halfway(signal.SIGKILL)
            big = max(self.store().glob("downloads/*/*.part"), key=lambda path: path.stat().st_size)
            with open(big.with_suffix(".map"), "r+b") as file:
                damage(file)
            self.hub.forget()
            self.pulled("maker/big")
            self.assertEqual(self.files("big"), self.files_there)
            self.ok("rm", "big", starter=False)


PIECES = CONNECTIONS * (64 << 10)  # the hub counts a piece before it sends it
