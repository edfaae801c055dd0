"""Every system call with which pull touches the store fails once, or is the last before the process dies.

Whatever happens: what was in the store stays readable, nothing unverified has a final name, and the next pull
works. By default each kind of call fails at its first, middle and last occurrence; ATELIER_TEST_FULL=1 takes every
single call in every mode.
"""

import os
import re

from harness import environment, run
from hub_case import MIB, HubTest, build_shim, folder_model, gguf

MODES = ("EIO", "ENOSPC", "KILL", "SHORT", "EINTR")
KILLED = -9


class Faults(HubTest):
    def setUp(self):
        super().setUp()
        self.files_there = folder_model(3 * MIB)
        self.hub.repositories["maker/tiny"] = self.files_there
        self.hub.repositories["maker/other"] = {"other.gguf": gguf(8192)}
        self.log = self.home / "calls"
        self.shim = {"LD_PRELOAD": str(build_shim(self.home)), "FAULT_ROOT": str(self.store()),
                     "FAULT_LOG": str(self.log)}
        self.pulled("maker/other")

    def calls(self) -> list[str]:
        """The names of the calls of an undisturbed pull, in order."""
        self.pulled("maker/tiny", env=self.shim)
        names = [line.split()[1] for line in self.log.read_text(encoding="utf-8").splitlines()]
        self.ok("rm", "tiny", starter=False)
        return names

    def chosen(self, names: list[str]) -> list[tuple[int, str]]:
        if os.environ.get("ATELIER_TEST_FULL") == "1":
            return [(at, mode) for at in range(1, len(names) + 1) for mode in MODES]
        points = []
        for name in sorted(set(names)):
            at = [i + 1 for i, called in enumerate(names) if called == name]
            for k, point in enumerate(sorted({at[0], at[len(at) // 2], at[-1]})):
                points.append((point, MODES[(k + len(points)) % 3]))
                if name in ("write", "pwrite", "read", "pread"):
                    points.append((point, MODES[3 + k % 2]))
        return points

    def check_store(self, when: str):
        """The other model is there; ours is there whole, or not at all."""
        listing = self.listing()
        names = [model["name"] for model in listing["models"]]
        self.assertIn(names, (["other"], ["other", "tiny"]), when)
        if "tiny" in names:
            self.assertEqual(self.files("tiny"), self.files_there, when)
        else:
            self.assertFalse((self.store() / "models" / "tiny").exists(), when)
        self.assertEqual(len(self.files("other")), 1, when)

    def test_every_call_may_fail(self):
        names = self.calls()
        self.assertGreater(len(names), 60)
        self.assertTrue({"open", "write", "pwrite", "fsync", "fdatasync", "rename", "renameat2", "mkdir", "statvfs",
                         "fallocate", "flock"} <= set(names), sorted(set(names)))
        survived = failed = killed = 0
        for at, mode in self.chosen(names):
            when = f"{mode} at call {at} ({names[at - 1]})"
            self.log.unlink(missing_ok=True)
            env = self.env | self.shim | {"FAULT_AT": str(at), "FAULT_MODE": mode}
            done = run("pull", "maker/tiny", home=self.home, data_home=self.own_data, env=env)
            # Files come side by side: this time the call may have been another one.
            log = [line.split() for line in self.log.read_text(encoding="utf-8").splitlines()]
            struck = {name for number, name in log if int(number) == at}
            self.assertIn(done.status, (0, 1, KILLED), f"{when}: {done.err}")
            self.assertEqual(done.status == KILLED, mode == "KILL", f"{when}: {done.err}")
            if done.status == 1:
                self.assertRegex(done.err, r"\Aatelier: [^\n]+\n\Z", when)
            if mode in ("SHORT", "EINTR") and struck <= {"write", "pwrite", "read", "pread"}:
                self.assertEqual(done.status, 0, f"{when}: {done.err}")
            survived, failed, killed = (survived + (done.status == 0), failed + (done.status == 1),
                                        killed + (done.status == KILLED))
            self.check_store(when)
            retried = self.pull("maker/tiny")
            self.assertEqual(retried.status, 0, f"{when}, then: {retried.err}")
            self.assertEqual(self.files("tiny"), self.files_there, when)
            self.nothing_unfinished()
            self.ok("rm", "tiny", starter=False)
        print(f"figure  pull, {len(names)} system calls, {survived + failed + killed} faults: {survived} survived, "
              f"{failed} reported, {killed} deaths, 0 damage", flush=True)
        self.assertGreater(failed, 10)
        self.assertGreater(killed, 5)

    def test_a_new_version_and_a_fault_leave_the_old_one_or_the_new(self):
        self.pulled("maker/tiny")
        old = self.files_there
        new = folder_model(3 * MIB, seed=1)
        self.hub.repositories["maker/tiny"] = new
        self.hub.commit = "e" * 40
        self.log.unlink(missing_ok=True)
        self.pulled("maker/tiny", env=self.shim)
        names = [line.split()[1] for line in self.log.read_text(encoding="utf-8").splitlines()]
        exchanges = [i + 1 for i, name in enumerate(names) if name == "renameat2"]
        for at in (exchanges[0] - 1, *exchanges, exchanges[-1] + 1, len(names)):
            for mode in ("EIO", "KILL"):
                self.ok("rm", "tiny", starter=False)
                self.hub.repositories["maker/tiny"], self.hub.commit = old, "d" * 40
                self.pulled("maker/tiny")
                self.hub.repositories["maker/tiny"], self.hub.commit = new, "e" * 40
                self.pull("maker/tiny", env=self.shim | {"FAULT_AT": str(at), "FAULT_MODE": mode})
                self.assertIn(self.files("tiny"), (old, new))
                self.pulled("maker/tiny")
                self.assertEqual(self.files("tiny"), new)
                self.nothing_unfinished()

    def test_the_shim_itself(self):
        """That a fault which must be noticed is: the first open of a file below the store."""
        env = environment(self.home, self.own_data, self.env | self.shim | {"FAULT_AT": "1", "FAULT_MODE": "EIO"})
        done = run("list", home=self.home, data_home=self.own_data, env=env)
        self.assertTrue(re.search("Input/output error", done.err), done)
