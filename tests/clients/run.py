#!/usr/bin/env python3
"""Runs other people's clients against atelier serve: tests/clients/run.py [BINARY] [-k PATTERN].

Their packages are pinned (node/package-lock.json, requirements.txt with digests) and installed once into
${XDG_CACHE_HOME:-~/.cache}/atelier-test. Last line: N passed, N failed.
"""

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
sys.path.insert(0, str(REPOSITORY / "tests" / "e2e"))

from harness import World, environment  # noqa: E402

TIMEOUT_S = 300


def cached(name: str, pins: bytes, install) -> Path:
    """The folder that `install(folder)` filled for these pins, now or on an earlier run."""
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier-test"
    folder = root / f"{name}-{hashlib.sha256(pins).hexdigest()[:16]}"
    if not (folder / "complete").exists():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        begin = time.monotonic()
        install(folder)
        (folder / "complete").touch()
        print(f"installed {name} in {time.monotonic() - begin:.0f} s", flush=True)
    return folder


def install_node(folder: Path) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(HERE / "node" / name, folder)
    subprocess.run(["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"],
                   cwd=folder, check=True)


def install_python(folder: Path) -> None:
    subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:",
                    "--require-hashes", "--target", folder / "site", "-r", HERE / "requirements.txt"], check=True)


def run(command: list, cwd: Path, env: dict, log: Path) -> tuple[int, str]:
    with open(log, "w", encoding="utf-8") as out:
        done = subprocess.run(command, cwd=cwd, env=env, stdout=out, stderr=subprocess.STDOUT, check=False,
                              timeout=TIMEOUT_S)
    return done.returncode, log.read_text(encoding="utf-8")


def counts(status: int, text: str) -> tuple[int, int]:
    """What node's runner ("# pass 5") or unittest ("Ran 5 tests", "failures=1") say at the end."""
    if passed := re.search(r"^(?:#|ℹ) pass (\d+)$", text, re.MULTILINE):
        failed = re.search(r"^(?:#|ℹ) fail (\d+)$", text, re.MULTILINE)
        return int(passed.group(1)), max(int(failed.group(1)) if failed else 0, 1 if status else 0)
    if ran := re.search(r"^Ran (\d+) tests?", text, re.MULTILINE):
        failed = sum(int(n) for n in re.findall(r"(?:failures|errors)=(\d+)", text))
        return int(ran.group(1)) - failed, max(failed, 1 if status else 0)
    return 0, 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", nargs="?", type=Path, default=REPOSITORY / "build" / "release" / "bin" / "atelier")
    parser.add_argument("-k", dest="pattern", default="", help="only files whose name contains this")
    arguments = parser.parse_args()

    node = cached("clients-node", (HERE / "node" / "package-lock.json").read_bytes(), install_node)
    version = f"{sys.version_info.major}.{sys.version_info.minor}".encode()
    python = cached("clients-python", (HERE / "requirements.txt").read_bytes() + version, install_python)
    passed = failed = 0
    with tempfile.TemporaryDirectory(prefix="atelier-clients-") as scratch_name:
        scratch = Path(scratch_name)
        World.prepare(arguments.binary, scratch)
        # Modules are looked for beside the file that asks for them.
        scripts = scratch / "node"
        shutil.copytree(HERE / "node", scripts)
        (scripts / "node_modules").symlink_to(node / "node_modules")
        env = environment(scratch / "home", World.data_home, {
            "ATELIER_BINARY": str(World.binary),
            "ATELIER_TOKENIZER": str(REPOSITORY / "tests" / "data" / "tokenizer" / "gpt-oss.json"),
            "ATELIER_README": str(REPOSITORY / "README.md"),
            "OPENAI_API_KEY": "none", "PYTHONPATH": str(python / "site")})
        tests = sorted([*scripts.glob("*.test.mjs"), *(HERE / "python").glob("test_*.py")])
        for test in [test for test in tests if arguments.pattern in test.name]:
            begin = time.monotonic()
            command = (["node", "--test", "--test-reporter=tap", test.name] if test.suffix == ".mjs" else
                       [sys.executable, "-B", test.name])
            status, text = run(command, test.parent, env, scratch / "log")
            good, bad = counts(status, text)
            passed, failed = passed + good, failed + bad
            print(f"{test.name:<24} {good:4d} passed  {bad} failed  {time.monotonic() - begin:5.1f} s", flush=True)
            if bad:
                print(text, flush=True)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed or not passed else 0)


if __name__ == "__main__":
    main()
