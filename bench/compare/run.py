#!/usr/bin/env python3
"""Compares atelier's speed with other engines': same files, same threads, in turns, several rounds.

  bench/compare/run.py --peers DIR --model FILE [--model FILE …]
      [--llama-bench PROGRAM] [--ik-llama-bench PROGRAM] [--prefill 512] [--decode 128] [--depth 0,4096]
      [--batch 1,4] [--rounds 5] [--threads 2] [--pack] [--realtime] [--skip NAME …] [--json OUT.json] [--markdown OUT.md]

DIR lies outside this repository; node-llama-cpp (llama.cpp's prebuilt libraries) is installed there from npm if it is
missing, and llama.cpp's own benchmarks are linked with them. PROGRAMs are other engines' benchmarks, built elsewhere.
docs/benchmarks.md says how to read the output.
"""
import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys

import peers
from peers import Row

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def numbers(text: str) -> list[int]:
    return [int(n) for n in text.split(",") if n]


def parse_arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", action="append", required=True, type=pathlib.Path)
    p.add_argument("--atelier", type=pathlib.Path, default=ROOT / "build/release/bin/atelier")
    p.add_argument("--peers", type=pathlib.Path, help="folder for, or with, node_modules/node-llama-cpp")
    p.add_argument("--llama-bench", type=pathlib.Path)
    p.add_argument("--ik-llama-bench", type=pathlib.Path)
    p.add_argument("--prefill", type=numbers, default=[512], help="prompt lengths, separated by commas")
    p.add_argument("--decode", type=int, default=128, help="tokens decoded")
    p.add_argument("--depth", type=numbers, default=[0], help="cached tokens before decoding")
    p.add_argument("--batch", type=numbers, default=[1], help="sequences decoded together, at depth 0")
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--threads", type=int, default=os.cpu_count())
    p.add_argument("--pack", action="store_true",
                   help="have atelier keep packed weights on disk first (others that repack do so at every start)")
    p.add_argument("--realtime", action="store_true",
                   help="run every program in a real-time class (root): for machines that others use")
    p.add_argument("--skip", action="append", default=[],
                   help='leave out an engine, by its name in the table, or the row "first-token"')
    p.add_argument("--json", type=pathlib.Path)
    p.add_argument("--markdown", type=pathlib.Path)
    return p.parse_args()


def rows_of(options: argparse.Namespace) -> list[Row]:
    rows = [Row("prefill", n) for n in options.prefill]
    rows += [Row("decode", options.decode, depth) for depth in options.depth if options.decode]
    rows += [Row("decode", options.decode, 0, batch) for batch in options.batch if batch > 1 and options.decode]
    return rows + [Row("first-token")] * ("first-token" not in options.skip)


def engines_of(options: argparse.Namespace) -> list:
    engines = [peers.Atelier(options.atelier, options.threads)]
    if options.peers:
        peers.install_node_package(options.peers)
        engines.append(peers.NodeLlamaCpp(options.peers, options.threads))
        options.llama_bench = options.llama_bench or peers.install_llama_bench(options.peers)
    if options.llama_bench:
        engines.append(peers.LlamaBench(options.llama_bench, options.threads))
    if options.ik_llama_bench:
        engines.append(peers.IkLlamaBench(options.ik_llama_bench, options.threads))
    return [e for e in engines if e.name not in options.skip]


def measure_row(engines: list, runner: peers.Runner, model: pathlib.Path, row: Row, rounds: int) -> dict:
    """{engine: {"samples", "median", "best", "spread", …}}; engines take turns, so that all see the same machine."""
    taking_part = [e for e in engines if e.supports(row)]
    samples: dict[str, list[peers.Sample]] = {e.name: [] for e in taking_part}
    failures: dict[str, str] = {}
    for _ in range(rounds):
        for engine in taking_part:
            if engine.name in failures:
                continue
            try:
                samples[engine.name].append(engine.measure(runner, model, row))
            except peers.Failed as failure:
                failures[engine.name] = str(failure)
                print(f"  {engine.name}: {failure}", file=sys.stderr)
    results = {name: summary(row, taken) for name, taken in samples.items() if taken}
    return results | {name: {"failed": text} for name, text in failures.items() if not samples[name]}


