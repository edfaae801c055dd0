"""What users of such servers trip over: answers cut off in the middle of a call, members that mean nothing here, methods, and
connections that go on after an error."""

import json
import re
import socket

from hub_case import HubTest, folder_model
from serving import Server, Serving, call, final, write_script

USER = [{"role": "user", "content": "What is it?"}]
CITY = {"type": "object", "properties": {"city": {"type": "string", "minLength": 200}}, "required": ["city"]}
TOOL = {"type": "function", "function": {"name": "weather", "parameters": CITY}}


class CutOff(Serving):
    """By max_tokens, where the turn was not over."""

    def test_a_call_in_text_is_told_as_far_as_it_goes(self):
        server = self.serve("-m", "starter")
        body = {"messages": USER, "tools": [TOOL], "tool_choice": "required", "temperature": 0}
        for limit, named in ((8, False), (24, True)):
            choice = self.posted(server, "/v1/chat/completions", body | {"max_tokens": limit}).json()["choices"][0]
            self.assertEqual(choice["finish_reason"], "length")
            self.assertFalse(choice["message"]["content"])
            calls = choice["message"].get("tool_calls", [])
            self.assertEqual([c["function"]["name"] for c in calls], ["weather"] * named)
            events = self.posted(server, "/v1/chat/completions", body | {"max_tokens": limit, "stream": True}).events()
            chunks = [json.loads(data) for _, data in events[:-1]]
            self.assertEqual("".join(c["choices"][0]["delta"].get("content") or "" for c in chunks), "")
            self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "length")
        asked = {"model": "starter", "messages": USER, "tools": [TOOL], "options": {"num_predict": 24, "temperature": 0}}
        for stream in (False, True):  # arguments are objects here: there is no half a call
            lines = self.posted(server, "/api/chat", asked | {"stream": stream}).lines()
            self.assertFalse([line for line in lines if "tool_calls" in line["message"]])
            self.assertEqual(lines[-1]["done_reason"], "length")

    def test_a_call_in_harmony_is_told_as_far_as_it_goes(self):
        server = self.scripted(*[call("weather", {"city": "x" * 300})] * 3)
        body = {"messages": USER, "tools": [TOOL], "max_tokens": 30}
        choice = self.posted(server, "/v1/chat/completions", body).json()["choices"][0]
        self.assertEqual(choice["finish_reason"], "length")
        self.assertTrue(choice["message"]["tool_calls"][0]["function"]["arguments"].startswith('{"city": "xx'))
        asked = {"model": "scripted", "messages": USER, "tools": [TOOL], "options": {"num_predict": 30}}
        for stream in (False, True):
            lines = self.posted(server, "/api/chat", asked | {"stream": stream}).lines()
            self.assertFalse([line for line in lines if "tool_calls" in line["message"]])

    def test_the_items_of_a_response_say_so(self):
        server = self.scripted(*[final("It is four, I am told.")] * 2, call("weather", {"city": "x" * 300}))
        body = {"input": "What is it?", "max_output_tokens": 6}
        whole = self.posted(server, "/v1/responses", body).json()
        self.assertEqual((whole["status"], whole["output"][-1]["status"]), ("incomplete", "incomplete"))
        events = [json.loads(data) for _, data in self.posted(server, "/v1/responses", body | {"stream": True}).events()]
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        self.assertEqual(done[-1]["status"], "incomplete")
        self.assertEqual(events[-1]["response"]["output"], done)
        tool = {"type": "function", "name": "weather", "parameters": CITY}
        events = [json.loads(data) for _, data in
                  self.posted(server, "/v1/responses", body | {"stream": True, "tools": [tool], "max_output_tokens": 20}).events()]
        done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        self.assertEqual([(item["type"], item["status"]) for item in done], [("function_call", "incomplete")])


class Members(Serving):
    def test_what_would_change_the_answer_is_refused_not_ignored(self):
        server = self.scripted(final("Hi."))
        for member, value in (("functions", [{"name": "f"}]), ("function_call", {"name": "f"}), ("audio", {"voice": "a"}),
                              ("web_search_options", {"search_context_size": "low"}), ("modalities", ["text", "audio"])):
            error = self.posted(server, "/v1/chat/completions", {"messages": USER, member: value}, status=400).json()["error"]
            self.assertTrue(error["message"].startswith(member), error)
        self.posted(server, "/v1/chat/completions", {"messages": USER, "functions": [], "audio": None, "modalities": ["text"]})

    def test_a_prompt_is_scored_without_a_token_more(self):
        server = self.serve("-m", "starter")
        body = {"prompt": "The capital of France is Paris", "max_tokens": 0, "echo": True, "logprobs": 1}
        reply = self.posted(server, "/v1/completions", body).json()
        choice = reply["choices"][0]
        self.assertEqual((choice["text"], choice["finish_reason"]), (body["prompt"], "length"))
        self.assertEqual(len(choice["logprobs"]["token_logprobs"]), reply["usage"]["prompt_tokens"])
        self.assertEqual(reply["usage"]["completion_tokens"], 0)

    def test_a_model_is_loaded_and_unloaded_by_asking_it_nothing(self):
        server = self.serve()
        for path, body, member, nothing in (("/api/generate", {"model": "starter"}, "response", ""),
                                            ("/api/chat", {"model": "starter:latest", "messages": []}, "message",
                                             {"role": "assistant", "content": ""})):
            reply, = self.posted(server, path, body).lines()
            self.assertEqual((reply[member], reply["done"], reply["done_reason"]), (nothing, True, "load"))
            self.assertEqual([model["name"] for model in server.get("/api/ps").json()["models"]], ["starter"])
            for keep_alive in (0, "0s"):
                gone = self.posted(server, path, body | {"keep_alive": keep_alive, "stream": False}).json()
                self.assertEqual(gone["done_reason"], "unload")
                self.assertEqual(server.get("/api/ps").json()["models"], [])
        self.posted(server, "/api/generate", {"model": "nobody"}, status=404)
        self.posted(server, "/api/generate", {"model": "nobody", "keep_alive": 0}, status=404)


