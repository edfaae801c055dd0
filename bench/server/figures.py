#!/usr/bin/env python3
"""What serving costs beside computing: bench/server/figures.py MODEL [--only NAME]… [--binary ATELIER]

Prints a line of JSON for each figure, taken over HTTP as a client sees it; nothing else should run.

overhead      what a token costs the server itself: a scripted model computes next to nothing, so that the time of its long
              answer is that of sampling, the stream and the socket
second-turn   time to the first token of a second turn on a long history, against that of the first
long-prompt   how long a running stream waits for a token while a long prompt comes in: median, 95th percentile, longest of each turn
idle          memory of 1,000 streams that wait
slow          time to the first token of an honest client beside 1,000 that send a header byte by byte, against alone
"""

import argparse
import contextlib
import http.client
import json
import os
import re
import socket
import statistics
import tempfile
import threading
import time
from pathlib import Path

from serving import REPOSITORY, TEXT, Running, chat, free_port, page_in

TOKENIZER = REPOSITORY / "tests" / "data" / "tokenizer" / "gpt-oss.json"
MANY = 1000
PATIENCE_S = 3600  # a prompt of 4,000 tokens takes minutes where a model is large and the machine small
HISTORY_WORDS = 3050  # some 4,000 tokens of SmolLM2's or gpt-oss'


def cpu_seconds(process) -> float:
    fields = Path(f"/proc/{process.pid}/stat").read_text(encoding="ascii").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_mib(process) -> float:
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024


def scripted(folder: Path, turns: list[str]) -> str:
    script = folder / "script.json"
    script.write_text(json.dumps({"architecture": "gpt-oss", "tokenizer": str(TOKENIZER), "turns": turns}))
    return f"script:{script}"


def serve(arguments, model: str, *flags: str) -> Running:
    port = free_port()
    command = f"{arguments.binary} --quiet serve -m {model} --port {port} --threads {arguments.threads} {' '.join(flags)}"
    return Running(command, port)


def stream(port: int, messages: list, max_tokens: int, arrived=None) -> tuple[float, str, dict]:
    """(seconds to the first token, the answer, usage); `arrived` is called with the time of each piece."""
    body = {"messages": messages, "max_tokens": max_tokens, "temperature": 0, "stream": True,
            "stream_options": {"include_usage": True}}
    begin = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", "/v1/chat/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    first, text, usage = None, "", {}
    for line in response:
        if not line.startswith(b"data: {"):
            continue
        chunk = json.loads(line[6:])
        usage = chunk.get("usage") or usage
        delta = chunk["choices"][0]["delta"] if chunk["choices"] else {}
        piece = delta.get("content") or delta.get("reasoning_content") or ""
        if not piece:
            continue
        now = time.monotonic()
        first = first or now - begin
        text += delta.get("content") or ""
        if arrived and not arrived(now):
            break
    connection.close()
    return first or time.monotonic() - begin, text, usage


def words(first: int, n: int) -> str:
    return " ".join(TEXT.read_text(encoding="utf-8").split()[first:first + n])


def overhead(arguments, folder: Path) -> dict:
    n = 20_000
    turn = "<|channel|>final<|message|>" + " and" * n + "<|return|>"
    wall, cpu = [], []
    with serve(arguments, scripted(folder, [turn] * 3)) as server:
        for _ in range(3):
            before, answers = cpu_seconds(server.process), []
            chat(server.port, "Go on.", n, answers)
            (first, tokens, seconds), = answers
            wall.append((seconds - first) / tokens * 1e6)
            cpu.append((cpu_seconds(server.process) - before) / tokens * 1e6)
    return {"tokens": n, "us_per_token": round(statistics.median(wall), 1), "cpu_us_per_token": round(statistics.median(cpu), 1)}


def second_turn(arguments, _: Path) -> dict:
    ratios, figures = [], {}
    with serve(arguments, arguments.model) as server:
        stream(server.port, [{"role": "user", "content": "Hi"}], 2)  # warm
        for turn in range(arguments.turns):
            messages = [{"role": "user", "content": f"{turn}. Read this: {words(turn * HISTORY_WORDS, arguments.words)}"}]
            first, text, usage = stream(server.port, messages, 16)
            messages += [{"role": "assistant", "content": text}, {"role": "user", "content": "And what does it mean?"}]
            second, _, again = stream(server.port, messages, 4)
            ratios.append(second / first)
            figures = {"history_tokens": usage["prompt_tokens"], "first_ms": round(first * 1e3, 1), "second_ms": round(second * 1e3, 1),
                       "cached_tokens": again["prompt_tokens_details"]["cached_tokens"]}
    return figures | {"median_ratio": round(statistics.median(ratios), 4)}


def unending(port: int) -> dict[str, int]:
    """A logit_bias against all tokens that end a text, so that a stream lasts whatever the model would say."""
    ends = ["<|return|>", "<|call|>", "<|end|>", "<|endoftext|>", "<|im_end|>", "<|eot_id|>", "<|end_of_text|>", "<end_of_turn>", "</s>"]
    found = (post(port, "/tokenize", {"content": end, "parse_special": True})["tokens"] for end in ends)
    return {str(ids[0]): -100 for ids in found if len(ids) == 1}


def post(port: int, path: str, body: dict) -> dict:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    with contextlib.closing(connection):
        return json.loads(response.read())


