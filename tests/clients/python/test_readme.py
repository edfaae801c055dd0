"""The three lines of the Python client that the README shows, run as they stand there but for the port."""

import os
import unittest
from pathlib import Path

from client import Client


class Readme(Client):
    def test_three_lines(self):
        blocks = [block for block in Path(os.environ["ATELIER_README"]).read_text(encoding="utf-8").split("\n\n")
                  if block.startswith("    from openai import")]
        self.assertEqual(len(blocks), 1)
        lines = [line[4:] for line in blocks[0].split("\n")]
        self.assertEqual(len(lines), 3)
        names: dict = {}
        server = self.starter()
        exec("\n".join(lines[:2]).replace("127.0.0.1:8080", f"127.0.0.1:{server.port}"), names)
        self.addCleanup(names["client"].close)
        self.assertRegex(eval(lines[2], names), r"\w")


if __name__ == "__main__":
    unittest.main()
