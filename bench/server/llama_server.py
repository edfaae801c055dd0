#!/usr/bin/env python3
"""Builds llama.cpp's llama-server outside the tree and prints its path: bench/server/llama_server.py PEERS

PEERS is the folder of bench/compare/run.py: node_modules/node-llama-cpp brings prebuilt libraries for every processor and the
sources of their release. Only the server itself is compiled (two to three minutes), then linked with those libraries, so that
what is measured is what users of them run. Images and sound are left out: functions for them are stubs that only a
projector file (--mmproj) would lead to.
"""

import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "compare"))

from peers import install_llama_bench  # noqa: E402  (found through the line above)

# Called at any start; a structure returned through a hidden pointer stays as it is.
HARMLESS = {"mtmd_helper_log_set", "mtmd_context_params_default", "mtmd_helper_init_opt_default"}


def undefined(linked: subprocess.CompletedProcess) -> set[str]:
    """Mangled names the linker missed."""
    return {part.split()[0].rstrip("'") for line in linked.stderr.splitlines() if "undefined reference to" in line
            for part in [line.split("undefined reference to `", 1)[1]]}


def install(peers: pathlib.Path) -> pathlib.Path:
    folder = install_llama_bench(peers).parent
    program, sources, objects = folder / "llama-server", peers / "llama.cpp-sources", peers / "llama-server-objects"
    if program.is_file():
        return program
    objects.mkdir(exist_ok=True)
    subprocess.run(["cmake", f"-DUI_SOURCE_DIR={sources / 'tools/ui'}", f"-DUI_BINARY_DIR={objects}", f"-DLLAMA_SOURCE_DIR={sources}",
                    "-DHF_ENABLED=OFF", "-DBUILD_UI=OFF", "-DLLAMA_UI_GZIP=OFF", "-P", sources / "scripts/ui-assets.cmake"],
                   check=True, capture_output=True)
    include = [f"-I{sources / part}" for part in ("", "include", "ggml/include", "common", "vendor", "tools/mtmd", "tools/server")]
    for source in [sources / "vendor/cpp-httplib/httplib.cpp", objects / "ui.cpp", *sorted((sources / "tools/server").glob("*.cpp"))]:
        made = objects / f"{source.stem}.o"
        if not made.is_file():
            subprocess.run(["c++", "-O2", "-DNDEBUG", "-std=c++17", "-w", *include, f"-I{objects}", "-c", source, "-o", made], check=True)
    libraries = [x for x in folder.glob("lib*.so") if not x.name.startswith("libggml-cpu")]
    made = [x for x in objects.glob("*.o") if x.stem != "stubs"]
    link = ["c++", "-o", program, *made, *libraries, "-Wl,-rpath,$ORIGIN", "-Wl,--no-demangle", "-pthread", "-lssl", "-lcrypto"]
    missing = undefined(subprocess.run(link, check=False, capture_output=True, text=True))
    stubs = objects / "stubs.s"
    stubs.write_text("".join(f".globl {name}\n{name}:\n{' mov %rdi, %rax' if name in HARMLESS else ' ud2'}\n ret\n" for name in sorted(missing)))
    subprocess.run([*link, stubs], check=True)
    return program


if __name__ == "__main__":
    print(install(pathlib.Path(sys.argv[1]).resolve()))
