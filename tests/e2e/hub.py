"""A model hub of our own on loopback: it answers as Hugging Face's does, and misbehaves on request.

Two servers, so that content comes from another origin than the listing, as it does there: `Hub.url` lists and
redirects, and the second one sends. Every request is recorded.
"""

import hashlib
import json
import re
import sys
import threading
import urllib.parse
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = 4096  # from this size on files are "large": known by SHA-256 and sent by the second server
PIECE = 64 << 10


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def git_sha1(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


@dataclass
class Request:
    server: str  # "hub" or "content"
    path: str
    headers: dict
    first: int | None = None  # of the range asked for
    sent: int = 0  # bytes of body


@dataclass
class Faults:
    """What goes wrong. Numbers that end in `_times` count down; everything else holds until it is changed."""

    status: int = 0  # answered instead of content …
    status_times: int = 0  # … so often
    truncate_after: int = -1  # the connection ends after so many bytes of a body …
    truncate_times: int = 0  # … so often
    stall_after: int = -1  # all bodies together stop after so many bytes, without the connections ending
    ignore_range: bool = False
    wrong_range: bool = False  # another range than was asked for
    total_lie: int = 0  # added to the total in Content-Range
    listed_bytes_lie: int = 0  # added to sizes in the listing
    listed_digest: str = ""  # in the listing instead of the true SHA-256
    without_sizes: bool = False  # the listing says neither sizes nor digests
    extra_bytes: bytes = b""  # sent after the body, with a length that admits them
    redirect_to: str = ""  # instead of the content server
    content: dict = field(default_factory=dict)  # path → bytes sent instead of those listed
    etag_changes: bool = False


class QuietServer(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        """Clients that are killed are what the tests are about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Hub:
    def __init__(self):
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.plain: dict[str, bytes] = {}  # path → content, for URLs of no repository
        self.private: set[str] = set()  # repositories that want the token
        self.token = "hf_secret"
        self.commit = COMMIT
        self.faults = Faults()
        self.requests: list[Request] = []
        self.lock = threading.Lock()
        self.body_bytes = 0
        self.stalled = threading.Event()
        self.released = threading.Event()
        self.servers = [self._serve("hub"), self._serve("content")]
        self.url, self.content_url = (f"http://127.0.0.1:{server.server_address[1]}" for server in self.servers)

    def _serve(self, name: str) -> ThreadingHTTPServer:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            server_name = name

            def log_message(self, *_):
                pass

            def do_GET(self):
                try:
                    hub._answer(self)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            do_HEAD = do_GET

        server = QuietServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return server

    def close(self) -> None:
        self.released.set()
        for server in self.servers:
            server.shutdown()
            server.server_close()

    def forget(self) -> None:
        """Begins a new record of requests, without faults."""
        self.faults = Faults()
        self.released.set()
        with self.lock:
            self.requests = []
            self.body_bytes = 0
        self.stalled.clear()
        self.released = threading.Event()

    def content_requests(self) -> list[Request]:
        """Those for the content of files, wherever it was sent from."""
        return [request for request in self.requests if request.sent and not request.path.startswith("/api/")]

    # Answering

    def _answer(self, handler) -> None:
        request = Request(handler.server_name, handler.path, {k.lower(): v for k, v in handler.headers.items()})
        with self.lock:
            self.requests.append(request)
        path = urllib.parse.unquote(urllib.parse.urlparse(handler.path).path)
        if handler.server_name == "content":
            return self._content(handler, request, path)
        if path in self.plain:
            return self._file(handler, request, self.plain[path], path)
        if match := re.fullmatch(r"/api/models/([^/]+/[^/]+)/revision/(.+)", path):
            return self._listing(handler, request, match[1])
        if match := re.fullmatch(r"/([^/]+/[^/]+)/resolve/[^/]+/(.+)", path):
            return self._resolve(handler, request, match[1], match[2])
        return self._refuse(handler, 404)

    def _refuse(self, handler, status: int, **headers) -> None:
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def _allowed(self, handler, request: Request, repository: str) -> bool:
        if repository not in self.repositories:
            self._refuse(handler, 401, X_Error_Code="RepoNotFound", X_Error_Message="Repository not found")
            return False
        if repository in self.private and request.headers.get("authorization") != f"Bearer {self.token}":
            self._refuse(handler, 403, X_Error_Code="GatedRepo", X_Error_Message="Access is restricted\r")
            return False
        return True

    def _listing(self, handler, request: Request, repository: str) -> None:
        if not self._allowed(handler, request, repository):
            return
        siblings = []
        for path, data in self.repositories[repository].items():
            entry = {"rfilename": path, "size": len(data) + self.faults.listed_bytes_lie, "blobId": git_sha1(data)}
            if len(data) >= LARGE:
                digest = self.faults.listed_digest or sha256(data)
                entry["lfs"] = {"sha256": digest, "size": entry["size"], "pointerSize": 130}
            siblings.append({"rfilename": path} if self.faults.without_sizes else entry)
        body = json.dumps({"id": repository, "sha": self.commit, "siblings": siblings}).encode()
        self._send(handler, request, body, {"Content-Type": "application/json"}, 200)

    def _resolve(self, handler, request: Request, repository: str, path: str) -> None:
        if not self._allowed(handler, request, repository):
            return
        data = self.repositories[repository].get(path)
        if data is None:
            return self._refuse(handler, 404, X_Error_Code="EntryNotFound")
        if len(data) < LARGE:
            return self._file(handler, request, self.faults.content.get(path, data), path)
        target = self.faults.redirect_to or (
            f"{self.content_url}/{urllib.parse.quote(repository)}/{urllib.parse.quote(path)}?signature=secret")
        self._refuse(handler, 302, Location=target, X_Linked_Etag=f'"{sha256(data)}"',
                     X_Linked_Size=str(len(data)), X_Repo_Commit=self.commit)

    def _content(self, handler, request: Request, path: str) -> None:
        _, owner, name, file = path.split("/", 3)
        data = self.repositories[f"{owner}/{name}"][file]
        self._file(handler, request, self.faults.content.get(file, data), path)

    def _file(self, handler, request: Request, data: bytes, path: str) -> None:
        faults = self.faults
        with self.lock:
            refused = faults.status_times > 0
            faults.status_times -= 1
        if refused:
            return self._refuse(handler, faults.status, Retry_After="0")
        etag = f'"{sha256(data)[:16]}{len(self.requests) if faults.etag_changes else ""}"'
        headers = {"ETag": etag, "Accept-Ranges": "bytes"}
        match = re.fullmatch(r"bytes=(\d+)-(\d+)", request.headers.get("range", ""))
        if not match or faults.ignore_range:
            return self._send(handler, request, data, headers, 200)
        first, last = int(match[1]), min(int(match[2]), len(data) - 1)
        if faults.wrong_range:
            first, last = max(0, first - 1), max(0, last - 1)
        if first > last:
            return self._refuse(handler, 416, Content_Range=f"bytes */{len(data)}")
        request.first = first
        headers["Content-Range"] = f"bytes {first}-{last}/{len(data) + faults.total_lie}"
        return self._send(handler, request, data[first:last + 1], headers, 206)

    def _send(self, handler, request: Request, body: bytes, headers: dict, status: int) -> None:
        faults = self.faults
        is_file = "ETag" in headers
        if is_file:
            body += faults.extra_bytes
        handler.send_response(status)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        if handler.command == "HEAD":
            return
        cut = len(body)
        with self.lock:
            if is_file and 0 <= faults.truncate_after < len(body) and faults.truncate_times > 0:
                faults.truncate_times -= 1
                cut = faults.truncate_after
        for begin in range(0, cut, PIECE):
            piece = body[begin:min(begin + PIECE, cut)]
            released = self.released
            if is_file:
                with self.lock:
                    stall = 0 <= faults.stall_after < self.body_bytes + len(piece)
                    if not stall:
                        self.body_bytes += len(piece)
                        request.sent += len(piece)
                if stall:
                    self.stalled.set()
                    released.wait(120)
                    handler.close_connection = True
                    return
            handler.wfile.write(piece)
        if cut < len(body):
            handler.wfile.flush()
            handler.close_connection = True
            handler.connection.shutdown(2)
