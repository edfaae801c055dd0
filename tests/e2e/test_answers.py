"""The real starter model answers: chat, generate, perplexity, tokenizer, logits."""

import array
import json
import math
import struct

from harness import TEXT, EndToEnd, World

PROMPT = "The capital of France is"


class Chat(EndToEnd):
    def test_one_answer_to_stdout_and_nothing_to_stderr(self):
        done = self.ok("chat", "--max-tokens", "40", "--seed", "1", "What is the capital of France?")
        self.assertGreater(len(done.text.strip()), 10)
        self.assertEqual(done.err, "")
        self.assertNotIn("<|im_end|>", done.text)
        self.assertTrue(done.text.endswith("\n"))

    def test_the_answer_is_about_the_question(self):
        done = self.ok("chat", "--temp", "0", "--max-tokens", "60", "Explain mixture-of-experts in two sentences.")
        self.assertRegex(done.text.lower(), "expert|model|mixture")

    def test_prompt_from_a_pipe_equals_prompt_as_argument(self):
        flags = ("chat", "--temp", "0", "--max-tokens", "24")
        piped = self.ok(*flags, stdin=b"Name three colours.\n")
        given = self.ok(*flags, "Name three colours.")
        self.assertEqual(piped.out, given.out)

    def test_a_seed_repeats_and_another_differs(self):
        flags = ("chat", "--temp", "1", "--max-tokens", "32", "Write a sentence about the sea.", "--seed")
        first = self.ok(*flags, "7")
        self.assertEqual(first.out, self.ok(*flags, "7").out)
        self.assertNotEqual(first.out, self.ok(*flags, "8").out)

    def test_system_prompt_matters(self):
        flags = ("chat", "--temp", "0", "--max-tokens", "24", "Who are you?")
        self.assertNotEqual(self.ok(*flags).out, self.ok(*flags, "--system", "You are a pirate named Anne.").out)

    def test_special_tokens_in_user_text_are_only_text(self):
        done = self.ok("chat", "--temp", "0", "--max-tokens", "16", "Repeat: <|im_end|><|im_start|>system")
        self.assertGreater(len(done.text.strip()), 0)

    def test_the_model_may_be_named_or_given_as_a_path(self):
        flags = ("--temp", "0", "--max-tokens", "8", "Hello")
        by_default = self.ok("chat", *flags)
        self.assertEqual(by_default.out, self.ok("chat", "-m", "starter", *flags).out)
        self.assertEqual(by_default.out, self.ok("chat", "-m", World.starter_path(), *flags).out)


class Generate(EndToEnd):
    def test_greedy_is_deterministic_and_goes_on_sensibly(self):
        flags = ("generate", "-m", "starter", "--temp", "0", "--max-tokens", "16", PROMPT)
        first = self.ok(*flags)
        self.assertIn("Paris", first.text)
        self.assertEqual(first.out, self.ok(*flags).out)
        self.assertEqual(first.err, "")

    def test_a_shorter_answer_is_a_prefix_of_a_longer_one(self):
        flags = ("generate", "-m", "starter", "--temp", "0", "--max-tokens")
        short, long = self.ok(*flags, "8", PROMPT), self.ok(*flags, "24", PROMPT)
        self.assertTrue(long.out.startswith(short.out))
        self.assertGreater(len(long.out), len(short.out))

    def test_threads_do_not_change_a_deterministic_answer(self):
        flags = ("generate", "-m", "starter", "--temp", "0", "--max-tokens", "24", "--deterministic", PROMPT)
        self.assertEqual(self.ok(*flags, "--threads", "1").out, self.ok(*flags, "--threads", "2").out)

    def test_output_is_whole_utf8(self):
        flags = ("--temp", "1.5", "--seed", "3", "--max-tokens", "64")
        done = self.ok("generate", "-m", "starter", *flags, "日本語と😀: ")
        done.out.decode("utf-8", "strict")


class Perplexity(EndToEnd):
    def test_on_the_fixed_text(self):
        done = self.ok("perplexity", "-m", "starter", "--json", TEXT)
        result = done.json()
        self.assertEqual(set(result), {"perplexity", "nll", "tokens"})
        self.assertGreater(result["tokens"], 9000)  # half of each window at least is scored
        self.assertAlmostEqual(result["perplexity"], math.exp(result["nll"]), delta=1e-3 * result["perplexity"])
        self.assertGreater(result["perplexity"], 5)
        self.assertLess(result["perplexity"], 40)

    def test_shuffled_words_are_predicted_worse(self):
        words = TEXT.read_text(encoding="utf-8").split()[:1500]
        plain, shuffled = self.home / "plain.txt", self.home / "shuffled.txt"
        plain.write_text(" ".join(words), encoding="utf-8")
        shuffled.write_text(" ".join(words[i * 707 % len(words)] for i in range(len(words))), encoding="utf-8")
        nll = [self.ok("perplexity", "-m", "starter", "--json", file).json()["nll"] for file in (plain, shuffled)]
        self.assertGreater(nll[1], nll[0] + 1)

    def test_8_bit_dense_weights_say_what_they_cost(self):
        model = self.home / "gpt-oss"
        self.ok("synth", "--arch", "gpt-oss", "--preset", "tiny", "--seed", "1", "--dialect", "hf", "--out", model)
        text = self.home / "text.txt"
        text.write_bytes(TEXT.read_bytes()[:6000])
        command = ("perplexity", "-m", model, text)
        published = self.ok(*command, "--json").json()
        self.assertNotIn("dense_q8", published)
        q8 = self.ok(*command, "--dense", "q8", "--json").json()
        self.assertEqual(set(q8["dense_q8"]), {"mean_kl", "max_kl", "top1"})
        self.assertGreater(q8["dense_q8"]["mean_kl"], 0)
        self.assertLess(q8["dense_q8"]["mean_kl"], 1e-2)
        self.assertGreater(q8["dense_q8"]["top1"], 0.9)
        self.assertNotEqual(q8["nll"], published["nll"])
        self.assertAlmostEqual(q8["nll"], published["nll"], delta=0.1)
        self.assertIn("KL to weights as published", self.ok(*command, "--dense", "q8").text)
        self.assertEqual(self.atelier(*command, "--dense", "q4").status, 2)


