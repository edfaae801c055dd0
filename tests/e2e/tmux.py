"""A terminal whose screen can be read: a pane of tmux."""

import os
import re
import subprocess
import time
from pathlib import Path

from harness import EndToEnd, World, environment


class Tmux:
    """Runs the program in a pane; keys in, screen out."""

    def __init__(self, test: EndToEnd, *arguments, columns: int = 80, rows: int = 24, cwd=None, env=None,
                 data_home=None):
        self.socket = f"atelier-test-{os.getpid()}-{id(self)}"
        self.status = test.home / f"status-{id(self)}"
        settings = environment(test.home, data_home or test.own_data, {"LC_ALL": "C.UTF-8", "SHELL": "/bin/sh"} | (env or {}))
        settings.pop("TMUX", None)
        settings["TMUX_TMPDIR"] = str(test.home / "tmp")
        self.settings = settings
        words = " ".join("'" + str(word).replace("'", "'\\''") + "'" for word in (World.binary, *arguments))
        term = f"TERM={(env or {})['TERM']} " if env and "TERM" in env else ""
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", str(columns), "-y", str(rows),
                  "-c", str(cwd or test.home), f"{term}{words}; echo $? > '{self.status}'; sleep 600")
        test.addCleanup(self.close)

    def tmux(self, *words: str) -> str:
        done = subprocess.run(["tmux", "-u", "-L", self.socket, *words], env=self.settings, capture_output=True, check=False)
        if done.returncode != 0:
            raise AssertionError(f"tmux {words}: {done.stderr.decode()}")
        return done.stdout.decode("utf-8", "replace")

    def close(self) -> None:
        subprocess.run(["tmux", "-L", self.socket, "kill-server"], env=self.settings, capture_output=True, check=False)

    def type(self, text: str) -> None:
        self.tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: Enter, Escape, Up, C-c, …"""
        self.tmux("send-keys", *keys)

    def paste(self, text: str) -> None:
        self.tmux("set-buffer", "--", text)
        self.tmux("paste-buffer", "-p")

    def resize(self, columns: int, rows: int) -> None:
        self.tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self, colours: bool = False, history: bool = False) -> str:
        flags = (["-e"] if colours else []) + (["-S", "-"] if history else [])
        lines = self.tmux("capture-pane", "-p", *flags).split("\n")
        while lines and not lines[-1].strip():
            lines.pop()
        return "\n".join(line.rstrip() for line in lines)

    def wait_for(self, wanted, seconds: float = 30, **how) -> str:
        """The screen, once `wanted` (a text, or a function of the screen) is on it."""
        found = wanted if callable(wanted) else lambda screen: wanted in screen
        deadline = time.monotonic() + seconds
        while True:
            screen = self.screen(**how)
            if found(screen):
                return screen
            if time.monotonic() > deadline:
                raise AssertionError(f"not on the screen within {seconds} s: {wanted}\n{screen}")
            time.sleep(0.02)

    def exit_status(self, seconds: float = 20) -> int:
        deadline = time.monotonic() + seconds
        while not (self.status.exists() and self.status.read_text().strip()):
            if time.monotonic() > deadline:
                raise AssertionError(f"still running:\n{self.screen()}")
            time.sleep(0.02)
        return int(self.status.read_text())


def settled(screen: str) -> str:
    """The screen without what differs from run to run."""
    screen = re.sub(r"\d{8}-\d{6}-[0-9a-f]{8}", "SESSION", screen)
    screen = re.sub(r"\d+(\.\d)? s\b", "N s", screen)
    screen = re.sub(r"\d+ tok/s", "N tok/s", screen)
    screen = re.sub(r"\d+ % reused", "N % reused", screen)
    return re.sub(r"Atelier \S+ in \S+;", "Atelier VERSION in FOLDER;", screen)


GOLDENS = Path(__file__).resolve().parent / "screens"
