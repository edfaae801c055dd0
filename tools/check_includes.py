#!/usr/bin/env python3
"""Fails on an #include that points down the list of folders in docs and CMakeLists.txt.

A file of src/FOLDER may include "FOLDER/..." and the folders before its own in ORDER; tests/FOLDER and
bench/FOLDER may include what src/FOLDER may. --self-test feeds trees that must and must not pass.
"""

import argparse
import re
import sys
import tempfile
from pathlib import Path

ORDER = ["base", "formats", "io", "text", "kernels", "ops", "models", "engine", "chat", "server", "agent", "cli"]
# Kernels and ops know no file and no text, although both stand above them in the list.
BLIND_TO = {"kernels": {"io", "text"}, "ops": {"io", "text"}}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+"([^"]+)"', re.MULTILINE)


def violations(root: Path) -> list[str]:
    found = []
    for tree in ("src", "tests", "bench", "fuzz"):
        for path in sorted((root / tree).rglob("*")):
            if path.suffix not in (".h", ".cpp", ".inc") or not path.is_file():
                continue
            parts = path.relative_to(root / tree).parts
            folder = parts[0] if len(parts) > 1 else None
            if folder not in ORDER:
                continue  # src/main.cpp, tests/data, tests/support: no place in the list
            for match in INCLUDE.finditer(path.read_text(encoding="utf-8", errors="replace")):
                target = match.group(1).split("/")[0]
                line = path.read_text(encoding="utf-8", errors="replace").count("\n", 0, match.start()) + 1
                where = f"{path.relative_to(root)}:{line}"
                if ".." in match.group(1).split("/"):
                    found.append(f'{where}: "{match.group(1)}": include from src/, without ..')
                elif target in BLIND_TO.get(folder, ()):
                    found.append(f'{where}: {folder} may not include "{match.group(1)}": it does no {target}')
                elif target in ORDER and ORDER.index(target) > ORDER.index(folder):
                    found.append(f'{where}: {folder} may not include "{match.group(1)}": {target} stands below it')
    return found


def self_test() -> None:
    cases = [
        ("src/base/a.h", '#include "io/b.h"\n', 1),
        ("src/text/a.cpp", '#include "text/a.h"\n#include "base/result.h"\n#include <io/x.h>\n', 0),
        ("src/text/a.cpp", '  #  include "models/llama.h"\n', 1),
        ("src/kernels/cpu/matmul/a.cpp", '#include "ops/linear.h"\n#include "kernels/x.h"\n', 1),
        ("src/kernels/cpu/a.cpp", '#include "io/checkpoint.h"\n', 1),
        ("src/engine/a.cpp", '#include "../base/a.h"\n', 1),
        ("tests/io/a_test.cpp", '#include "models/llama.h"\n', 1),
        ("tests/io/a_test.cpp", '#include "io/store.h"\n#include "fixture.h"\n', 0),
        ("bench/text/a.cpp", '#include "cli/x.h"\n', 1),
        ("src/main.cpp", '#include "cli/cli.h"\n', 0),
    ]
    for path, content, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / path
            file.parent.mkdir(parents=True)
            file.write_text(content, encoding="utf-8")
            found = violations(Path(folder))
            if len(found) != expected:
                sys.exit(f"self-test: {path} with {content!r}: expected {expected} violations, found {found}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("root", nargs="?", type=Path, default=Path(__file__).resolve().parent.parent)
    arguments = parser.parse_args()
    if arguments.self_test:
        self_test()
        return
    found = violations(arguments.root)
    print("\n".join(found), end="\n" if found else "")
    sys.exit(1 if found else 0)


if __name__ == "__main__":
    main()
