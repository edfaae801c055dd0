#!/usr/bin/env python3
"""Runs clang-tidy over src/, skipping units that passed before with the same content.

    tools/lint_tidy.py [--build build/release] [--jobs N] [FILE ...]

A unit is what one compiler run sees: a file, or the several that the build joins. It is known by the digest of its
compile command, of .clang-tidy, and of its text with everything of ours that it includes. FILE: only their units. Passed digests are remembered for all clones in ${XDG_CACHE_HOME:-~/.cache}/atelier-test/tidy.
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
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier-test" / "tidy"
TIDY = "clang-tidy-19"
INCLUDE = re.compile(rb'^[ \t]*#[ \t]*include[ \t]+["<]([^">\n]+)[">]', re.MULTILINE)


def reached(path: Path, seen: dict[Path, bytes]) -> None:
    """Adds `path` and what it includes of ours, directly or not."""
    if path in seen:
        return
    text = path.read_bytes()
    seen[path] = text.replace(str(ROOT).encode(), b"")
    for name in INCLUDE.findall(text):
        included = ROOT / "src" / name.decode()  # a joined unit names its files by absolute paths
        if included.is_file():
            reached(included, seen)


def digest(seen: dict[Path, bytes], command: str, fixed: bytes) -> str:
    state = hashlib.sha256(fixed + command.encode())
    for name in sorted(seen):
        state.update(str(name.relative_to(ROOT)).encode() + b"\0" + seen[name])
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
        seen: dict[Path, bytes] = {}
        if path.is_file():
            reached(path, seen)
        if not any(ROOT / "src" in name.parents and name.suffix == ".cpp" for name in seen) or (
                only and not only & seen.keys()):
            continue
        mark = CACHE / digest(seen, entry["command"].replace(str(ROOT), ""), fixed)
        if not mark.exists():
            waiting.append((path, mark, sum(map(len, seen.values()))))

    # The largest first, so that none is left to run alone at the end.
    waiting.sort(key=lambda item: -item[2])
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for complaints in pool.map(lambda item: check(item[0], arguments.build, item[1]), waiting):
            if complaints:
                failed += 1
                print(complaints.replace(str(ROOT) + "/", ""), flush=True)
    if failed:
        sys.exit(f"clang-tidy: {failed} of {len(waiting)} units have findings")


if __name__ == "__main__":
    main()
