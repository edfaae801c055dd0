#!/usr/bin/env python3
"""Fails on what has no place in the repository: large files, overlong sources, machine paths, unfinished work.

Looks at the files git tracks. --self-test feeds files that must and must not pass.
"""

import argparse
import re
import subprocess
import sys
from pathlib import Path

MAX_BYTES = 1_000_000
MAX_SOURCE_LINES = 1000
SOURCE = (".h", ".cpp", ".inc", ".py", ".sh")

# Written in pieces so that this file passes its own check.
FORBIDDEN = [
    (re.compile(r"(?<![\w.])/" + r"(?:work|opt/peers|root|home/\w+)/"), "a path of one machine"),
    (re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|XX" + r"X)\b(?!X)"), "unfinished work"),
    (re.compile(r"\b(?:DISABLED_" + r"\w+\s*[,)])"), "a test that is switched off"),
    (re.compile(r"^(?:<{7}|>{7}) ", re.MULTILINE), "a merge conflict"),
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY"), "a key"),
]


def problems(name: str, data: bytes) -> list[str]:
    found = []
    if len(data) > MAX_BYTES:
        found.append(f"{name}: {len(data)} bytes, at most {MAX_BYTES} are allowed")
    if b"\0" in data[:8192]:
        return found  # binary
    path = Path(name)
    text = data.decode("utf-8", errors="replace")
    is_source = path.suffix in SOURCE or path.name in ("CMakeLists.txt", "atelier")
    if is_source:
        lines = text.count("\n")
        if lines > MAX_SOURCE_LINES:
            found.append(f"{name}: {lines} lines, at most {MAX_SOURCE_LINES} are allowed")
        if "\r" in text:
            found.append(f"{name}: carriage returns")
        if text and not text.endswith("\n"):
            found.append(f"{name}: the last line does not end")
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                found.append(f"{name}:{number}: blanks at the end of the line")
                break
    # *-inl.h are bodies of code, included once for each instruction set.
    once = path.suffix == ".h" and not path.name.endswith("-inl.h")
    if once and "#pragma once" not in text:
        found.append(f"{name}: no #pragma once")
    if path.parts[:2] in (("tests", "data"), ("fuzz", "corpus")):
        return found  # goldens and fuzzed inputs are data: any text may stand in them
    for pattern, what in FORBIDDEN:
        match = pattern.search(text)
        if match:
            line = text.count("\n", 0, match.start()) + 1
            found.append(f"{name}:{line}: {what}: {match.group(0).strip()}")
    return found


def self_test() -> None:
    home = "/" + "root/x"
    cases = [
        ("src/a.cpp", b"int a;\n", 0),
        ("src/a.cpp", b"int a;", 1),
        ("src/a.cpp", b"int a; \n", 1),
        ("src/a.cpp", b"int a;\r\n", 2),
        ("src/a.h", b"int a;\n", 1),
        ("src/a.cpp", b"\n" * 1001, 1),
        ("docs/a.md", f"see {home}\n".encode(), 1),
        ("docs/a.md", b"see https://example.org" + home.encode() + b"\n", 0),
        ("src/a.cpp", b"// TO" + b"DO: later\n", 1),
        ("tests/data/a.txt", b"TO" + b"DO\n", 0),
        ("fuzz/corpus/a/b", b"XX" + b"X\n", 0),
        ("tests/data/a.bin", b"\0" * 1_000_001, 1),
    ]
    for name, data, expected in cases:
        found = problems(name, data)
        if len(found) != expected:
            sys.exit(f"self-test: {name} with {data[:40]!r}: expected {expected} problems, found {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    listed = subprocess.run(["git", "-C", arguments.root, "ls-files", "-z"], check=True, stdout=subprocess.PIPE)
    found = []
    for name in filter(None, listed.stdout.decode().split("\0")):
        path = arguments.root / name
        if path.is_file():
            found += problems(name, path.read_bytes())
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