class Pulls(HubTest, Serving):
    def test_repositories_come_by_name_and_nothing_by_path_or_address(self):
        server = self.serve("-m", write_script(self.home, [final("Hi.")]), starter=False, env=self.env)
        files = folder_model(300_000)
        self.hub.repositories["maker/tiny"] = files
        self.hub.repositories["maker/strange"] = folder_model(model_type="strange")
        lines = self.posted(server, "/api/pull", {"model": "hf.co/maker/tiny:latest"}).lines()
        self.assertEqual(lines[-1], {"status": "success"})
        self.assertTrue(all(line["completed"] <= line["total"] for line in lines[:-1] if line["total"]), lines)
        self.assertEqual(self.files("tiny"), files)
        for name, said in (("maker/none", "maker/none"), ("maker/strange", "strange")):
            *_, last = self.posted(server, "/api/pull", {"model": name}).lines()
            self.assertIn(said, last["error"])
        path = self.home / "model.gguf"
        path.write_bytes(b"GGUF")
        for name in (str(path), "model.gguf", "../x/y", self.hub.url + "/maker/tiny/", "ollama:tiny", "file:///etc/passwd", ""):
            self.posted(server, "/api/pull", {"model": name}, status=404)


class Connections(Serving):
    def exchange(self, server: Server, *pieces: bytes) -> bytes:
        """What comes back for these pieces, each sent when something came for the one before, until the server closes."""
        with socket.create_connection(("127.0.0.1", server.port), 60) as client:
            answer = b""
            for i, piece in enumerate(pieces):
                client.sendall(piece)
                if i + 1 < len(pieces):
                    answer += client.recv(65536)
            while more := client.recv(65536):
                answer += more
        return answer

    def post(self, body: dict, *fields: bytes, path: bytes = b"/v1/chat/completions") -> tuple[bytes, bytes]:
        data = json.dumps(body).encode()
        head = [b"POST " + path + b" HTTP/1.1", b"Host: localhost", b"Content-Type: application/json",
                b"Content-Length: %d" % len(data), *fields]
        return b"\r\n".join(head) + b"\r\n\r\n", data

    def test_a_connection_outlives_its_errors(self):
        server = self.scripted(*[final("Hi.")] * 2)
        good, bad = b"".join(self.post({"messages": USER})), b"".join(self.post({"messages": []}))
        lost = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\n\r\n"
        last = b"".join(self.post({"messages": USER}, b"Connection: close"))
        answer = self.exchange(server, bad + lost + good + bad + last)  # sent at once, answered in order
        found = re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)
        self.assertEqual(found, [b"400", b"404", b"200", b"400", b"200"])

    def test_a_body_is_asked_for_or_refused_before_it_is_sent(self):
        server = self.scripted(final("Hi."))
        head, body = self.post({"messages": USER}, b"Expect: 100-continue", b"Connection: close")
        answer = self.exchange(server, head, body)
        self.assertTrue(answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"), answer[:200])
        head, _ = self.post({"messages": USER}, b"Expect: 100-continue", path=b"/nowhere")
        self.assertTrue(self.exchange(server, head).startswith(b"HTTP/1.1 404 "))

    def test_methods_that_there_are(self):
        server = self.scripted()
        wrong = server.get("/v1/chat/completions")
        self.assertEqual((wrong.status, wrong.headers["allow"]), (405, "POST"))
        asked = server.request("OPTIONS", "/v1/responses/resp_1")
        self.assertEqual((asked.status, asked.headers["allow"]), (204, "GET, DELETE, OPTIONS"))
        whole, head = server.get("/v1/models"), server.request("HEAD", "/v1/models")
        self.assertEqual((head.status, head.headers["content-length"], head.body),
                         (200, whole.headers["content-length"], b""))
        foreign = {"origin": "https://app.example", "access-control-request-method": "POST"}
        self.assertEqual(server.request("OPTIONS", "/v1/models", headers=foreign).status, 403)

    def test_pages_that_may_ask(self):
        server = self.scripted(final("Hi."), flags=("--cors-origin", "https://app.example"))
        origin = {"origin": "https://app.example"}
        asked = server.request("OPTIONS", "/v1/chat/completions", headers=origin | {"access-control-request-method": "POST"})
        self.assertEqual((asked.status, asked.headers["access-control-allow-origin"]), (204, "https://app.example"))
        self.assertIn("content-type", asked.headers["access-control-allow-headers"])
        answer = server.post("/v1/chat/completions", {"messages": USER}, headers=origin)
        self.assertEqual((answer.status, answer.headers["access-control-allow-origin"]), (200, "https://app.example"))
        refused = server.post("/v1/chat/completions", {"messages": []}, headers=origin)  # a page reads errors, too
        self.assertEqual((refused.status, refused.headers["access-control-allow-origin"]), (400, "https://app.example"))
