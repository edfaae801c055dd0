"""Bad requests, bad clients, many of both: the right status, nothing left over, and the next good request is answered.

ATELIER_SOAK=1 runs the long form: 10,000 disconnects and 1,000 slow clients instead of hundreds.
"""

import contextlib
import http.client
import json
import os
import random
import re
import resource
import socket
import ssl
import subprocess
import threading
import time

from serving import Server, Serving, final, write_script

SOAK = bool(os.environ.get("ATELIER_SOAK"))
GOOD = {"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 8}
HOSTILE = [-2**63, -1, 0, 1, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 2**64, 1e308, -1e308, 1.5, "1", None, [], {}, True]

# Path, a good body, and the members of it that are numbers ("a.b": inside an object).
SAMPLING = ["temperature", "top_p", "top_k", "min_p", "typical_p", "repetition_penalty", "presence_penalty",
            "frequency_penalty", "repeat_last_n", "dry_multiplier", "dry_base", "dry_allowed_length", "dry_penalty_last_n",
            "xtc_probability", "xtc_threshold", "mirostat", "mirostat_tau", "mirostat_eta", "seed", "logit_bias.5"]
NUMBERS = [
    ("/v1/chat/completions", GOOD, [*SAMPLING, "max_tokens", "max_completion_tokens", "n", "top_logprobs"]),
    ("/v1/completions", {"prompt": "Hi", "max_tokens": 2},
     [*SAMPLING, "max_tokens", "n", "best_of", "logprobs", "prompt"]),
    ("/v1/responses", {"input": "Hi", "max_output_tokens": 4}, ["temperature", "top_p", "max_output_tokens", "top_logprobs"]),
    ("/v1/messages", {"model": "scripted", "messages": GOOD["messages"], "max_tokens": 8,
                      "thinking": {"type": "enabled"}}, ["temperature", "top_p", "top_k", "max_tokens", "thinking.budget_tokens"]),
    ("/api/chat", {"model": "scripted", "messages": GOOD["messages"], "stream": False, "options": {"num_predict": 4}},
     ["options.temperature", "options.top_k", "options.top_p", "options.min_p", "options.repeat_penalty", "options.seed",
      "options.num_predict", "options.num_ctx"]),
    ("/v1/embeddings", {"input": "Hi"}, ["dimensions", "input"]),
    ("/detokenize", {"tokens": [1]}, ["tokens"]),
]

# Raw bytes, and the statuses that are right; an empty set: the connection is closed without a word.
HOST = b"Host: localhost\r\n"
JSON = b"Content-Type: application/json\r\n"
MALFORMED = [
    (b"\r\n\r\n\r\n", {400, 408}),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 64, {400}),  # TLS
    (b"GET\r\n\r\n", {400}),
    (b"GET /health\r\n\r\n", {400}),
    (b"GET /health HTTP/2.0\r\n" + HOST + b"\r\n", {505}),
    (b"GET /health HTTP/1.1\r\n\r\n", {400}),
    (b"GET /health HTTP/1.1\r\n" + HOST + HOST + b"\r\n", {400}),
    (b"GET health HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    (b"GET /%00 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    (b"GET /%c3%28 HTTP/1.1\r\n" + HOST + b"\r\n", {400}),
    (b"GET /health HTTP/1.1\nHost: localhost\n\n", {400, 505}),
    (b"GET /health HTTP/1.1\r\n" + HOST + b" folded: x\r\n\r\n", {400, 403}),
    (b"GET /health HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 60_000 + b"\r\n\r\n", {200}),
    (b"GET /health HTTP/1.1\r\nHost : localhost\r\n\r\n", {400}),
    (b"GET /health HTTP/1.1\r\n" + HOST + b"X: a\x00b\r\n\r\n", {400}),
    (b"GET /health HTTP/1.1\r\n" + HOST + b": x\r\n\r\n", {400}),
    (b"GET /health HTTP/1.1\r\n" + HOST + b"A: " + b"x" * 70_000 + b"\r\n\r\n", {431}),
    (b"GET /health HTTP/1.1\r\n" + HOST + b"A: b\r\n" * 20_000 + b"\r\n", {431}),
    (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + HOST + b"\r\n", {431}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: -1\r\n\r\n", {400}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 99999999999999999999\r\n\r\n", {400}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 40000000\r\n\r\n", {413}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", {400}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", {400}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: gzip\r\n\r\n", {400, 501}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", {400, 413}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n", {400}),
    (b"POST /v1/completions HTTP/1.0\r\n" + HOST + JSON + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Content-Encoding: gzip\r\nContent-Length: 2\r\n\r\n{}", {415}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + JSON + b"Expect: magic\r\nContent-Length: 2\r\n\r\n{}", {417}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}", {415}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"Content-Length: 2\r\n\r\n{}", {415}),
    (b"POST /v1/completions HTTP/1.1\r\nHost: evil.example\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}", {403}),
    (b"POST /v1/completions HTTP/1.1\r\n" + HOST + b"Origin: http://evil.example\r\n" + JSON + b"Content-Length: 2\r\n\r\n{}", {403}),
    (b"BREW /health HTTP/1.1\r\n" + HOST + b"\r\n", {405}),
    (b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n", {204, 404}),
    (b"GET http://localhost/health HTTP/1.1\r\n" + HOST + b"\r\n", {200}),
]


def replaced(body: dict, path: str, value) -> dict:
    """A copy of `body` with the member at "a.b" set."""
    copy = json.loads(json.dumps(body))
    *parents, last = path.split(".")
    inner = copy
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = value
    return copy


def metric(server: Server, name: str) -> float:
    return float(re.search(rf"^atelier_{name}\{{[^}}]*\}} (\S+)$", server.get("/metrics").text, re.MULTILINE).group(1))


def resident_kib(server: Server) -> int:
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as file:
        return int(re.search(r"VmRSS:\s+(\d+)", file.read()).group(1))


def open_files(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


class Hostile(Serving):
    def setUp(self) -> None:
        super().setUp()
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))

    def many(self, **options) -> Server:
        """A scripted server that has something short to say however often it is asked."""
        return self.scripted(*[final("Hi.")] * 3000, context=600, **options)

    def still_good(self, server: Server) -> None:
        self.assertEqual(server.post("/v1/chat/completions", GOOD).status, 200)

    def until(self, true, seconds: float = 60) -> None:
        end = time.monotonic() + seconds
        while not true():
            self.assertLess(time.monotonic(), end, "it never came true")
            time.sleep(0.02)

    def test_malformed_http(self):
        server = self.many()
        for data, right in MALFORMED:
            with self.subTest(data=data[:80]), socket.create_connection(("127.0.0.1", server.port), 30) as client:
                with contextlib.suppress(OSError):  # it may be refused while it is being sent
                    client.sendall(data)
                    client.shutdown(socket.SHUT_WR)
                answer = b""
                with contextlib.suppress(ConnectionResetError):
                    while piece := client.recv(65536):
                        answer += piece
                status = re.match(rb"HTTP/1\.1 (\d{3}) ", answer)
                self.assertTrue(status, answer[:200])
                self.assertIn(int(status.group(1)), right)
        self.still_good(server)

    def test_every_number_with_every_hostile_value(self):
        server = self.many()
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.addCleanup(connection.close)
        answers = {200: 0, 400: 0}
        for path, good, members in NUMBERS:
            for member in members:
                for value in HOSTILE:
                    reply = server.post(path, replaced(good, member, value), connection=connection)
                    self.assertIn(reply.status, answers, f"{path} {member}={value!r}: {reply.text[:300]}")
                    answers[reply.status] += 1
                    if reply.status == 400:
                        self.assertIn(": expected", reply.text)
                raw = json.dumps(replaced(good, member, "@")).replace('"@"', "NaN")
                self.assertEqual(server.post(path, raw, connection=connection).status, 400)
        print(f"hostile numbers: {sum(answers.values())} requests, {answers[200]} answered, {answers[400]} refused")
        self.assertGreater(answers[400], 300)
        self.still_good(server)

    def test_deep_nesting_is_refused(self):
        server = self.many()
        depth = 10**7
        deep = "[" * depth + "]" * depth
        for body in (deep, '{"a":' * (depth // 2), f'{{"messages": {deep}}}', f'{{"prompt": "a", "logit_bias": {deep}}}'):
            for path in ("/v1/chat/completions", "/v1/completions", "/v1/responses", "/v1/messages", "/api/chat"):
                self.assertEqual(server.post(path, body).status, 400)
        schema: dict = {}
        for _ in range(70):
            schema = {"type": "object", "properties": {"a": schema}}
        tool = {"type": "function", "function": {"name": "f", "parameters": schema}}
        self.assertEqual(server.post("/v1/chat/completions", GOOD | {"tools": [tool]}).status, 400)
        self.still_good(server)

    def test_limits_are_named(self):
        server = self.many()
        user = GOOD["messages"][0]
        tools = [{"type": "function", "function": {"name": f"f{i}"}} for i in range(257)]
        big = {"type": "object", "description": "x" * (256 << 10)}
        for path, body, status, named in (
                ("/v1/chat/completions", {"messages": [user] * 4097}, 400, "4096"),
                ("/v1/chat/completions", GOOD | {"tools": tools}, 400, "256"),
                ("/v1/chat/completions", GOOD | {"tools": [{"type": "function", "function": {"name": "f", "parameters": big}}]}, 400, "262144"),
                ("/v1/chat/completions", GOOD | {"stop": ["a"] * 17}, 400, "16"),
                ("/v1/chat/completions", GOOD | {"stop": "a" * 1025}, 400, "1024"),
                ("/v1/chat/completions", GOOD | {"n": 9}, 400, "8"),
                ("/v1/chat/completions", GOOD | {"logprobs": True, "top_logprobs": 21}, 400, "20"),
                ("/v1/chat/completions", GOOD | {"max_tokens": 601}, 400, "600"),
                ("/v1/chat/completions", GOOD | {"logit_bias": {str(i): 1 for i in range(1025)}}, 400, "1024"),
                ("/v1/completions", {"prompt": ["a"] * 33}, 400, "32"),
                ("/v1/embeddings", {"input": ["a"] * 2049}, 400, "2048"),
                ("/v1/chat/completions", {"messages": [{"role": "user", "content": "word " * 2000}]}, 400, "600"),
                ("/v1/chat/completions", b" " * ((32 << 20) + 1), 413, "33554432")):
            reply = server.post(path, body)
            self.assertEqual(reply.status, status, reply.text[:300])
            self.assertRegex(reply.text, rf"expected[^\"]*\b{named}\b")
        self.still_good(server)

    def test_disconnects_leave_nothing_behind(self):
        server = self.serve("-m", "starter", "--parallel", "8", "--queue", "32")
        body = json.dumps({"messages": [{"role": "user", "content": "Tell me a story. " * 20}], "stream": True})
        request = (b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + JSON +
                   f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        chance = random.Random(7)
        self.posted(server, "/v1/chat/completions", GOOD)
        files = open_files(server)
        n = 10_000 if SOAK else 300

        def leave(seed: int) -> None:
            own = random.Random(seed)
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", server.port), 30) as client:
                client.sendall(request[:own.randrange(1, len(request) + 1)] if own.random() < 0.3 else request)
                client.settimeout(own.choice([0.001, 0.01, 0.05, 0.2]))
                with contextlib.suppress(TimeoutError):
                    while own.random() < 0.8 and client.recv(own.choice([1, 100, 4096])):
                        pass

        for first in range(0, n, 20):
            threads = [threading.Thread(target=leave, args=(chance.randrange(2**32),)) for _ in range(min(20, n - first))]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.until(lambda: metric(server, "running_sequences") == 0 and metric(server, "queued_requests") == 0)
        self.assertEqual(metric(server, "requests_failed_total"), 0)
        # What is held is what the prefix cache holds.
        self.assertEqual(metric(server, "kv_bytes_in_use"), metric(server, "cache_bytes"))
        self.until(lambda: open_files(server) <= files)
        print(f"{n} disconnects: {metric(server, 'requests_cancelled_total'):.0f} answers cancelled, "
              f"{resident_kib(server) >> 10} MiB resident")
        self.still_good(server)

    def test_slow_clients_are_shed_and_hold_up_nobody(self):
        server = self.many()
        n = 1000 if SOAK else 100
        clients = [socket.create_connection(("127.0.0.1", server.port), 60) for _ in range(n)]
        for client in clients:
            self.addCleanup(client.close)
            client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: lo")
        for _ in range(20):
            self.still_good(server)
        for client in clients:
            self.assertRegex(client.recv(4096), rb"^HTTP/1\.1 408 ")
        self.still_good(server)

    def test_idle_streams_cost_little(self):
        server = self.serve("-m", "starter", "--parallel", "1", "--queue", "2000")
        body = json.dumps({"messages": [{"role": "user", "content": "Write a very long story."}], "stream": True})
        request = (b"POST /v1/chat/completions HTTP/1.1\r\n" + HOST + JSON +
                   f"Content-Length: {len(body)}\r\n\r\n{body}".encode())
        self.posted(server, "/v1/chat/completions", GOOD)
        before = resident_kib(server)
        n = 1000
        for _ in range(n):
            client = socket.create_connection(("127.0.0.1", server.port), 60)
            self.addCleanup(client.close)
            client.sendall(request)
            self.assertRegex(client.recv(65536), rb"^HTTP/1\.1 200 OK\r\n")  # the stream is open, the answer waits
        cost = resident_kib(server) - before
        print(f"{n} idle streams: {cost >> 10} MiB")
        self.assertLess(cost, 100 << 10)

    def test_overload_is_said_at_once(self):
        server = self.serve("-m", "starter", "--parallel", "1", "--queue", "1")
        body = {"messages": [{"role": "user", "content": "Write a very long story."}], "stream": True}
        held = []
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
            self.addCleanup(connection.close)
            connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
            held.append(connection.getresponse())
            self.until(lambda: metric(server, "running_sequences") == 1)
        self.until(lambda: metric(server, "queued_requests") == 1)
        reply = server.post("/v1/chat/completions", GOOD)
        self.assertEqual(reply.status, 429)
        self.assertGreater(int(reply.headers["retry-after"]), 0)
        for response in held:
            response.close()


class Network(Serving):
    def test_a_unix_socket(self):
        path = self.home / "s"
        server = self.scripted(final("Hi."), flags=("--unix", path))
        self.assertEqual(path.stat().st_mode & 0o777, 0o600)
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            self.assertRegex(client.recv(4096), rb"^HTTP/1\.1 (200|403)")
        server.stop()
        self.assertFalse(path.exists())

    def test_tls(self):
        key, certificate = self.home / "key.pem", self.home / "cert.pem"
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                        "-keyout", key, "-out", certificate, "-subj", "/CN=localhost", "-days", "2",
                        "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"], check=True, capture_output=True)
        server = self.scripted(final("Hi."), flags=("--tls-cert", certificate, "--tls-key", key))
        context = ssl.create_default_context(cafile=certificate)
        connection = http.client.HTTPSConnection("localhost", server.port, context=context, timeout=30)
        self.addCleanup(connection.close)
        reply = server.post("/v1/chat/completions", GOOD, connection=connection)
        self.assertEqual(reply.json()["choices"][0]["message"]["content"], "Hi.")
        with socket.create_connection(("127.0.0.1", server.port), 30) as plain:  # is let go, and harms nobody
            plain.sendall(b"GET /health HTTP/1.1\r\n" + HOST + b"\r\n")
            self.assertNotIn(b"200 OK", plain.recv(4096))
        self.assertEqual(server.get("/health", connection=connection).status, 200)
        self.refused("serve", "--port", "0", "-m", "starter", "--tls-cert", key, mentions=("certificate",))

    def test_several_models_take_turns_in_memory(self):
        models = [write_script(self.home, [final(f"I am {name}.")] * 4, name=name) for name in ("one", "two", "three")]
        flags = [flag for model in models for flag in ("-m", model)]
        server = self.serve(*flags, "--max-models", "2", starter=False)
        self.assertEqual([model["id"] for model in server.get("/v1/models").json()["data"]], ["one", "two", "three"])
        for name in ("two", "three", "one", "three"):
            reply = self.posted(server, "/v1/chat/completions", GOOD | {"model": name, "max_tokens": 30}).json()
            self.assertEqual(reply["choices"][0]["message"]["content"], f"I am {name}.")
            loaded = [model["name"] for model in server.get("/api/ps").json()["models"]]
            self.assertEqual(loaded[0], name)
            self.assertLessEqual(len(loaded), 2)
        self.assertEqual(self.posted(server, "/v1/chat/completions", GOOD).json()["model"], "one")

    def test_elsewhere_needs_a_key(self):
        self.refused("serve", "--host", "0.0.0.0", "--port", "0", "-m", "starter", mentions=("API key", "0.0.0.0"))

    def test_running_answers_are_finished_before_it_ends(self):
        server = self.serve("-m", "starter")
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
        self.addCleanup(connection.close)
        body = {"prompt": "Once upon a time", "max_tokens": 60, "stream": True, "temperature": 0}
        connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
        response = connection.getresponse()
        first = response.read1(100)
        server.process.terminate()
        text = (first + response.read()).decode()
        self.assertTrue(text.endswith("data: [DONE]\n\n"))
        self.assertEqual(text.count("data: {"), 61)
        self.assertEqual(server.process.wait(30), 0)

    def test_the_log_says_what_happened_and_not_what_was_said(self):
        server = self.scripted(final("A secret answer."))
        reply = self.posted(server, "/v1/chat/completions",
                            {"messages": [{"role": "user", "content": "A secret question?"}]})
        line = json.loads(server.wait_for(r'^(\{.*"POST".*\})$').group(1))
        self.assertEqual(line["id"], reply.headers["x-request-id"])
        self.assertEqual((line["status"], line["path"], line["model"]), (200, "/v1/chat/completions", "scripted"))
        self.assertGreater(line["completion_tokens"], 3)
        server.stop()
        self.assertNotIn("secret", "".join(server.log))
