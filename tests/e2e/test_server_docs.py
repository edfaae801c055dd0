"""Every example of docs/server.md, run as it stands there against the starter model."""

import re
import subprocess

from harness import REPOSITORY, environment, World
from serving import Serving

PAGE = REPOSITORY / "docs" / "server.md"
CONTINUED = re.compile(r" {6}")  # lines of a command after its first are indented further than what it prints


def examples() -> list[tuple[str, str]]:
    """(command, what the page says it prints) of the indented `$ ` lines."""
    found: list[tuple[list[str], list[str]]] = []
    for line in PAGE.read_text(encoding="utf-8").split("\n"):
        if line.startswith("    $ "):
            found.append(([line[6:]], []))
        elif found and line.startswith("    "):
            command, output = found[-1]
            (command if CONTINUED.match(line) and not output else output).append(line[4:])
    return [("\n".join(command), "\n".join(output)) for command, output in found]


def pattern(shown: str) -> re.Pattern:
    """`…` stands for anything, also for nothing."""
    return re.compile(".*".join(re.escape(part.strip()) for part in shown.split("…")), re.DOTALL)


class Examples(Serving):
    def test_every_example_says_what_the_page_says(self):
        server = self.serve("-m", "starter")
        ran = 0
        for command, shown in examples():
            with self.subTest(command=command):
                done = subprocess.run(
                    ["bash", "-c", command.replace("localhost:8080", f"127.0.0.1:{server.port}")], check=False,
                    capture_output=True, text=True, timeout=120, env=environment(self.home, World.data_home, {}))
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stdout, pattern(shown))
                ran += 1
        self.assertGreater(ran, 15)

    def test_every_route_of_the_description_is_on_the_page(self):
        text = PAGE.read_text(encoding="utf-8")
        for path in self.serve("-m", "starter").get("/openapi.json").json()["paths"]:
            self.assertIn(path, text)
