"""JSON Schemas against others' cases and another's validator: whatever compiles lets only valid values out.

Runs tools/json_schema_suite.py on the JSON-Schema-Test-Suite, which PyPI's jsonschema carries, with jsonschema itself as
the judge. Both are fetched once, by digest, into ${XDG_CACHE_HOME:-~/.cache}/atelier-test.
"""

import hashlib
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import unittest
from pathlib import Path

from harness import REPOSITORY, World

REQUIREMENTS = Path(__file__).resolve().with_name("schemas-requirements.txt")
SOURCE = "jsonschema-4.26.0"
SOURCE_SHA256 = "0c26707e2efad8aa1bfc5b7ce170f3fccc2e4918ff85989ba9ffa9facb2be326"


def pip(*arguments: object, path: Path | None = None) -> None:
    environment = dict(os.environ, PYTHONPATH=str(path)) if path else None
    done = subprocess.run([sys.executable, "-m", "pip", *map(str, arguments), "--quiet", "--no-input",
                           "--disable-pip-version-check"], env=environment, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"pip {arguments[0]} failed: {done.stdout}")


def judge() -> tuple[Path, Path]:
    """The folder with the validator's packages, and that with the suite; fetched on the first run on this machine."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier-test"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    place = cache / f"schemas-{version}-{hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:16]}"
    if not place.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as part:
            packages, whole = Path(part) / "packages", Path(part) / "whole"
            pip("install", "--require-hashes", "--target", packages, "--requirement", REQUIREMENTS)
            # The source, of which only data is used; its build requirements are among the packages.
            pip("download", "--no-deps", "--no-build-isolation", "--no-binary", ":all:", "--dest", part,
                SOURCE.replace("-", "==", 1), path=packages)
            archive = Path(part) / f"{SOURCE}.tar.gz"
            digest = hashlib.sha256(archive.read_bytes()).hexdigest()
            if digest != SOURCE_SHA256:
                raise AssertionError(f"{archive.name}: expected sha256 {SOURCE_SHA256}, found {digest}")
            whole.mkdir()
            with tarfile.open(archive) as tar:
                for member in tar.getmembers():
                    if member.isfile() and member.name.startswith(f"{SOURCE}/json/tests/") and ".." not in member.name:
                        tar.extract(member, whole)
            packages.rename(whole / "packages")
            try:
                whole.rename(place)
            except OSError:  # another run was faster
                if not place.exists():
                    raise
    return place / "packages", place / SOURCE / "json" / "tests"


class Schemas(unittest.TestCase):
    def test_samples_of_every_schema_that_compiles_are_valid(self):
        packages, suite = judge()
        binary = World.binary.with_name("bench_constraint_samples")
        self.assertTrue(binary.exists(), f"{binary} is not built")
        done = subprocess.run([sys.executable, REPOSITORY / "tools" / "json_schema_suite.py", binary, suite, "--samples",
                               "20"], env=dict(os.environ, PYTHONPATH=str(packages)), stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, check=False)
        print(done.stdout)
        self.assertEqual(done.returncode, 0)
        counts = {name: int(n) for name, n in re.findall(r"'([a-z ]+)': (\d+)", done.stdout.split("\nall: ")[1])}
        # Most schemas compile, and the judge saw what they say.
        self.assertGreater(counts["compiled"], counts["schemas"] * 0.8)
        self.assertGreater(counts["samples"], counts["compiled"] * 15)
        self.assertEqual(counts["invalid rejected"], counts["invalid"])
        self.assertGreater(counts["valid accepted"], counts["valid"] * 0.85)
