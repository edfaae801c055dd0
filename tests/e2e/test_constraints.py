"""What the real starter model may say under constraints: any words, the right shape; and what cannot be guaranteed is
refused by name. And turns that come back are found in the prefix cache token by token."""

import json
import re

from serving import Serving, call, final

USER = [{"role": "user", "content": "Tell me about Paris and its weather, at length."}]
SCHEMA = {"type": "object", "additionalProperties": False, "required": ["city", "mood", "facts"], "properties": {
    "city": {"type": "string", "pattern": "^[A-Z][a-z]{2,12}$"}, "mood": {"enum": ["good", "bad"]},
    "facts": {"type": "array", "items": {"type": "string", "maxLength": 30}, "minItems": 2, "maxItems": 3}}}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": {
    "type": "object", "properties": {"city": {"type": "string", "maxLength": 20}, "days": {"type": "integer", "minimum": 1,
                                                                                           "maximum": 9}},
    "required": ["city", "days"], "additionalProperties": False}}},
    {"type": "function", "function": {"name": "stop_here"}}]


class Constraints(Serving):
    def valid(self, answer: dict) -> None:
        self.assertRegex(answer["city"], "^[A-Z][a-z]{2,12}$")
        self.assertIn(answer["mood"], ("good", "bad"))
        self.assertTrue(2 <= len(answer["facts"]) <= 3 and all(len(fact) <= 30 for fact in answer["facts"]))
        self.assertEqual(set(answer), {"city", "mood", "facts"})

    def test_answers_of_the_real_model_have_their_form(self):
        server = self.serve("-m", "starter")

        def said(seed: int, **options) -> str:
            body = {"messages": USER, "seed": seed, "temperature": 1.5, "max_tokens": 400, **options}
            choice = self.posted(server, "/v1/chat/completions", body).json()["choices"][0]
            self.assertEqual(choice["finish_reason"], "stop")
            return choice["message"]["content"]

        for seed in range(3):
            self.valid(json.loads(said(seed, response_format={
                "type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}})))
            self.assertRegex(said(seed, response_format={"type": "regex", "regex": "(yes|no): [a-z ]{5,40}"}),
                             "^(yes|no): [a-z ]{5,40}$")
            self.assertRegex(said(seed, grammar='root ::= "<" [0-9]{1,5} ("," [0-9]{1,5}){2} ">"'),
                             r"^<\d{1,5}(,\d{1,5}){2}>$")
        free = self.posted(server, "/v1/chat/completions", {
            "messages": USER, "seed": 1, "max_tokens": 300, "response_format": {"type": "json_object"}}).json()["choices"][0]
        if free["finish_reason"] == "stop":
            self.assertIsInstance(json.loads(free["message"]["content"]), dict)
        self.assertTrue(free["message"]["content"].startswith("{"))

    def test_a_choice_of_tools_is_kept(self):
        server = self.serve("-m", "starter")
        for choice, names in (("required", {"weather", "stop_here"}),
                              ({"type": "function", "function": {"name": "weather"}}, {"weather"})):
            for seed in range(4):
                body = {"messages": USER, "tools": TOOLS, "tool_choice": choice, "parallel_tool_calls": False, "seed": seed,
                        "temperature": 1.2, "max_tokens": 200}
                turn = self.posted(server, "/v1/chat/completions", body).json()["choices"][0]
                self.assertEqual(turn["finish_reason"], "tool_calls")
                (called,) = turn["message"]["tool_calls"]
                self.assertIn(called["function"]["name"], names)
                arguments = json.loads(called["function"]["arguments"])
                if called["function"]["name"] == "weather":
                    self.assertEqual(set(arguments), {"city", "days"})
                    self.assertIn(arguments["days"], range(1, 10))
                else:
                    self.assertEqual(arguments, {})

    def test_a_prediction_saves_steps_and_changes_nothing(self):
        server = self.serve("-m", "starter", "--deterministic")
        body = {"messages": USER, "temperature": 0, "max_tokens": 60}
        plain = self.posted(server, "/v1/chat/completions", body).json()
        said = plain["choices"][0]["message"]["content"]
        for content in (said, [{"type": "text", "text": said}]):
            told = self.posted(server, "/v1/chat/completions", body | {"prediction": {"type": "content", "content": content}}).json()
            self.assertEqual(told["choices"][0]["message"]["content"], said)
            self.assertGreater(told["usage"]["completion_tokens_details"]["accepted_prediction_tokens"], 30)
        wrong = {"prediction": {"type": "content", "content": 1}}
        refused = self.posted(server, "/v1/chat/completions", body | wrong, status=400)
        self.assertIn("prediction.content", refused.text)

    def test_what_cannot_be_guaranteed_is_refused(self):
        server = self.serve("-m", "starter")
        for options, name in (
                ({"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"maximun": 1}}}}, "maximun"),
                ({"tools": [{"type": "function", "function": {"name": "f", "parameters": {
                    "type": "object", "properties": {"x": {"type": "string", "format": "no-such"}}}}}]}, "x/format"),
                ({"grammar": "root ::= missing"}, "missing"),
                ({"regex": "(?=a)b"}, "look-ahead"),
                ({"response_format": {"type": "json_schema", "json_schema": {
                    "name": "a", "schema": {"allOf": [{"type": "string"}, {"type": "integer"}]}}}}, "none can")):
            error = self.posted(server, "/v1/chat/completions", {"messages": USER, **options}, status=400).json()["error"]
            self.assertIn(name, error["message"])
        deep = '{"messages": [{"role": "user", "content": "a"}], "regex": "' + "(" * 10_000_000 + '"}'
        self.assertIn(server.post("/v1/chat/completions", deep).status, (400, 413))
        nested = '{"messages": [{"role": "user", "content": "a"}], "response_format": ' + "[" * 10_000_000
        self.assertIn(server.post("/v1/chat/completions", nested).status, (400, 413))
        self.posted(server, "/v1/chat/completions", {"messages": USER, "max_tokens": 1})

    def test_a_second_turn_on_a_long_history_computes_what_is_new(self):
        server = self.serve("-m", "starter")
        long = "It was a dark and stormy night; the rain fell in torrents. " * 280  # 4,000 tokens
        first = self.posted(server, "/v1/chat/completions", {
            "messages": [{"role": "user", "content": long}], "max_tokens": 24, "seed": 3}).json()
        messages = [{"role": "user", "content": long}, {"role": "assistant", "content": first["choices"][0]["message"]["content"]},
                    {"role": "user", "content": "Go on."}]
        usage = self.posted(server, "/v1/chat/completions", {"messages": messages, "max_tokens": 1}).json()["usage"]
        self.assertGreater(usage["prompt_tokens"], 4000)
        # All but the end of the sampled turn and what follows it.
        self.assertLess(usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"], 40)

    def test_calls_that_come_back_otherwise_are_found(self):
        arguments = {"city": "Rome", "days": 3}
        server = self.scripted(call("weather", json.dumps(arguments, indent=1), "I must look. " * 40), final("Sunny."))
        turn = self.posted(server, "/v1/chat/completions", {"messages": USER, "tools": TOOLS}).json()["choices"][0]
        called = turn["message"]["tool_calls"][0]
        called["function"]["arguments"] = json.dumps(arguments, separators=(",", ":"))  # as many clients do
        history = [*USER, {"role": "assistant", "tool_calls": [called]},  # and without its reasoning
                   {"role": "tool", "tool_call_id": called["id"], "content": "sun"}]
        usage = self.posted(server, "/v1/chat/completions", {"messages": history, "tools": TOOLS}).json()["usage"]
        self.assertLess(usage["prompt_tokens"] - usage["prompt_tokens_details"]["cached_tokens"], 30)
        metrics = server.get("/metrics").text
        self.assertRegex(metrics, r"atelier_cached_tokens_total\{[^}]*\} [1-9]")
        self.assertTrue(re.search(r"atelier_drafted_tokens_total\{[^}]*\} \d", metrics))
