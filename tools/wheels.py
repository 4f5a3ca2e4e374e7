"""Builds what a release holds and tests it as a user would get it; `make wheel` runs it.

First the sdist; from the sdist, never from the work tree, a wheel for each CPython on this machine
from 3.11 up, and the pure one. On Linux auditwheel repairs the compiled ones. Each wheel then goes
into an empty environment, and the suite runs in a folder that holds the tests and no source, so
that what it imports can only be what was installed. Dependencies are the newest releases, as a user
gets them, not those of requirements.lock. `tools.release_check` does the same from a commit.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

from tools import sbom, sdist
from tools.interpreters import find_interpreters

from tests.packaging.elf import is_elf, weaknesses

ROOT = Path(__file__).resolve().parent.parent
DIST = ROOT / "dist"
TESTED = ["pyproject.toml", "README.md", "docs", "examples", "tests"]


def run(*command: str | Path, cwd: Path = ROOT, implementation: str = "") -> None:
    """Run a command, where no variable but these says what is built or imported."""
    print("+", *command, flush=True)
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("TOKENWHEEL_IMPL", "TOKENWHEEL_BUILD", "PYTHONPATH")
    }
    # The date of every file in a wheel: two builds of one commit are the same.
    chosen = {"TOKENWHEEL_IMPL": implementation, "SOURCE_DATE_EPOCH": str(sdist.commit_date())}
    subprocess.run(command, cwd=cwd, env={**kept, **chosen}, check=True)


def environment(python: Path, folder: Path) -> Path:
    run(python, "-m", "venv", "--clear", folder)
    inside = folder / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(inside, "-m", "pip", "install", "-q", "--upgrade", "pip>=25.1")
    return inside


def only(paths: Iterable[Path]) -> Path:
    (path,) = paths
    return path


def check_contents(
    names: list[str], *, archive: Path, unwanted: tuple[str, ...], wanted: tuple[str, ...]
) -> None:
    stray = [name for name in names if name.endswith(unwanted)]
    missing = [ending for ending in wanted if not any(name.endswith(ending) for name in names)]
    if stray or missing:
        raise SystemExit(f"{archive.name} holds {stray} and lacks {missing}")


def check_hardening(wheel: Path, folder: Path) -> None:
    """Refuse a wheel with an extension that lacks some of its hardening, where those are ELF."""
    shutil.unpack_archive(wheel, folder, "zip")
    extensions = [path for path in sorted(folder.rglob("*.so")) if is_elf(path)]
    weak = {path.name: weaknesses(path) for path in extensions if weaknesses(path)}
    if weak:
        raise SystemExit(f"{wheel.name} holds extensions that are not hardened: {weak}")


def build_sdist(source: Path, folder: Path) -> Path:
    """Build the sdist of a source tree, and check what it holds. Return its path."""
    path = sdist.build_sdist(source, folder)
    with tarfile.open(path) as archive:
        check_contents(
            archive.getnames(),
            archive=path,
            unwanted=(".c", ".so", ".pyc"),
            wanted=(".pyx", ".pxd", ".pyi", "py.typed"),
        )
    return path


def build_wheel(
    python: Path, source: Path, work: Path, folder: Path, *, implementation: str
) -> Path:
    """Build a wheel from an sdist, as a release has it. Return its path in the folder."""
    raw = work / "raw"
    run(
        python,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-deps",
        "--no-binary",
        "tokenwheel",
        "-w",
        raw,
        source,
        implementation=implementation,
    )
    wheel = only(raw.glob("*.whl"))
    if implementation == "pure":
        unwanted, wanted = (".so", ".pyd", ".c", ".pyx"), ("py3-none-any.whl",)
    else:
        unwanted, wanted = (
            (".c", ".pyx", ".pxd"),
            (".pyd" if os.name == "nt" else ".so", ".pyi", "py.typed"),
        )
    names = [wheel.name, *zipfile.ZipFile(wheel).namelist()]
    check_contents(names, archive=wheel, unwanted=unwanted, wanted=wanted)
    repaired = work / "repaired"
    if implementation == "native" and sys.platform == "linux":
        run(sys.executable, "-m", "auditwheel", "repair", "-w", repaired, wheel)
        wheel = only(repaired.glob("*.whl"))
    sbom.add_sbom(wheel)
    check_hardening(wheel, work / "extracted")
    return Path(shutil.copy(wheel, folder))


def test_wheel(
    python: Path, wheel: Path, work: Path, *, implementation: str, tests: Iterable[str]
) -> None:
    """Install a wheel into an empty environment, and run these tests on it, or all."""
    away = work / "away"
    away.mkdir()
    for name in TESTED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, away / name, ignore=shutil.ignore_patterns("__pycache__"))
        elif source.exists():
            shutil.copy(source, away)
    run(python, "-m", "pip", "install", "-q", "--group", "servers", wheel, cwd=away)
    run(python, "-m", "pytest", "-q", *tests, cwd=away, implementation=implementation)


def main() -> None:
    shutil.rmtree(DIST, ignore_errors=True)
    source = build_sdist(ROOT, DIST)
    found = [interpreter.path for interpreter in find_interpreters()]
    print(f"{len(found)} interpreters: {' '.join(map(str, found))}")
    for implementation, pythons in (("native", found), ("pure", found[:1])):
        for python in pythons:
            with tempfile.TemporaryDirectory() as folder:
                work = Path(folder)
                inside = environment(python, work / "environment")
                wheel = build_wheel(inside, source, work, DIST, implementation=implementation)
                test_wheel(inside, wheel, work, implementation=implementation, tests=[])
    print("built and tested:", *sorted(path.name for path in DIST.iterdir()), sep="\n  ")


if __name__ == "__main__":
    main()
