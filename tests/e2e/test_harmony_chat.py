"""chat with a scripted model that speaks harmony: what is shown of a turn, where, and what the next one keeps."""

import json
import re

from harness import REPOSITORY, EndToEnd
from test_terminal import CONTROL, Terminal

TURNS = ["<|channel|>analysis<|message|>Count the legs.<|end|><|start|>assistant<|channel|>final<|message|>Eight.<|return|>",
         "<|channel|>analysis<|message|>An insect.<|end|><|start|>assistant<|channel|>final<|message|>Six.<|return|>"]


class HarmonyChat(EndToEnd):
    def script(self, *turns: str) -> str:
        path = self.home / "script.json"
        path.write_text(json.dumps({"architecture": "gpt-oss", "turns": turns,
                                    "tokenizer": str(REPOSITORY / "tests" / "data" / "tokenizer" / "gpt-oss.json")}), "utf-8")
        return f"script:{path}"

    def converse(self, *flags: str) -> bytes:
        """All that a terminal shows of two turns."""
        terminal = Terminal(self, "chat", "-m", self.script(*TURNS), *flags)
        terminal.wait_for(lambda seen: CONTROL.sub(b"", seen).rstrip(b" ").endswith(b">"))
        for question, answer in ((b"A spider's legs?", b"Eight."), (b"An ant's?", b"Six.")):
            terminal.send(question + b"\n")
            terminal.wait_for(lambda seen, answer=answer: re.search(re.escape(answer) + rb"[^>]*> *$", CONTROL.sub(b"", seen), re.S))
        terminal.send(b"\x04")
        self.assertEqual(terminal.finish(), 0)
        return terminal.seen

    def test_a_script_that_reads_the_output_gets_the_answer_alone(self):
        done = self.ok("chat", "-m", self.script(*TURNS), "A spider's legs?")
        self.assertEqual(done.text, "Eight.\n")
        self.assertNotIn("Count", done.err)

    def test_reasoning_is_dimmed_and_the_answer_plain(self):
        seen = self.converse()
        dimmed = b"".join(re.findall(rb"\x1b\[2m(.*?)\x1b\[0m", seen, re.S))
        self.assertIn(b"Count the legs.", dimmed)
        self.assertIn(b"An insect.", dimmed)
        self.assertNotIn(b"Eight", dimmed)
        self.assertNotIn(b"<|", seen)

    def test_reasoning_can_be_hidden(self):
        seen = self.converse("--hide-reasoning")
        self.assertIn(b"Eight.", seen)
        self.assertNotIn(b"legs.", seen)
        self.assertNotIn(b"insect", seen)

    def test_a_turn_reuses_what_did_not_change(self):
        reused = [(int(a), int(b)) for a, b in re.findall(rb"prompt: (\d+) reused \+ (\d+) computed", self.converse("--verbose"))]
        self.assertEqual(len(reused), 2)
        self.assertEqual(reused[0][0], 0)
        self.assertGreater(reused[1][0], 30)
        # The reasoning is dropped after its answer: what follows it is computed again, and no more.
        self.assertLess(reused[1][1], 40)
