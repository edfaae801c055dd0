"""The description at /openapi.json is true: real answers, whole and streamed, fit its schemas."""

import json
import unittest

from client import Client, call, final
from jsonschema import Draft202012Validator

USER = [{"role": "user", "content": "What is it?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"name": "weather", "parameters": SCHEMA}
TOOL = {"type": "function", "function": FUNCTION}


class OpenApi(Client):
    def setUp(self) -> None:
        self.checked = set()

    def describe(self, server) -> None:
        self.server = server
        self.document = server.get("/openapi.json").json()

    def validate(self, schema: dict, value) -> None:
        validator = Draft202012Validator({"$ref": schema["$ref"], "components": self.document["components"]}
                                         if "$ref" in schema else schema)
        for error in validator.iter_errors(value):
            self.fail(f"{error.json_path}: {error.message}\n{json.dumps(value)[:3000]}")

    def check(self, method: str, path: str, body=None, status: int = 200, at: str | None = None):
        """Sends the request, holds it and its answer to the description of `path` (`at`: with values filled in)."""
        operation = self.document["paths"][path][method.lower()]
        if body is not None and status == 200:
            self.validate(operation["requestBody"]["content"]["application/json"]["schema"], body)
        reply = self.server.request(method, at or path, body)
        self.assertEqual(reply.status, status, reply.text[:2000])
        answer = operation["responses"]["200" if status == 200 else "default"]
        if not reply.body:
            self.assertNotIn("content", answer)
        else:
            kind = reply.headers["content-type"].split(";")[0]
            schema = answer["content"][kind]["schema"]
            if kind == "application/json":
                self.validate(schema, reply.json())
            elif kind == "application/x-ndjson":
                for line in reply.lines():
                    self.validate(schema, line)
            elif kind == "text/event-stream":
                values = [data for _, data in reply.events() if data != "[DONE]"]
                self.assertGreater(len(values), 2)
                for data in values:
                    self.validate(schema, json.loads(data))
                    event = json.loads(data)
                    if "response" in event:
                        self.validate({"$ref": "#/components/schemas/Response"}, event["response"])
                    if "item" in event and event["type"].endswith("done"):
                        self.validate({"$ref": "#/components/schemas/OutputItem"}, event["item"])
        self.checked.add((method, path))
        return reply

    def test_a_wrong_answer_is_noticed(self):
        self.describe(self.scripted(final("x")))
        with self.assertRaises(AssertionError):
            self.validate({"$ref": "#/components/schemas/Health"}, {"status": "ok", "more": 1})
        with self.assertRaises(AssertionError):
            self.validate({"$ref": "#/components/schemas/Health"}, {"status": "well"})

    def test_scripted_answers(self):
        thought, called = final("It is 4.", "2 + 2"), call("weather", {"city": "Rome"}, "I look.")
        self.describe(self.scripted(*[thought, called] * 9, call("edit", {"input": "x"})))
        for stream in (False, True):
            for tools in ([], [TOOL]):
                self.check("POST", "/v1/chat/completions",
                           {"messages": USER, "tools": tools, "stream": stream, "logprobs": True, "top_logprobs": 2,
                            "stream_options": {"include_usage": True}})
            for tools in ([], [{"type": "function", **FUNCTION}]):
                reply = self.check("POST", "/v1/responses", {"input": "Hi", "tools": tools, "stream": stream,
                                                             "reasoning": {"effort": "low"}, "metadata": {"a": "b"}})
            for tools in ([], [{"name": "weather", "input_schema": SCHEMA}]):
                self.check("POST", "/v1/messages", {"model": "scripted", "max_tokens": 4000, "messages": USER,
                                                    "tools": tools, "stream": stream,
                                                    "thinking": {"type": "enabled", "budget_tokens": 1024}})
            for tools in ([], [TOOL]):
                self.check("POST", "/api/chat", {"model": "scripted", "messages": USER, "tools": tools, "stream": stream})
        for path in ("/health", "/ready", "/v1/models", "/api/tags", "/api/ps", "/api/version", "/openapi.json", "/",
                     "/metrics"):
            reply = self.check("GET", path)
        self.check("GET", "/v1/models/{model}", at="/v1/models/scripted")
        self.check("GET", "/page/{file}", at="/page/app.js")

    def test_real_answers(self):
        self.describe(self.starter())
        for stream in (False, True):
            self.check("POST", "/v1/chat/completions", {"messages": USER, "max_tokens": 4, "n": 2, "stream": stream})
            self.check("POST", "/v1/completions", {"prompt": "Once upon a time", "max_tokens": 4, "logprobs": 2, "echo": True,
                                                   "stream": stream, "stream_options": {"include_usage": True}})
            self.check("POST", "/api/generate", {"model": "starter", "prompt": "Hi", "stream": stream,
                                                 "options": {"num_predict": 4}})
            self.check("POST", "/api/pull", {"model": "starter", "stream": stream})
        response = self.check("POST", "/v1/responses", {"input": "Hi", "max_output_tokens": 4}).json()
        at = f"/v1/responses/{response['id']}"
        self.check("GET", "/v1/responses/{id}/input_items", at=f"{at}/input_items")
        self.check("GET", "/v1/responses/{id}", at=at)
        self.check("DELETE", "/v1/responses/{id}", at=at)
        self.check("GET", "/v1/responses/{id}", at=at, status=404)
        self.check("POST", "/v1/messages", {"model": "starter", "max_tokens": 4, "messages": USER})
        self.check("POST", "/v1/messages", {"model": "starter", "messages": USER}, status=400)
        self.check("POST", "/v1/messages/count_tokens", {"model": "starter", "messages": USER})
        self.check("POST", "/v1/embeddings", {"input": ["a", "b"]})
        self.check("POST", "/v1/embeddings", {"input": "a", "encoding_format": "base64"})
        self.check("POST", "/v1/embeddings", {}, status=400)
        self.check("POST", "/api/embed", {"model": "starter", "input": "a"})
        self.check("POST", "/api/embeddings", {"model": "starter", "prompt": "a"})
        self.check("POST", "/api/show", {"model": "starter"})
        self.check("POST", "/api/show", {"model": "nobody"}, status=404)
        self.check("POST", "/api/copy", {"source": "nobody", "destination": "b"}, status=404)
        self.check("DELETE", "/api/delete", {"model": "nobody"}, status=404)
        self.check("POST", "/tokenize", {"content": "Hello"})
        self.check("POST", "/detokenize", {"tokens": [1, 2]})


if __name__ == "__main__":
    unittest.main()
