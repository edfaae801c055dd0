"""The programs that are compared, each behind one call: measure a row in a process of its own.

Each process measures the row twice and the better one counts: the first may pay for packing weights, for page faults and for
processors that wake up.
"""
import dataclasses
import json
import os
import pathlib
import platform
import subprocess
import tempfile
import threading
import time

DRIVER = pathlib.Path(__file__).resolve().parent / "llama_cpp.mjs"
NODE_PACKAGE = "node-llama-cpp@3.22.1"
PROMPT = "The lighthouse keeper opened the door and"


@dataclasses.dataclass(frozen=True)
class Row:
    """`kind`: "prefill" of `tokens` after `depth` cached ones; "decode" of `tokens` after `depth`, in each of `batch`
    sequences; "first-token" after a short prompt."""
    kind: str
    tokens: int = 0
    depth: int = 0
    batch: int = 1

    def title(self) -> str:
        if self.kind == "first-token":
            return "start to first token"
        after = f" at depth {self.depth}" if self.depth else ""
        together = f" × {self.batch} sequences" if self.batch > 1 else ""
        return f"{self.kind} {self.tokens}{together}{after}"


@dataclasses.dataclass
class Sample:
    value: float  # tok/s; for "first-token" seconds
    peak_rss_bytes: int
    limits: dict = dataclasses.field(default_factory=dict)  # ours alone: machine limits and fractions of them


class Failed(Exception):
    """The program ended badly; what it said."""


@dataclasses.dataclass
class Finished:
    stdout: bytes
    seconds: float  # until the end or, where asked, until the first byte on stdout
    peak_rss_bytes: int


class Runner:
    """Starts programs, one at a time. `realtime` puts them on the round-robin real-time class (as root): where others
    use the machine, engines that spin otherwise lose their cores at every turn and the figures mean nothing."""

    def __init__(self, realtime: bool = False, timeout_s: float = 1800):
        self.realtime, self.timeout_s = realtime, timeout_s

    def run(self, command: list, until_first_byte: bool = False) -> Finished:
        enter = (lambda: os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(20))) if self.realtime else None
        with tempfile.TemporaryFile() as errors:
            start = time.perf_counter()
            process = subprocess.Popen([str(c) for c in command], stdout=subprocess.PIPE, stderr=errors,
                                       preexec_fn=enter)
            watchdog = threading.Timer(self.timeout_s, process.kill)
            watchdog.start()
            first = process.stdout.read(1) if until_first_byte else b""
            seconds = time.perf_counter() - start
            stdout = first + process.stdout.read()
            _, status, usage = os.wait4(process.pid, 0)  # the one call that tells this child's peak memory
            watchdog.cancel()
            process.stdout.close()
            process.returncode = os.waitstatus_to_exitcode(status)
            if not until_first_byte:
                seconds = time.perf_counter() - start
            if process.returncode != 0:
                errors.seek(0)
                said = errors.read().decode(errors="replace").strip().splitlines() or ["nothing on stderr"]
                raise Failed(f"{command[0]} ended with {process.returncode}: {said[-1]}")
        return Finished(stdout, seconds, usage.ru_maxrss * 1024)


class Atelier:
    def __init__(self, binary: pathlib.Path, threads: int):
        self.name, self.binary, self.threads = "atelier", binary, threads

    def supports(self, row: Row) -> bool:
        return True

    def measure(self, runner: Runner, model: pathlib.Path, row: Row) -> Sample:
        if row.kind == "first-token":
            done = runner.run([self.binary, "generate", "-m", model, "--threads", self.threads, "--temp", 0,
                               "--max-tokens", 1, PROMPT], until_first_byte=True)
            return Sample(done.seconds, done.peak_rss_bytes)
        prefill, decode = (row.tokens, 0) if row.kind == "prefill" else (0, row.tokens)
        done = runner.run([self.binary, "bench", "-m", model, "--threads", self.threads, "-p", prefill, "-n", decode,
                           "--depth", row.depth, "--batch", row.batch, "--repeat", 2, "--json"])
        result = json.loads(done.stdout)
        limits = result["machine"] | {"fraction": result["fraction_of_limit"][row.kind]}
        # Not done.peak_rss_bytes: the process goes on to measure the machine.
        return Sample(result[row.kind]["tok_s"], result["peak_rss_bytes"], limits)


class NodeLlamaCpp:
    """llama.cpp's prebuilt libraries; every decoded token passes through JavaScript."""

    def __init__(self, peers: pathlib.Path, threads: int):
        self.name, self.threads = "llama.cpp (Node)", threads
        self.base = ["node", DRIVER]
        self.modules = peers / "node_modules"

    def supports(self, row: Row) -> bool:
        return row.batch == 1

    def measure(self, runner: Runner, model: pathlib.Path, row: Row) -> Sample:
        common = ["--modules", self.modules, "--model", model, "--threads", self.threads]
        if row.kind == "first-token":
            done = runner.run([*self.base, "first-token", *common, "--prompt", PROMPT], until_first_byte=True)
            return Sample(done.seconds, done.peak_rss_bytes)
        prefill, decode = (row.tokens, 1) if row.kind == "prefill" else (1, row.tokens)
        done = runner.run([*self.base, "bench", *common, "--prefill", prefill, "--decode", decode, "--depth",
                           row.depth, "--rounds", 2])
        best = max(r[f"{row.kind}_tok_s"] for r in json.loads(done.stdout)["rounds"])
        return Sample(best, done.peak_rss_bytes)


