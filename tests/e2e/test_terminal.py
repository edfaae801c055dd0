"""What only shows at a terminal, and what Ctrl-C and closed pipes do."""

import os
import pty
import re
import select
import subprocess
import time

from harness import TEXT, EndToEnd, World, environment, start

CONTROL = re.compile(rb"\x1b\[[0-9;?]*[a-zA-Z]")


class Terminal:
    """A pseudo-terminal that a command runs on."""

    def __init__(self, test: EndToEnd, *arguments, data_home=None, env=None, stdout=None):
        self.master, slave = pty.openpty()
        settings = environment(test.home, data_home or World.data_home, {"TERM": "xterm"} | (env or {}))
        self.process = subprocess.Popen([World.binary, *map(str, arguments)], stdin=slave, stdout=stdout or slave,
                                        stderr=slave, env=settings, cwd=test.home, start_new_session=True,
                                        preexec_fn=lambda: os.close(os.open(os.ttyname(0), os.O_RDWR)))
        os.close(slave)
        self.seen = b""
        test.addCleanup(self.close)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)

    def send(self, data: bytes) -> None:
        os.write(self.master, data)

    def wait_for(self, done, seconds: float = 60) -> bytes:
        """Reads until done(everything seen) or the end; everything seen."""
        deadline = time.monotonic() + seconds
        while not done(self.seen):
            if not select.select([self.master], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise AssertionError(f"nothing more after {self.seen!r}")
            try:
                data = os.read(self.master, 65536)
            except OSError:  # the other side is closed
                break
            if not data:
                break
            self.seen += data
        return self.seen

    def finish(self, seconds: float = 60) -> int:
        self.wait_for(lambda _: False, seconds)
        return self.process.wait(seconds)


class Progress(EndToEnd):
    def pull(self, *flags, env=None) -> bytes:
        terminal = Terminal(self, "pull", "starter", *flags, data_home=self.own_data,
                            env=World.offline_pip() | (env or {}))
        self.assertEqual(terminal.finish(), 0, terminal.seen)
        return terminal.seen

    def test_a_bar_at_a_terminal(self):
        self.assertIn(b"MB", self.pull())

    def test_quiet_is_quiet(self):
        self.assertEqual(self.pull("--quiet"), b"")

    def test_no_colour_when_asked_not_to(self):
        self.assertNotRegex(self.pull(env={"NO_COLOR": "1"}), rb"\x1b\[[0-9;]*m")


class Conversation(EndToEnd):
    def open(self, *flags) -> Terminal:
        terminal = Terminal(self, "chat", "--temp", "0", *flags)
        terminal.wait_for(lambda seen: CONTROL.sub(b"", seen).rstrip(b" ").endswith(b">"))
        return terminal

    @staticmethod
    def prompt_again(begin: int):
        return lambda seen: CONTROL.sub(b"", seen[begin:]).replace(b"\r", b"").rstrip(b" ").endswith(b"\n>")

    def ask(self, terminal: Terminal, text: bytes) -> bytes:
        begin = len(terminal.seen)
        terminal.send(text + b"\n")
        return CONTROL.sub(b"", terminal.wait_for(self.prompt_again(begin))[begin:])

    def test_two_turns_and_goodbye(self):
        terminal = self.open("--max-tokens", "24")
        question = "What is the capital of France?"
        alone = self.ok("chat", "--temp", "0", "--max-tokens", "24", question)
        self.assertIn(alone.out.strip(), self.ask(terminal, question.encode()).replace(b"\r", b""))
        self.assertGreater(len(self.ask(terminal, b"And of Italy?").strip()), 20)
        terminal.send(b"\x04")
        self.assertEqual(terminal.finish(), 0)

    def test_goodbye_while_the_answer_is_said(self):
        terminal = self.open("--max-tokens", "24")
        begin = len(terminal.seen)
        question = b"What is the capital of France?"
        terminal.send(question + b"\n")
        # Shown twice, as below; what follows is the answer, whatever its words.
        terminal.wait_for(lambda seen: len(CONTROL.sub(b"", seen[begin:])) > 2 * len(question) + 10)
        terminal.send(b"\x04")  # the terminal is not raw now
        self.assertEqual(terminal.finish(), 0)

    def test_ctrl_c_stops_the_answer_and_not_the_program(self):
        terminal = self.open()
        begin = len(terminal.seen)
        question = b"Tell me a very long story about a lighthouse."
        terminal.send(question + b"\n")
        # What is typed before the terminal is raw is shown twice: by the kernel, and by the editor.
        terminal.wait_for(lambda seen: len(CONTROL.sub(b"", seen[begin:])) > 2 * len(question) + 20)
        terminal.send(b"\x03")
        terminal.wait_for(self.prompt_again(begin), 20)
        self.assertIsNone(terminal.process.poll())
        asked = len(terminal.seen)
        terminal.send(b"/help\n")
        terminal.wait_for(lambda seen: b"starts over" in CONTROL.sub(b"", seen[asked:]))
        terminal.send(b"\x04")
        self.assertEqual(terminal.finish(), 0)


class Interruption(EndToEnd):
    def test_ctrl_c_ends_generation_with_130(self):
        seen = b""

        def ready(process):
            nonlocal seen
            seen = os.read(process.stdout.fileno(), 1)

        for arguments in (("generate", "-m", "starter", "--temp", "0", "--max-tokens", "4000", "Once upon a time"),
                          ("chat", "--temp", "0", "--max-tokens", "4000", "Count from 1 to 1000.")):
            with self.subTest(command=arguments[0]):
                status, out, err = self.interrupt_after(*arguments, ready=ready)
                self.assertEqual(status, 130, err)
                (seen + out).decode("utf-8", "strict")
                self.assertLessEqual(err.count("\n"), 1)

    def test_ctrl_c_ends_perplexity_with_130(self):
        status, out, _ = self.interrupt_after("perplexity", "-m", "starter", TEXT, ready=lambda _: time.sleep(0.5))
        self.assertEqual((status, out), (130, b""))

    def test_a_closed_pipe_ends_the_program(self):
        process = start("generate", "-m", "starter", "--temp", "0", "--max-tokens", "4000", "Once upon a time",
                        home=self.home, data_home=World.data_home, stdin=subprocess.DEVNULL)
        process.stdout.read(1)
        process.stdout.close()
        try:
            self.assertEqual(process.wait(30), 1)
        finally:
            process.kill()
        with process.stderr as stream:
            self.assertEqual(stream.read().count(b"\n"), 1)
