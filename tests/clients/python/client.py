"""A server for each test, as tests/e2e has it, for clients that live in their own Python environment."""

import os
import sys
import tempfile
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "e2e"))

import serving as e2e  # noqa: E402
from harness import World  # noqa: E402

call, final = e2e.call, e2e.final


class Client(unittest.TestCase):
    @classmethod
    def setUpClass(cls) -> None:
        World.binary = Path(os.environ["ATELIER_BINARY"])
        World.data_home = Path(os.environ["XDG_DATA_HOME"])

    def start(self, *arguments) -> e2e.Server:
        home = tempfile.TemporaryDirectory(prefix="atelier-client-")
        self.addCleanup(home.cleanup)
        server = e2e.Server(*arguments, home=Path(home.name), data_home=World.data_home)
        self.addCleanup(server.stop)
        server.url = f"http://127.0.0.1:{server.port}"
        return server

    def scripted(self, *turns: str) -> e2e.Server:
        folder = tempfile.TemporaryDirectory(prefix="atelier-script-")
        self.addCleanup(folder.cleanup)
        return self.start("-m", e2e.write_script(Path(folder.name), list(turns)))

    def starter(self) -> e2e.Server:
        return self.start("-m", "starter")
