"""A second real model: Gemma 3 270M in Q4_K_M, another architecture, tokenizer, template and format than the starter.

Expected tokens and perplexity are llama.cpp's on the same file (tools/fidelity.py says how they are obtained).
"""

import json

from harness import EndToEnd, cached_gemma


class Gemma(EndToEnd):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.model = cached_gemma()

    def test_what_it_is(self):
        shown = self.ok("show", self.model, "--json").json()
        self.assertEqual(shown["architecture"], "gemma3")
        self.assertEqual((shown["layers"], shown["d_model"], shown["vocab_size"], shown["context_length"]),
                         (18, 640, 262144, 32768))
        self.assertEqual(sorted(shown["formats"]), ["F32", "Q4_K", "Q5_0", "Q6_K", "Q8_0"])

    def test_it_answers_through_its_own_template(self):
        answer = self.ok("chat", "-m", self.model, "--temp", "0", "--max-tokens", "24",
                         "What is the capital of France?").text
        self.assertIn("Paris", answer)
        again = self.ok("chat", "-m", self.model, "--temp", "0", "--max-tokens", "24", "--threads", "1",
                        "What is the capital of France?").text
        self.assertEqual(again, answer)

    def test_text_comes_back_from_its_tokens(self):
        text = "Ça va? 你好, мир! \U0001f600\n\n  for (int i = 0; i < 10; ++i) {\t}"
        ids = self.ok("tokenize", "-m", self.model, stdin=text.encode()).json()
        self.assertEqual(self.ok("detokenize", "-m", self.model, stdin=json.dumps(ids).encode()).text, text)