def token_times(port: int, prompt: str, times: list[float], done: threading.Event) -> None:
    """Appends the time of every token of a long completion, until `done`."""
    # With log-probabilities there is a piece for every token, also for one that completes no character.
    body = {"prompt": prompt, "max_tokens": 4000, "temperature": 0, "stream": True, "logprobs": 0, "logit_bias": unending(port)}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    connection.request("POST", "/v1/completions", json.dumps(body), {"content-type": "application/json"})
    response = connection.getresponse()
    assert response.status == 200, response.read()
    for line in response:
        if line.startswith(b"data: {") and json.loads(line[6:])["choices"][0]["logprobs"]["tokens"]:
            times.append(time.monotonic())
        if done.is_set():
            break
    connection.close()


def quantile(sorted_values: list[float], share: float) -> float:
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def long_prompt(arguments, _: Path) -> dict:
    """Waits between two tokens of a stream while a long prompt is computed, beside the usual ones."""
    waits: list[float] = []
    longest, usual, firsts = [], [], []
    with serve(arguments, arguments.model) as server:
        stream(server.port, [{"role": "user", "content": "Hi"}], 2)  # warm
        for turn in range(arguments.turns):
            times: list[float] = []
            done = threading.Event()
            reader = threading.Thread(target=token_times, args=(server.port, f"{turn}. Once upon a time", times, done))
            reader.start()
            while len(times) < 30 and reader.is_alive():
                time.sleep(0.01)
            begin = time.monotonic()
            prompt = [{"role": "user", "content": f"{turn}. Read this: {words(turn * HISTORY_WORDS, arguments.words)}"}]
            first, _, usage = stream(server.port, prompt, 1)
            end = time.monotonic()
            done.set()
            reader.join()
            assert times and times[-1] >= begin, "the stream ended before the prompt came"
            gaps = [(b - a, a, b) for a, b in zip(times, times[1:], strict=False)]
            beside = [gap for gap, a, b in gaps if b > begin and a < end] or [end - begin]
            waits += beside
            longest.append(max(beside))
            usual.append(statistics.median([gap for gap, _, b in gaps if b <= begin]))
            firsts.append(first)
    waits.sort()

    def ms(seconds: float) -> float:
        return round(seconds * 1e3, 1)

    return {"prompt_tokens": usage["prompt_tokens"], "prompt_ms": ms(statistics.median(firsts)), "usual_gap_ms": ms(statistics.median(usual)),
            "gaps": len(waits), "p50_ms": ms(quantile(waits, 0.5)), "p95_ms": ms(quantile(waits, 0.95)),
            "longest_gap_ms": [ms(gap) for gap in longest]}


def raw_request(content: str) -> bytes:
    body = json.dumps({"messages": [{"role": "user", "content": content}], "stream": True})
    return (f"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}").encode()


def idle(arguments, _: Path) -> dict:
    with serve(arguments, arguments.model, "--parallel", "1", "--queue", str(2 * MANY)) as server, contextlib.ExitStack() as open_ones:
        stream(server.port, [{"role": "user", "content": "Hi"}], 2)
        before = resident_mib(server.process)
        for _ in range(MANY):
            client = open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port), 60))
            client.sendall(raw_request("Write a very long story."))
            assert client.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
        return {"streams": MANY, "mib": round(resident_mib(server.process) - before, 1)}


def slow(arguments, folder: Path) -> dict:
    """Alternately alone and beside the slow ones, who are shed after 10 s and come again."""
    n = 100
    firsts: dict[bool, list[float]] = {False: [], True: []}
    with serve(arguments, scripted(folder, ["<|channel|>final<|message|>Hi.<|return|>"] * (10 * n))) as server:
        def measure(beside: bool) -> None:
            for _ in range(n):
                firsts[beside].append(stream(server.port, [{"role": "user", "content": "Hi"}], 8)[0])
                time.sleep(0.01)

        measure(False)
        firsts[False].clear()
        for _ in range(3):
            measure(False)
            with contextlib.ExitStack() as open_ones:
                clients = [open_ones.enter_context(socket.create_connection(("127.0.0.1", server.port), 60)) for _ in range(MANY)]
                for client in clients:
                    client.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nHost: lo")
                measure(True)
    p99 = {beside: statistics.quantiles(values, n=100)[98] for beside, values in firsts.items()}
    return {"slow_clients": MANY, "alone_p99_ms": round(p99[False] * 1e3, 2), "beside_p99_ms": round(p99[True] * 1e3, 2),
            "ratio": round(p99[True] / p99[False], 2)}


FIGURES = {"overhead": overhead, "second-turn": second_turn, "long-prompt": long_prompt, "idle": idle, "slow": slow}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="for second-turn, long-prompt and idle; with room for 4,200 tokens")
    parser.add_argument("--only", action="append", choices=FIGURES)
    parser.add_argument("--binary", type=Path, default=REPOSITORY / "build" / "release" / "bin" / "atelier")
    parser.add_argument("--words", type=int, default=HISTORY_WORDS, help="of the long prompts of second-turn and long-prompt")
    parser.add_argument("--turns", type=int, default=3, help="of these two")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    page_in(arguments.model)
    for name in arguments.only or FIGURES:
        with tempfile.TemporaryDirectory() as folder:
            print(json.dumps({"figure": name} | FIGURES[name](arguments, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