def batched_speed(output: str) -> float:
    """tok/s of decoding that llama-batched-bench tells, in lines of JSON or in its table: "| PP | TG | B | N_KV | T_PP s |
    S_PP t/s | T_TG s | S_TG t/s | …"."""
    for line in output.splitlines():
        if line.startswith("{"):
            return json.loads(line)["speed_tg"]
        cells = [cell.strip() for cell in line.strip("| ").split("|")]
        if len(cells) >= 8 and cells[0].isdigit():
            return float(cells[7])
    raise Failed(f"llama-batched-bench: expected its table or lines of JSON, found {output[-200:]!r}")


class LlamaBench:
    """llama.cpp's own llama-bench, built outside this repository, and llama-batched-bench if it lies beside it."""

    def __init__(self, binary: pathlib.Path, threads: int, name: str = "llama.cpp (llama-bench)", flags: tuple = ()):
        self.name, self.binary, self.threads, self.flags = name, binary, threads, flags
        self.batched = binary.parent / "llama-batched-bench"
        self.batched_flags: tuple = ("--output-format", "jsonl")

    def supports(self, row: Row) -> bool:
        return row.kind != "first-token" and (row.batch == 1 or (row.depth == 0 and self.batched.is_file()))

    def measure(self, runner: Runner, model: pathlib.Path, row: Row) -> Sample:
        if row.batch > 1:
            return self._measure_batch(runner, model, row)
        done = runner.run([self.binary, "-m", model, "-t", self.threads, "-r", 2, "-o", "json", *self.flags,
                           *self._workload(row)])
        return Sample(max(json.loads(done.stdout)[-1]["samples_ts"]), done.peak_rss_bytes)

    def _workload(self, row: Row) -> list:
        if row.kind == "prefill":
            return ["-p", row.tokens, "-n", 0, "-d", row.depth]
        # Its flash attention, on by default, decodes two to three times slower behind a filled cache than without.
        return ["-p", 0, "-n", row.tokens, "-d", row.depth, *(["-fa", 0] if row.depth else [])]

    def _measure_batch(self, runner: Runner, model: pathlib.Path, row: Row) -> Sample:
        context = row.batch * (row.tokens + 16) + 256
        done = runner.run([self.batched, "-m", model, "-t", self.threads, "-c", context, "-npp", 1, "-ntg", row.tokens,
                           "-npl", row.batch, *self.batched_flags])
        return Sample(batched_speed(done.stdout.decode()), done.peak_rss_bytes)


class IkLlamaBench(LlamaBench):
    """ik_llama.cpp's fork of it: fused experts, repacking on loading, its attention; no depth for prefill."""

    def __init__(self, binary: pathlib.Path, threads: int):
        super().__init__(binary, threads, "ik_llama.cpp", ("-fmoe", 1, "-rtr", 1, "-fa", 1))
        self.batched_flags = ("-rtr", "-fa", "on")  # fused experts are its default; it prints a table

    def supports(self, row: Row) -> bool:
        return super().supports(row) and not (row.kind == "prefill" and row.depth > 0)

    def _workload(self, row: Row) -> list:
        if row.kind == "decode" and row.depth > 0:
            return ["-p", 0, "-n", 0, "-gp", f"{row.depth},{row.tokens}"]
        return ["-p", row.tokens, "-n", 0] if row.kind == "prefill" else ["-p", 0, "-n", row.tokens]


def install_node_package(peers: pathlib.Path) -> None:
    if (peers / "node_modules" / "node-llama-cpp").is_dir():
        return
    peers.mkdir(parents=True, exist_ok=True)
    subprocess.run(["npm", "install", "--ignore-scripts", "--no-fund", "--no-audit", "--prefix", str(peers),
                    NODE_PACKAGE], check=True)


def install_llama_bench(peers: pathlib.Path) -> pathlib.Path:
    """llama-bench, and llama-batched-bench beside it, linked with the package's prebuilt libraries: what users of them
    get, without JavaScript in between. The package carries the sources of its release; two small programs are compiled."""
    folder = peers / "llama.cpp-bin"
    program = folder / "llama-bench"
    if program.is_file():
        return program
    [libraries] = (peers / "node_modules/@node-llama-cpp").glob(f"linux-{node_architecture()}/bins/*")
    sources = peers / "llama.cpp-sources"
    if not sources.is_dir():
        bundle = peers / "node_modules/node-llama-cpp/llama/gitRelease.bundle"
        subprocess.run(["git", "-c", "advice.detachedHead=false", "clone", "-q", bundle, sources], check=True)
    folder.mkdir(exist_ok=True)
    for library in libraries.glob("*.so"):  # its variants for processors are looked for beside the program
        if not (folder / library.name).exists():
            (folder / library.name).symlink_to(library.resolve())
    linked = [x for x in folder.glob("lib*.so") if not x.name.startswith("libggml-cpu")]
    for name, tool in (("llama-batched-bench", "batched-bench"), ("llama-bench", "llama-bench")):
        include = [f"-I{sources / part}" for part in ("include", "ggml/include", "common", "vendor", f"tools/{tool}")]
        subprocess.run(["c++", "-O2", "-DNDEBUG", "-std=c++17", "-w", *include, *sorted((sources / "tools" / tool).glob("*.cpp")),
                        "-o", folder / name, *linked, "-Wl,-rpath,$ORIGIN", "-pthread"], check=True)
    return program


def node_architecture() -> str:
    return {"x86_64": "x64", "aarch64": "arm64"}[platform.machine()]
