#!/usr/bin/env python3
"""Runs the end-to-end tests: tests/e2e/run.py [BINARY] [-k PATTERN]. Last line: N passed, N failed."""

import argparse
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from harness import REPOSITORY, World  # noqa: E402  (found through the line above)


class Reporter(unittest.TextTestResult):
    """One line a test, with its seconds."""

    def startTest(self, test) -> None:
        self.began = time.monotonic()
        super().startTest(test)

    def line(self, test, word: str) -> None:
        self.stream.writeln(f"{word:<5} {time.monotonic() - self.began:6.1f} s  {test.id()}")
        self.stream.flush()

    def addSuccess(self, test) -> None:
        unittest.TestResult.addSuccess(self, test)
        self.line(test, "ok")

    def addFailure(self, test, err) -> None:
        unittest.TestResult.addFailure(self, test, err)
        self.line(test, "FAIL")

    def addError(self, test, err) -> None:
        unittest.TestResult.addError(self, test, err)
        self.line(test, "ERROR")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("binary", nargs="?", type=Path, default=REPOSITORY / "build" / "release" / "bin" / "atelier")
    parser.add_argument("-k", dest="patterns", action="append", help="only tests whose name contains this")
    arguments = parser.parse_args()

    loader = unittest.TestLoader()
    if arguments.patterns:
        loader.testNamePatterns = [f"*{pattern}*" for pattern in arguments.patterns]
    tests = loader.discover(str(HERE), pattern="test_*.py")
    with tempfile.TemporaryDirectory(prefix="atelier-e2e-") as scratch:
        World.prepare(arguments.binary, Path(scratch))
        result = unittest.TextTestRunner(sys.stdout, resultclass=Reporter, verbosity=0).run(tests)
    failed = len(result.failures) + len(result.errors)
    # An exception outside any test, such as in setUpClass, is a failure that testsRun does not count.
    print(f"{max(result.testsRun - failed, 0)} passed, {failed} failed")
    sys.exit(1 if failed or result.testsRun == 0 else 0)


if __name__ == "__main__":
    main()
