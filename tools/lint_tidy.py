#!/usr/bin/env python3
"""Runs clang-tidy over src/, skipping files that passed before with the same content.

    tools/lint_tidy.py [--build build/release] [--jobs N] [FILE ...]

A file is known by the digest of its compile command, of .clang-tidy, and of its text with every header of ours
that it reaches. Passed digests are remembered under build/tidy/.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
CACHE = ROOT / "build" / "tidy"
TIDY = "clang-tidy-19"
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+["<]([\w./-]+)[">]', re.MULTILINE)


def reached(path: Path, seen: dict[Path, bytes]) -> None:
    """Adds `path` and our headers it includes, directly or not."""
    if path in seen:
        return
    text = path.read_bytes()
    seen[path] = text
    for name in INCLUDE.findall(text):
        header = ROOT / "src" / name.decode()
        if header.is_file():
            reached(header, seen)


def digest(path: Path, command: str, fixed: bytes) -> str:
    seen: dict[Path, bytes] = {}
    reached(path, seen)
    state = hashlib.sha256(fixed + command.encode())
    for header in sorted(seen):
        state.update(str(header.relative_to(ROOT)).encode() + b"\0" + seen[header])
    return state.hexdigest()


def check(path: Path, build: Path, mark: Path) -> str:
    """clang-tidy's complaints; empty when there are none."""
    done = subprocess.run([TIDY, "-p", build, "--quiet", path], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          text=True, check=False)
    if done.returncode == 0:
        mark.touch()
        return ""
    return done.stdout.strip() or done.stderr.strip() or f"{path}: {TIDY} failed with {done.returncode}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--build", type=Path, default=ROOT / "build" / "release")
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("files", nargs="*", type=Path)
    arguments = parser.parse_args()

    database = arguments.build / "compile_commands.json"
    if not database.is_file():
        sys.exit(f"{database}: not there; configure first: cmake --preset release")
    only = {path.resolve() for path in arguments.files}
    fixed = subprocess.run([TIDY, "--version"], stdout=subprocess.PIPE, check=True).stdout
    fixed += (ROOT / ".clang-tidy").read_bytes()
    CACHE.mkdir(parents=True, exist_ok=True)

    waiting = []
    for entry in json.loads(database.read_text(encoding="utf-8")):
        path = Path(entry["directory"], entry["file"]).resolve()
        if ROOT / "src" not in path.parents or not path.is_file() or (only and path not in only):
            continue
        mark = CACHE / digest(path, entry["command"].replace(str(ROOT), ""), fixed)
        if not mark.exists():
            waiting.append((path, mark))

    # The largest first, so that none is left to run alone at the end.
    waiting.sort(key=lambda item: -item[0].stat().st_size)
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for complaints in pool.map(lambda item: check(item[0], arguments.build, item[1]), waiting):
            if complaints:
                failed += 1
                print(complaints.replace(str(ROOT) + "/", ""), flush=True)
    if failed:
        sys.exit(f"clang-tidy: {failed} of {len(waiting)} files have findings")


if __name__ == "__main__":
    main()
