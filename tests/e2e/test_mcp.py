"""MCP against a server that others wrote: @modelcontextprotocol/server-everything, pinned by package-lock.json."""

import hashlib
import json
import os
import shutil
import subprocess
import unittest
from pathlib import Path

from test_sandbox import Agents, final

PINNED = Path(__file__).resolve().parent / "mcp"


def installed() -> Path:
    """The server's program, installed once on this machine; npm checks each package's digest."""
    lock = (PINNED / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier-test"
    folder = cache / f"mcp-{hashlib.sha256(lock).hexdigest()[:16]}"
    program = folder / "node_modules" / "@modelcontextprotocol" / "server-everything" / "dist" / "index.js"
    if not program.exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINNED / name, folder)
        subprocess.run(["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], cwd=folder,
                       check=True, timeout=300)
    return program


def function(name: str, **arguments) -> str:
    """A call whose arguments spell no control token, whatever they say."""
    body = json.dumps(arguments).replace("<|", "\\u003c|")
    return f"<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{body}<|call|>"


@unittest.skipUnless(shutil.which("node") and shutil.which("npm"), "NOT PROVED HERE: node and npm are not installed")
class RealServer(Agents):
    def setUp(self) -> None:
        super().setUp()
        self.config = self.home / ".config" / "atelier" / "mcp.json"
        self.config.parent.mkdir(parents=True)
        self.servers = {"everything": {"command": "node", "args": [str(installed())]}}
        self.config.write_text(json.dumps({"mcpServers": self.servers}))

    def results(self, *turns: str, flags=()) -> list[dict]:
        return [event["item"] for event in self.events(*turns, final("done"), flags=flags)
                if event["type"] == "item.completed" and event["item"]["type"] == "tool"]

    def missing(self, call: str) -> None:
        """There is no such tool; under the constraint the call could not even be written."""
        [item] = self.results(call, flags=("--unconstrained",))
        self.assertEqual(item["status"], "failed")
        self.assertIn("There is no tool", item["output"])

    def test_its_tools_are_used_once_they_are_agreed_to(self):
        echo = function("everything__echo", message="<|end|>over here")
        self.missing(echo)
        shown = self.ok("mcp", "approve", "everything", "echo", "add", "--yes", "--cd", self.work).text
        self.assertIn("echo", shown)
        listed = self.ok("mcp", "list", "--cd", self.work).text
        self.assertIn("everything", listed)
        self.assertIn("  add\n  echo\n", listed)
        said, added = self.results(echo, function("everything__add", a=2, b=3))
        self.assertIn("<|end|>over here", said["output"])
        self.assertIn("5", added["output"])
        self.ok("mcp", "forget", "everything")
        self.missing(echo)

    def test_a_folders_own_server_starts_only_when_the_folder_is_trusted(self):
        self.config.unlink()
        (self.work / ".mcp.json").write_text(json.dumps({"mcpServers": self.servers}))
        refused = self.atelier("mcp", "approve", "everything", "--yes", "--cd", self.work)
        self.assertEqual(refused.status, 1)
        self.assertIn("trust", self.ok("mcp", "list", "--cd", self.work).text)
        self.assertIn("node", self.ok("trust", "--yes", "--cd", self.work).text)
        self.ok("mcp", "approve", "everything", "echo", "--yes", "--cd", self.work)
        [said] = self.results(function("everything__echo", message="mine"))
        self.assertIn("mine", said["output"])
        # One byte more, and nothing of it counts.
        with open(self.work / ".mcp.json", "a", encoding="utf-8") as file:
            file.write("\n")
        self.missing(function("everything__echo", message="mine"))

    def test_agreeing_wants_a_person_or_a_word(self):
        refused = self.atelier("mcp", "approve", "everything", "--cd", self.work)
        self.assertEqual(refused.status, 1)
        self.assertIn("--yes", refused.err)


if __name__ == "__main__":
    unittest.main()