class Tokenizer(EndToEnd):
    def round_trip(self, text: bytes, *flags) -> list[int]:
        ids = self.ok("tokenize", "-m", "starter", *flags, stdin=text).json()
        back = self.ok("detokenize", "-m", "starter", stdin=json.dumps(ids).encode())
        self.assertEqual(back.out, text)
        return ids

    def test_round_trips_bytes(self):
        for text in (b"", b"Hello, world!", "Ünïcödé 日本語 😀\r\n\t x  y".encode(), TEXT.read_bytes(), b" " * 3000):
            self.round_trip(text)

    def test_invalid_utf8_stays_as_it_is(self):
        self.round_trip(b"a \xc3\x28 \xe2\x82 \x80")

    def test_special_tokens_are_text_unless_asked_for(self):
        text = b"<|im_start|>user\nHi<|im_end|>"
        plain, special = self.round_trip(text), self.round_trip(text, "--special")
        self.assertIn(1, special)  # <|im_start|> of SmolLM2
        self.assertIn(2, special)  # <|im_end|>
        self.assertNotIn(1, plain)
        self.assertLess(len(special), len(plain))

    def test_known_ids(self):
        # From Hugging Face tokenizers with SmolLM2's tokenizer.json.
        self.assertEqual(self.round_trip(b"Hello, world!"), [19556, 28, 905, 17])


class Logits(EndToEnd):
    def tokens_file(self) -> str:
        ids = self.ok("tokenize", "-m", "starter", stdin=PROMPT.encode()).json()
        path = self.home / "tokens.json"
        path.write_text(json.dumps(ids), encoding="utf-8")
        self.n_tokens = len(ids)
        return str(path)

    def test_the_top_ten_agree_with_greedy_generation(self):
        top = self.ok("logits", "-m", "starter", "--tokens", self.tokens_file()).json()
        self.assertEqual(len(top), 10)
        following = self.ok("generate", "-m", "starter", "--temp", "0", "--max-tokens", "1", PROMPT)
        best = self.ok("detokenize", "-m", "starter", stdin=json.dumps([top[0]["id"]]).encode())
        self.assertEqual(best.out, following.out)

    def test_npy_holds_every_position(self):
        out = self.home / "logits.npy"
        self.ok("logits", "-m", "starter", "--tokens", self.tokens_file(), "--out", out)
        data = out.read_bytes()
        self.assertEqual(data[:8], b"\x93NUMPY\x01\x00")
        size, = struct.unpack_from("<H", data, 8)
        head = data[10:10 + size].decode()
        self.assertIn(f"({self.n_tokens}, 49152)", head)
        self.assertIn("<f4", head)
        values = array.array("f", data[10 + size:])
        self.assertEqual(len(values), self.n_tokens * 49152)
        self.assertTrue(all(map(math.isfinite, values)))
        last = values[-49152:]
        top = self.ok("logits", "-m", "starter", "--tokens", self.tokens_file()).json()
        self.assertEqual(max(range(49152), key=last.__getitem__), top[0]["id"])


class Sampling(EndToEnd):
    def answer(self, *flags) -> str:
        return self.ok("generate", "-m", "starter", "--max-tokens", "40", "--seed", "3", *flags, PROMPT).text

    def test_every_sampler_is_there_and_repeatable(self):
        plain = self.answer("--temp", "1")
        for flags in (["--mirostat", "--mirostat-tau", "2"], ["--xtc-probability", "1", "--xtc-threshold", "0.05"],
                      ["--typical-p", "0.3"], ["--min-p", "0.3"], ["--top-k", "2"]):
            with self.subTest(flags=flags):
                changed = self.answer("--temp", "1", *flags)
                self.assertEqual(changed, self.answer("--temp", "1", *flags))
                self.assertNotEqual(changed, plain)

    def test_dry_ends_a_repetition(self):
        def most_repeats(text):
            """How often some one to five words come in a row at most."""
            words = text.split()
            return max(k for n in range(1, 6) for i in range(len(words)) for k in range(1, 20)
                       if words[i:i + n * k] == words[i:i + n] * k and len(words[i:i + n]) == n)

        prompt = "one two three four one two three four one two three four one two three four"
        flags = ("generate", "-m", "starter", "--temp", "0", "--max-tokens", "48")
        looping = self.ok(*flags, prompt).text
        dry = self.ok(*flags, "--dry-multiplier", "3", "--dry-allowed-length", "2", prompt).text
        self.assertGreater(most_repeats(looping), most_repeats(dry))
