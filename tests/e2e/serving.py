"""`atelier serve` as a child process, and plain HTTP to talk to it: nothing between the test and the bytes."""

import contextlib
import http.client
import json
import re
import subprocess
import threading
from pathlib import Path

from harness import REPOSITORY, EndToEnd, World, start

TOKENIZERS = REPOSITORY / "tests" / "data" / "tokenizer"
WAIT_S = 60


def write_script(folder: Path, turns: list[str], name: str = "scripted", context: int = 131072) -> str:
    """A scripted gpt-oss that says `turns` one after the other; what to give to -m."""
    path = folder / f"{name}.json"
    path.write_text(json.dumps({"architecture": "gpt-oss", "tokenizer": str(TOKENIZERS / "gpt-oss.json"),
                                "context": context, "turns": turns}), encoding="utf-8")
    return f"script:{path}"


def final(text: str, reasoning: str = "") -> str:
    """A whole turn of gpt-oss."""
    thought = f"<|channel|>analysis<|message|>{reasoning}<|end|><|start|>assistant" if reasoning else ""
    return f"{thought}<|channel|>final<|message|>{text}<|return|>"


def call(name: str, arguments: dict | str, reasoning: str = "") -> str:
    thought = f"<|channel|>analysis<|message|>{reasoning}<|end|><|start|>assistant" if reasoning else ""
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    return f"{thought}<|channel|>commentary to=functions.{name} <|constrain|>json<|message|>{text}<|call|>"


class Reply:
    """An answer that has been read whole."""

    def __init__(self, response: http.client.HTTPResponse) -> None:
        self.status = response.status
        self.headers = {name.lower(): value for name, value in response.getheaders()}
        self.body = response.read()

    @property
    def text(self) -> str:
        return self.body.decode("utf-8")

    def json(self):
        return json.loads(self.body)

    def events(self) -> list[tuple[str, str]]:
        """(event, data) of a text/event-stream, comments left out."""
        found = []
        for block in self.text.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in block.split("\n") if line and not line.startswith(":"))
            if fields:
                found.append((fields.get("event", ""), fields.get("data", "")))
        return found

    def lines(self) -> list:
        """The values of application/x-ndjson."""
        return [json.loads(line) for line in self.text.splitlines()]


class Server:
    """A running server; its log is drained, so that a full pipe never stops it."""

    def __init__(self, *arguments, home: Path, data_home: Path, env: dict | None = None) -> None:
        self.process = start("serve", "--port", "0", *arguments, home=home, data_home=data_home, env=env,
                             stdin=subprocess.DEVNULL)
        self.log: list[str] = []
        self.news = threading.Condition()
        self.thread = threading.Thread(target=self.drain, daemon=True)
        self.thread.start()
        self.port = int(self.wait_for(r"(?:on|, ) ?https?://\S+?:(\d+)").group(1))

    def drain(self) -> None:
        for line in self.process.stderr:
            with self.news:
                self.log.append(line.decode("utf-8", "replace"))
                self.news.notify_all()
        with self.news:
            self.log.append("")  # the end
            self.news.notify_all()

    def wait_for(self, pattern: str) -> re.Match:
        """The first log line that matches."""
        def found() -> re.Match | None:
            return next((hit for line in self.log if (hit := re.search(pattern, line))), None)

        with self.news:
            self.news.wait_for(lambda: found() or "" in self.log, WAIT_S)
            hit = found()
        assert hit, f"no log line matches {pattern}: {''.join(self.log)}"
        return hit

    def request(self, method: str, path: str, body=None, headers: dict | None = None,
                connection: http.client.HTTPConnection | None = None) -> Reply:
        own = connection or http.client.HTTPConnection("127.0.0.1", self.port, timeout=WAIT_S)
        data = body if body is None or isinstance(body, (bytes, str)) else json.dumps(body)
        given = {"content-type": "application/json"} if data is not None else {}
        try:
            own.request(method, path, data, given | (headers or {}))
            return Reply(own.getresponse())
        finally:
            if connection is None:
                own.close()

    def get(self, path: str, **options) -> Reply:
        return self.request("GET", path, **options)

    def post(self, path: str, body, **options) -> Reply:
        return self.request("POST", path, body, **options)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(WAIT_S)
        self.process.kill()
        self.process.wait()
        self.thread.join()
        self.process.stdout.close()
        self.process.stderr.close()
        return self.process.returncode


class Serving(EndToEnd):
    """Tests against a server of their own."""

    def serve(self, *arguments, starter=True, env=None) -> Server:
        server = Server(*arguments, home=self.home, data_home=World.data_home if starter else self.own_data, env=env)
        self.addCleanup(server.stop)
        return server

    def scripted(self, *turns: str, flags=(), context: int = 131072) -> Server:
        return self.serve("-m", write_script(self.home, list(turns), context=context), *flags, starter=False)

    def posted(self, server: Server, path: str, body, status=200) -> Reply:
        reply = server.post(path, body)
        self.assertEqual(reply.status, status, reply.text[:2000])
        return reply
