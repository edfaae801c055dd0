#!/usr/bin/env python3
"""The agent's figures, each measured by running the program: bench/agent/figures.py [BUILD_FOLDER]

One line a figure, with what is aimed at. Nothing is asserted: a loaded machine measures its load.
"""

import json
import os
import pty
import re
import select
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "tests" / "e2e"))
from harness import World, environment, run  # noqa: E402


def figure(name: str, value: str, aim: str = "") -> None:
    print(f"figure  {name:<58} {value:<34} {aim}".rstrip(), flush=True)


def program(build: Path, name: str, *arguments, **options) -> str:
    done = subprocess.run([build / "bin" / name, *map(str, arguments)], capture_output=True, text=True, check=True,
                          timeout=600, **options)
    return done.stdout


def sessions(build: Path) -> None:
    found = json.loads(program(build, "bench_timeline", 10_000))
    figure("undo, 10,000 files, median (worst of 9)", f"{found['undo_ms']:.0f} ms ({found['worst_undo_ms']:.0f})", "<= 100 ms")
    figure("a task's end kept, 10,000 files", f"{found['end_of_task_ms']:.0f} ms")
    figure("first look at 10,000 files", f"{found['first_look_ms']:.0f} ms")


def sandboxes(build: Path) -> None:
    name = ""
    for line in program(build, "bench_sandbox").splitlines():
        overhead = re.search(r"overhead (\S+) ms", line)
        if overhead:
            figure(f"sandbox, a command: {name}", f"{overhead.group(1)} ms", "<= 10 ms")
        name = re.sub(r" +(median|not).*", "", line).strip() or name


def calls(build: Path) -> None:
    model = World.starter_path()
    began = time.monotonic()
    found = json.loads(program(build, "bench_agent_calls", model, 100))
    figure("calls of the starter model that parse and can be run", f"{found['executable']} of {found['calls'] + found['silent']}",
           f"100 of 100 (in {time.monotonic() - began:.0f} s)")
    figure("  of these closed where their tokens ran out", f"{found['closed']}")
    figure("  tokens that were not sampled", f"{found['forced']} of {found['tokens']}")
    figure("agent's part of decoding", f"{100 * found['overhead']:.2f} %", "<= 2 %")
    figure("of a turn, found computed by the next", f"{100 * found['least_reuse']:.1f} % at least", ">= 99 %")
    for line in program(build, "bench_agent_calls", "--patches", model, 12, stderr=None).splitlines():
        found = json.loads(line)
        cut = f" ({found['cut_off']} cut off)" if found["cut_off"] else ""
        figure(f"patches that apply at once, grammar {found['patch_grammar']}", f"{found['applied']} of {found['patches']}{cut}",
               "all" if found["patch_grammar"] == "on" else "")


def masks(build: Path, scratch: Path) -> None:
    """Of a file as long as files are offered line by line: lines of this program's own source."""
    lines = [line for path in sorted((REPOSITORY / "src").rglob("*.cpp")) for line in path.read_text().splitlines()][:8000]
    (scratch / "long.cpp").write_text("\n".join(lines) + "\n")
    done = program(build, "bench_patch_masks", REPOSITORY / "tests" / "data" / "tokenizer" / "gpt-oss.json", scratch / "long.cpp")
    found = re.search(r"made in +(\S+) ms +masks: median +(\S+) ms, first line +(\S+) ms, largest +(\S+) ms", done)
    if not found:
        return figure("patch grammar of 8,000 lines", done.strip())
    figure("patch grammar of 8,000 lines", f"made in {found.group(1)} ms")
    figure("  a mask, median (largest)", f"{found.group(2)} ms ({found.group(4)})")