def summary(row: Row, samples: list[peers.Sample]) -> dict:
    values = [s.value for s in samples]
    result = {
        "samples": values, "median": statistics.median(values),
        "best": min(values) if row.kind == "first-token" else max(values),
        "spread": (max(values) - min(values)) / statistics.median(values),
        "peak_rss_bytes": max(s.peak_rss_bytes for s in samples),
    }
    limits = [s.limits for s in samples if s.limits]
    if limits:
        result["limits"] = {key: statistics.median(x[key] for x in limits) for key in limits[0]}
    return result


def ratio(row: Row, ours: dict, theirs: dict) -> float:
    """Above 1: we are faster."""
    quotient = ours["median"] / theirs["median"]
    return 1 / quotient if row.kind == "first-token" else quotient


def cell(row: Row, result: dict | None, ours: dict | None) -> str:
    if result is None:
        return "–"
    if "failed" in result:
        return "failed"
    value = f"{result['median'] * 1000:.0f} ms" if row.kind == "first-token" else f"{result['median']:.4g}"
    text = f"{value} (±{result['spread'] / 2:.0%})"
    if ours is not None and ours is not result and "failed" not in ours:
        text += f" **{ratio(row, ours, result):.2f}×**"
    return text


def markdown(report: dict) -> str:
    lines = []
    for model in report["models"]:
        names = report["engines"]
        lines += [f"### {model['name']}", "", f"| | {' | '.join(names)} | of the limit |",
                  "|---" * (len(names) + 2) + "|"]
        for entry in model["rows"]:
            row, results = Row(**entry["row"]), entry["results"]
            ours = results.get("atelier")
            fraction = (ours or {}).get("limits", {}).get("fraction")
            share = f"{fraction:.0%}" if fraction else "–"
            lines.append(f"| {row.title()} | {' | '.join(cell(row, results.get(n), ours) for n in names)} | {share} |")
        peak = [max((e["results"][n]["peak_rss_bytes"] for e in model["rows"]
                     if "peak_rss_bytes" in e["results"].get(n, {})), default=0) for n in names]
        lines += [f"| peak memory, MB | {' | '.join(f'{p / 1e6:.0f}' if p else '–' for p in peak)} | |", ""]
    machine = report["machine"]
    limits = machine.get("limits")
    lines.append(f"{machine['processor']}, {report['threads']} threads, {report['rounds']} rounds in turns; median "
                 "tok/s (half the range), in bold how many times faster atelier is."
                 + (f" Limits measured in the same run: {limits['read_gb_s']:.1f} GB/s read, "
                    f"{limits['int8_tops']:.2f} int8 Tops." if limits else ""))
    return "\n".join(lines) + "\n"


def processor() -> str:
    text = pathlib.Path("/proc/cpuinfo").read_text() if pathlib.Path("/proc/cpuinfo").exists() else ""
    names = [line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name")]
    flags = next((line.split() for line in text.splitlines() if line.startswith("flags")), [])
    wide = [f for f in ("avx2", "avx512_vnni", "avx512_bf16", "amx_int8") if f in flags]
    return f"{names[0] if names else platform.machine()} ({', '.join(wide)})"


def main() -> None:
    options = parse_arguments()
    engines, runner = engines_of(options), peers.Runner(options.realtime)
    report = {"engines": [e.name for e in engines], "threads": options.threads, "rounds": options.rounds,
              "realtime": options.realtime, "machine": {"processor": processor()}, "models": []}
    for model in options.model:
        entry = {"name": model.stem if model.suffix == ".gguf" else model.name, "bytes": size_of(model), "rows": []}
        report["models"].append(entry)
        if options.pack:
            subprocess.run([options.atelier, "pack", "-m", model], check=True)
        for row in rows_of(options):
            print(f"{entry['name']}: {row.title()}", file=sys.stderr, flush=True)
            results = measure_row(engines, runner, model, row, options.rounds)
            entry["rows"].append({"row": row.__dict__, "results": results})
            print("  " + ", ".join(f"{name} {cell(row, result, None)}" for name, result in results.items()),
                  file=sys.stderr, flush=True)
            limits = results.get("atelier", {}).get("limits")
            if limits:
                report["machine"]["limits"] = limits
    text = markdown(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n")
    if options.markdown:
        options.markdown.write_text(text)
    print(text, end="")


def size_of(model: pathlib.Path) -> int:
    return sum(f.stat().st_size for f in model.rglob("*") if f.is_file()) if model.is_dir() else model.stat().st_size


if __name__ == "__main__":
    main()
