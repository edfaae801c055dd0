#!/usr/bin/env python3
"""Writes requirements.txt: tests/clients/pin.py openai jsonschema > tests/clients/requirements.txt

The packages named and all they need, with the digests of the wheels that each supported Python takes.
"""

import json
import subprocess
import sys
import tempfile
from collections import defaultdict

PYTHONS = ("3.11", "3.12", "3.13")


def main() -> None:
    digests: dict[str, set[str]] = defaultdict(set)
    for version in PYTHONS:
        with tempfile.TemporaryDirectory() as nowhere:
            done = subprocess.run(
                [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed", "--report", "-",
                 "--python-version", version, "--only-binary=:all:", "--target", nowhere, *sys.argv[1:]],
                check=True, capture_output=True, text=True)
        for item in json.loads(done.stdout)["install"]:
            name = f"{item['metadata']['name'].lower()}=={item['metadata']['version']}"
            digests[name].add(item["download_info"]["archive_info"]["hashes"]["sha256"])
    for name, found in sorted(digests.items()):
        print(" \\\n    ".join([name, *(f"--hash=sha256:{digest}" for digest in sorted(found))]))


if __name__ == "__main__":
    main()
