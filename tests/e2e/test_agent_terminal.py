"""The agent at a terminal, driven in tmux: what is on the screen, and how soon."""

import os
import re
import time

from agent_fixture import AgentTest, final, patch, shell, think, update
from harness import REPOSITORY, start
from tmux import GOLDENS, Tmux, settled


class TerminalTest(AgentTest):
    def open(self, *turns: str, flags=("--sandbox", "full"), command=(), **options) -> Tmux:
        terminal = Tmux(self, *command, "-m", self.script(*turns), *flags, cwd=self.work, **options)
        terminal.wait_for("context")  # the status line of an opened session
        return terminal

    def send(self, terminal: Tmux, text: str) -> None:
        terminal.type(text)
        terminal.press("Enter")

    def compare(self, name: str, screen: str) -> None:
        """With the committed screen; ATELIER_UPDATE_SCREENS=1 writes it."""
        golden = GOLDENS / f"{name}.txt"
        if os.environ.get("ATELIER_UPDATE_SCREENS"):
            GOLDENS.mkdir(exist_ok=True)
            golden.write_text(settled(screen) + "\n", encoding="utf-8")
        self.assertEqual(settled(screen) + "\n", golden.read_text(encoding="utf-8"))


class Conversation(TerminalTest):
    def test_an_answer_in_markdown(self):
        answer = ("# Result\n\nIt **works**, see `main`:\n\n- one\n- two\n\n```cpp\nint main() { return 0; }\n```\n\n"
                  "| a | b |\n|---|---|\n| 1 | 2 |\n")
        terminal = self.open(think("Let me think about it.", final(answer)))
        self.send(terminal, "What is it?")
        screen = terminal.wait_for(lambda screen: "1 │ 2" in screen and "reused" in screen and "Working" not in screen)
        self.assertIn("Thought for", screen)
        self.compare("answer", screen)
        self.assertRegex(terminal.screen(colours=True), r"\x1b\[\S*1m[^\n]*works")

    def test_tools_and_a_diff(self):
        self.write("a.py", "def f():\n    return 1\n\n\nprint(f())\n")
        terminal = self.open(shell("python3 -B a.py"), patch(update("a.py", "-    return 1", "+    return 2")), shell("exit 3"),
                             final("Changed."), rows=40)
        self.send(terminal, "Change it.")
        self.compare("tools", terminal.wait_for("1 file changed"))

    def test_the_session_of_the_readme(self):
        self.write("prices.py", "def total(prices):\n    return sum(prices) - min(prices)\n")
        self.write("test_prices.py", "import unittest\nfrom prices import total\n\n\nclass Total(unittest.TestCase):\n"
                   "    def test_all(self):\n        self.assertEqual(total([3, 4]), 7)\n")
        tests = shell("python3 -B -m unittest -q 2>&1 | tail -n 1")
        terminal = self.open(
            think("I run the tests before I look.", tests),
            patch(update("prices.py", " def total(prices):", "-    return sum(prices) - min(prices)", "+    return sum(prices)")),
            tests, final("`total` left out the cheapest price. It sums all of them now, and the test passes."),
            flags=(), rows=40, columns=100)
        self.send(terminal, "The test of @prices.py fails. Mend it.")
        terminal.wait_for("1 file changed")
        self.send(terminal, "/undo")
        screen = terminal.wait_for("Undone")
        # Commands that take long say so; these do or do not.
        self.compare("readme", re.sub(r" \([\d.]+ m?s\)$", "", screen, flags=re.M))
        self.assertEqual(self.read("prices.py"), "def total(prices):\n    return sum(prices) - min(prices)\n")
        # What the README shows is what is on the screen, but for the first and the last line.
        shown = (GOLDENS / "readme.txt").read_text(encoding="utf-8").rstrip().splitlines()[1:-1]
        readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
        for line in filter(None, map(str.rstrip, shown)):
            self.assertIn(line, readme)

    def test_approval_with_a_diff(self):
        self.write(".envrc", "export A=1\n")
        terminal = self.open(patch(update(".envrc", "-export A=1", "+export A=2")), final("done"), flags=())
        self.send(terminal, "Change @.envrc.")
        screen = terminal.wait_for("always in this session")
        self.assertIn("-export A=1", screen)
        self.assertEqual(self.read(".envrc"), "export A=1\n")
        terminal.press("y")
        terminal.wait_for("done")
        self.assertEqual(self.read(".envrc"), "export A=2\n")

    def test_a_no_is_a_no(self):
        self.write(".envrc", "export A=1\n")
        terminal = self.open(patch(update(".envrc", "-export A=1", "+export A=2")), final("did not"), flags=())
        self.send(terminal, "Change @.envrc.")
        terminal.wait_for("always in this session")
        terminal.press("n")
        terminal.wait_for("did not")
        self.assertEqual(self.read(".envrc"), "export A=1\n")

    def test_esc_interrupts(self):
        terminal = self.open(shell("sleep 60"), final("went on"))
        self.send(terminal, "Wait.")
        terminal.wait_for("Running sleep 60")
        began = time.monotonic()
        terminal.press("Escape")
        terminal.wait_for("Interrupt")
        seen = time.monotonic() - began
        terminal.wait_for("Interrupted")
        print(f"Esc: on the screen after {seen * 1000:.0f} ms")
        self.send(terminal, "Go on.")
        terminal.wait_for("went on")

    def test_typing_while_it_works_waits_its_turn(self):
        terminal = self.open(shell("sleep 1.5; echo slept"), final("first"), final("second"))
        self.send(terminal, "One.")
        terminal.wait_for("Running")
        self.send(terminal, "Two.")
        terminal.wait_for("1 message waiting")
        screen = terminal.wait_for("second")
        self.assertLess(screen.index("first"), screen.index("› Two."))

    def test_undo_redo_and_diff(self):
        self.write("a.txt", "one\n")
        terminal = self.open(patch(update("a.txt", "-one", "+two")), final("done"))
        self.send(terminal, "Change @a.txt.")
        terminal.wait_for("1 file changed")
        self.send(terminal, "/diff")
        terminal.wait_for("+two")
        self.send(terminal, "/undo")
        terminal.wait_for("Undone: Change @a.txt.")
        self.assertEqual(self.read("a.txt"), "one\n")
        self.send(terminal, "/redo")
        terminal.wait_for("Redone: Change @a.txt.")
        self.assertEqual(self.read("a.txt"), "two\n")

    def test_resume_shows_where_it_stood(self):
        terminal = self.open(final("remember 42"))
        self.send(terminal, "What is the number?")
        terminal.wait_for("remember 42")
        self.send(terminal, "/quit")
        self.assertEqual(terminal.exit_status(), 0)
        again = self.open(final("it was 42"), command=("resume",))
        screen = again.wait_for("remember 42")
        self.assertIn("› What is the number?", screen)
        self.send(again, "Again?")
        again.wait_for("it was 42")
        self.send(again, "/sessions")
        self.assertIn("What is the number?", again.wait_for("2 turns"))

    def test_fork_and_sessions(self):
        terminal = self.open(final("a"), final("b"))
        self.send(terminal, "One.")
        terminal.wait_for(lambda screen: re.search(r"^a$", screen, re.M))
        self.send(terminal, "/fork")
        terminal.wait_for("This is session")
        self.send(terminal, "Two.")
        terminal.wait_for(lambda screen: re.search(r"^b$", screen, re.M))
        self.send(terminal, "/sessions")
        screen = terminal.wait_for("goes on with one")
        self.assertEqual(len(re.findall(r"One\.  \d turn", screen)), 2)

    def test_commands_say_what_they_do(self):
        terminal = self.open(final("x"), rows=40)
        everything = lambda: re.sub(r"\s+", " ", terminal.screen(history=True))
        for command, wanted in (("/help", "takes the last task back"), ("/sandbox read-only", "sandbox read-only, no network"),
                                ("/approve never", "does not allow: never"), ("/model", "script:/"),
                                ("/plan", "There is no plan yet"), ("/cost", "turns of the model"),
                                ("/nonsense", "There is no /nonsense"), ("/undo", "nothing to undo"),
                                ("/compact", "nothing to compact"), ("/clear", "A new session")):
            self.send(terminal, command)
            terminal.wait_for(lambda _, wanted=wanted: wanted in everything())
        terminal.press("C-d")
        self.assertEqual(terminal.exit_status(), 0)


