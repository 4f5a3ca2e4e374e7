"""Checks the stubs of the compiled modules against what was built and against the pure twins.

The stub of a compiled module is the contract of both twins. A pure twin is checked in a copy of the
package where the stub lies beside it and, as stubs do, takes its place for the type checker. At run
time the installed twin answers. No allowlist.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "src" / "tokenwheel"


def stubtest(search_path: Path, modules: list[str]) -> bool:
    command = [
        sys.executable,
        "-m",
        "mypy.stubtest",
        "--mypy-config-file",
        str(ROOT / "pyproject.toml"),
        *modules,
    ]
    return (
        subprocess.run(
            command, env={**os.environ, "MYPYPATH": str(search_path)}, cwd=search_path, check=False
        ).returncode
        == 0
    )


def main() -> int:
    stubs = sorted((PACKAGE / "_native").glob("*.pyi"))
    names = [stub.stem for stub in stubs]
    compiled = sorted(source.stem for source in (ROOT / "ext").glob("*.pyx"))
    if names != compiled:
        print(
            f"ext/ has {compiled}, and src/tokenwheel/_native/ has stubs for {names}",
            file=sys.stderr,
        )
        return 1
    good = stubtest(PACKAGE.parent, [f"tokenwheel._native.{name}" for name in names])
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tokenwheel"
        shutil.copytree(
            PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
        )
        for stub in stubs:
            # What a C layout is for a compiled class, its slots are for a pure one.
            (copy / "_pure" / stub.name).write_text(
                stub.read_text(encoding="utf-8").replace("@disjoint_base\n", ""), encoding="utf-8"
            )
        good &= stubtest(Path(folder), [f"tokenwheel._pure.{name}" for name in names])
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