def seconds_until(command: list, cwd: Path, env: dict, *wanted: bytes) -> list[float]:
    """In a pseudo-terminal, from its start until each text has come."""
    began = time.monotonic()
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(cwd)
        os.execve(command[0], command, env)
    seen, times = b"", []
    while len(times) < len(wanted) and time.monotonic() - began < 60:
        if select.select([terminal], [], [], 1)[0]:
            try:
                seen += os.read(terminal, 65536)
            except OSError:
                break
        if wanted[len(times)] in seen:
            times.append(time.monotonic() - began)
    os.write(terminal, b"\x04")
    os.close(terminal)
    os.waitpid(child, 0)
    return times


def start_up(home: Path) -> None:
    work = home / "work"
    for i in range(2000):
        file = work / f"folder{i % 20}" / f"file{i}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"def f{i}():\n    return {i}\n")
    env = environment(home, World.data_home, {"TERM": "xterm-256color", "LC_ALL": "C.UTF-8"})
    rounds = [seconds_until([str(World.binary), "-m", "starter"], work, env, "›".encode(), b"context") for _ in range(6)]
    rounds = [times for times in rounds[1:] if len(times) == 2]
    if not rounds:
        return figure("start to the prompt", "not seen")
    prompt, opened = (sorted(times[i] for times in rounds)[len(rounds) // 2] for i in range(2))
    figure("start to the prompt, warm repository of 2,000 files", f"{1000 * prompt:.0f} ms", "<= 200 ms")
    figure("  until model and session are open as well", f"{1000 * opened:.0f} ms")


def resume(home: Path) -> None:
    """gpt-oss-20b's cache, 24 layers of 8 heads of 64, below a narrow model: what is read does not depend on it."""
    model = home / "shapes"
    tokenizer = REPOSITORY / "tests" / "data" / "tokenizer" / "gpt-oss.json"
    synth = run("synth", "--arch", "gpt-oss", "--dialect", "hf", "--format", "bf16", "--layers", "24", "--d-model", "64", "--heads", "8",
                "--kv-heads", "8", "--head-dim", "64", "--ffn", "64", "--experts", "2", "--active-experts", "1", "--ctx", "16384",
                "--tokenizer", tokenizer, "--out", model, home=home, data_home=World.data_home)
    if synth.status != 0:
        return figure("resume", synth.err)
    work = home / "long"
    work.mkdir()
    common = ("exec", "--json", "-m", model, "--cd", work, "--max-steps", "1", "--unconstrained")
    text = " ".join(f"word{i}" for i in range(3000))

    def usage(*arguments) -> tuple[float, dict]:
        done = run(*arguments, home=home, data_home=World.data_home)
        return done.seconds, json.loads(done.text.splitlines()[-1])["usage"]

    _, first = usage(*common, "--max-tokens", "2", text)
    times = {}
    for name, flags in (("with", ()), ("without", ("--no-kv-cache",))):
        shutil.copytree(home / ".local", home / "kept")
        times[name] = usage(*common, "--max-tokens", "1", "--resume", "last", *flags, "Go on.")
        shutil.rmtree(home / ".local")
        (home / "kept").rename(home / ".local")
    seconds, used = times["with"]
    figure(f"a session of {first['context_tokens']} tokens, resumed until its first token", f"{seconds:.2f} s", "< 1 s")
    figure("  of its prompt found on disk", f"{used['cached_input_tokens']} of {used['input_tokens']}")
    figure("  the same computed again, with these narrow weights", f"{times['without'][0]:.2f} s")


def main() -> None:
    build = Path(sys.argv[1] if len(sys.argv) > 1 else REPOSITORY / "build" / "release").resolve()
    with tempfile.TemporaryDirectory(prefix="atelier-figures-") as scratch:
        World.prepare(build / "bin" / "atelier", Path(scratch))
        for folder in ("start", "resume"):
            (Path(scratch) / folder).mkdir()
        sessions(build)
        sandboxes(build)
        start_up(Path(scratch) / "start")
        resume(Path(scratch) / "resume")
        masks(build, Path(scratch))
        calls(build)


if __name__ == "__main__":
    main()