class Typing(TerminalTest):
    def test_completion(self):
        self.write("src/apple.cpp", "x\n")
        self.write("docs/banana.md", "x\n")
        terminal = self.open(final("seen"))
        terminal.type("/un")
        terminal.wait_for("takes the last task back")
        terminal.press("Tab")
        terminal.wait_for("› /undo")
        terminal.press("C-u")
        terminal.type("look at @app")
        terminal.wait_for("▸ @src/apple.cpp")
        terminal.press("Tab")
        terminal.wait_for("› look at @src/apple.cpp")

    def test_a_paste_is_one_message(self):
        terminal = self.open(final("read"))
        terminal.paste("line one\nline two\n/quit\n")
        screen = terminal.wait_for("/quit")
        self.assertIn("› line one", screen)
        terminal.press("Enter")
        screen = terminal.wait_for(lambda s: re.search("^read$", s, re.M))
        self.assertIn("› line one\n  line two\n  /quit", screen)

    def test_history(self):
        terminal = self.open(final("a"))
        self.send(terminal, "first message")
        terminal.wait_for(lambda screen: re.search("^a$", screen, re.M))
        terminal.press("Up")
        terminal.wait_for(lambda screen: len(re.findall("› first message", screen)) == 2)


class Looks(TerminalTest):
    def test_resize(self):
        terminal = self.open(final("A long answer that has to be broken into several lines once there is less room for it."),
                             columns=100)
        self.send(terminal, "Say something long, please, so that the prompt is long as well.")
        terminal.wait_for("room for it.")
        terminal.type("some text that is being typed while the window changes its size")
        for columns, rows in ((40, 20), (70, 12), (30, 24), (100, 24)):
            terminal.resize(columns, rows)
            terminal.press("Left")
            time.sleep(0.2)
        screen = terminal.wait_for("while the window changes its size")
        # The region is there once, nothing of older ones is left below the answer.
        self.assertEqual(len(re.findall("script.json", screen)), 1, screen)
        self.assertEqual(len(re.findall("› some text", screen)), 1, screen)

    def test_no_colour(self):
        self.write("a.txt", "one\n")
        terminal = self.open(patch(update("a.txt", "-one", "+two")), final("**done**"), env={"NO_COLOR": "1"})
        self.send(terminal, "Change @a.txt.")
        terminal.wait_for("done")
        self.assertNotRegex(terminal.screen(colours=True), r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])m")

    def test_a_dumb_terminal_gets_plain_lines(self):
        self.write("a.txt", "one\n")
        model = self.script(patch(update("a.txt", "-one", "+two")), final("All **done**."))
        process = start("-m", model, "--sandbox", "full", home=self.home, data_home=self.own_data, cwd=self.work,
                        env={"TERM": "dumb", "LC_ALL": "C"})
        out, err = process.communicate(b"Change @a.txt.\n/cost\n", timeout=60)
        self.assertEqual(process.returncode, 0, err)
        self.assertNotIn(b"\x1b", out)
        self.assertNotIn(b"\r", out)
        text = out.decode("ascii")  # the locale knows nothing else
        self.assertIn("> Change @a.txt.", text)
        self.assertIn("+two", text)
        self.assertIn("All done.", text)
        self.assertEqual(self.read("a.txt"), "two\n")

    def test_what_a_command_prints_cannot_speak_to_the_terminal(self):
        terminal = self.open(shell("printf '\\033]0;owned\\007\\033[2J\\033[31mred\\033[0m text\\n'"), final("\x1b[31mx\x1b[2Jdone"))
        self.send(terminal, "Print.")
        screen = terminal.wait_for("done")
        self.assertIn("red text", screen)
        self.assertIn("› Print.", screen)  # nothing was cleared
        self.assertNotIn("owned", terminal.tmux("display-message", "-p", "#{pane_title}"))


class Startup(TerminalTest):
    def test_time_to_the_prompt(self):
        for i in range(200):
            self.write(f"src/file{i}.py", f"def f{i}():\n    return {i}\n")
        times = []
        for _ in range(3):
            began = time.monotonic()
            terminal = Tmux(self, "-m", self.script(final("x")), cwd=self.work)
            terminal.wait_for("context")
            times.append(time.monotonic() - began)
            terminal.close()
        print(f"start to an opened session in tmux: {min(times) * 1000:.0f} ms at best")
