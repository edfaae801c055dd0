#!/usr/bin/env python3
"""Measures a server with many chats at once, beside others: bench/server/serving.py MODEL [--llama PATH] [--ik PATH] [--peer COMMAND] …

MODEL is what all load. --llama and --ik are the llama-server of llama.cpp and of ik_llama.cpp (the latter with what makes mixtures of
experts fast there: weights repacked while loading, flash attention; experts are fused by default). Any other server is a COMMAND with {model},
{port}, {clients}, {threads} in it, for example
    --peer 'llama-server -m {model} --port {port} -np {clients} -c 8192 -t {threads}'
All servers answer the same chats, in turns, several times; nothing else should run. Printed: tokens per second of all
streams together, the 95th percentile of the time to the first token, and the ratios to each peer.

figures.py beside this has what serving costs beside computing.
"""

import argparse
import http.client
import json
import shlex
import socket
import statistics
import subprocess
import threading
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = REPOSITORY / "tests" / "data" / "text" / "northanger-abbey.txt"
PATIENCE_S = 3600  # eight chats at 5 tokens per second of all, behind their prompts
PEERS = {
    "llama": "{path} -m {{model}} --port {{port}} -np {{clients}} -c {{context}} -t {{threads}} --jinja",
    "ik": "{path} -m {{model}} --port {{port}} -np {{clients}} -c {{context}} -t {{threads}} --jinja -fa on -rtr",
}
CONTEXT = 1024  # of a chat: llama-server divides what it is given among its slots
PROMPT_WORDS = 118  # some 170 tokens with the template around them


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def page_in(model: str) -> None:
    """Reads the model's files once: what is measured is not the disk."""
    path = Path(model)
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            with open(file, "rb", buffering=0) as data:
                while data.read(1 << 24):
                    pass


class Running:
    """A server until the end of the block."""

    def __init__(self, command: str, port: int) -> None:
        self.port = port
        self.process = subprocess.Popen(shlex.split(command), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def __enter__(self):
        end = time.monotonic() + PATIENCE_S  # repacking 13 GB takes minutes
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise SystemExit(f"the server ended with {self.process.returncode}")
            try:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                connection.request("GET", "/health")
                if connection.getresponse().status == 200:
                    return self
            except OSError:
                pass
            time.sleep(0.25)
        raise SystemExit("the server does not become healthy")

    def __exit__(self, *_) -> None:
        self.process.terminate()
        self.process.wait(60)


def chat(port: int, prompt: str, max_tokens: int, out: list) -> None:
    """Appends (seconds to the first token, tokens, seconds in all)."""
    body = {"messages": [{"role": "user", "content": prompt}], "max_tokens": max_tokens, "temperature": 0,
            "stream": True, "stream_options": {"include_usage": True}}
    begin = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    first, tokens, pieces = None, 0, 0
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
        if delta.get("content") or delta.get("reasoning_content"):
            first = first or time.monotonic() - begin
            pieces += 1
        tokens = (chunk.get("usage") or {}).get("completion_tokens", tokens)
    connection.close()
    # A server that counts nothing sends a piece for every token.
    out.append((first or time.monotonic() - begin, tokens or pieces, time.monotonic() - begin))


def prompts(clients: int, turn: int) -> list[str]:
    """Different for every client and turn: nothing can be reused."""
    words = TEXT.read_text(encoding="utf-8").split()
    first = (turn * clients) * PROMPT_WORDS
    return ["Go on with this text: " + " ".join(words[first + i * PROMPT_WORDS:first + (i + 1) * PROMPT_WORDS])
            for i in range(clients)]


def load(port: int, clients: int, max_tokens: int, turn: int) -> tuple[float, float]:
    """(tokens per second of all, 95th percentile of the time to the first token)."""
    answers: list = []
    threads = [threading.Thread(target=chat, args=(port, prompt, max_tokens, answers)) for prompt in prompts(clients, turn)]
    begin = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.monotonic() - begin
    firsts = sorted(first for first, _, _ in answers)
    return sum(tokens for _, tokens, _ in answers) / seconds, firsts[min(len(firsts) - 1, int(0.95 * len(firsts)))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--binary", type=Path, default=REPOSITORY / "build" / "release" / "bin" / "atelier")
    parser.add_argument("--peer", help="command of another server")
    parser.add_argument("--llama", help="path of llama.cpp's llama-server")
    parser.add_argument("--ik", help="path of ik_llama.cpp's llama-server")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=32)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    commands = {"atelier": f"{arguments.binary} --quiet serve -m {{model}} --port {{port}} --threads {arguments.threads}"}
    for name, command in PEERS.items():
        if path := getattr(arguments, name):
            commands[name] = command.format(path=path)
    if arguments.peer:
        commands["peer"] = arguments.peer
    results: dict[str, list] = {name: [] for name in commands}
    page_in(arguments.model)
    for turn in range(arguments.turns):
        for name, command in commands.items():
            port = free_port()
            with Running(command.format(model=arguments.model, port=port, clients=arguments.clients,
                                        context=CONTEXT * arguments.clients, threads=arguments.threads), port):
                load(port, 1, 4, 1000)  # warm
                results[name].append(load(port, arguments.clients, arguments.max_tokens, turn))
                rate, first = results[name][-1]
                print(f"turn {turn} {name:<8} {rate:8.2f} tok/s  p95 first token {first:6.2f} s", flush=True)
    medians = {name: [statistics.median(column) for column in zip(*values, strict=True)] for name, values in results.items()}
    for name, (rate, first) in medians.items():
        print(f"median {name:<8} {rate:8.2f} tok/s  p95 first token {first:6.2f} s")
    for name in list(medians)[1:]:
        print(f"ratio to {name}: {medians['atelier'][0] / medians[name][0]:.2f} x tokens/s, "
              f"{medians['atelier'][1] / medians[name][1]:.2f} x time to first token")


if __name__ == "__main__":
    main()
