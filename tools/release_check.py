"""Check all that has to be true before a release is tagged; `make release-check` runs it.

First what takes no time: the versions agree, the changelog has the release and no fragment is left,
the work tree is clean, and no tag of this version is at another commit. Then the sdist and a wheel
for each CPython found here, and the pure one, are built twice from the commit, each time in folders
of their own: both have to be the same to the byte. The wheels are judged as files, and each is
installed into an empty environment and tested there.

SUITE says what is tested: ``smoke`` is a part of the suite on each Python, ``one`` the same and the
whole suite on the newest Python, ``all`` the whole suite on each. What was built stays in dist.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import tomllib
import zipfile
from pathlib import Path

from tools import sbom
from tools.interpreters import Interpreter, find_interpreters
from tools.wheels import DIST, ROOT, build_sdist, build_wheel, environment, run, test_wheel

SMOKE = ["tests/packaging", "tests/flow", "tests/session", "tests/test_cli.py"]
SUITES = ("smoke", "one", "all")


def git(*command: str) -> str:
    """Return what git answers about this repository."""
    return subprocess.run(
        ["git", *command], cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def find_problems(root: Path) -> list[str]:
    """Return what keeps the sources in a folder from being a release, in words."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    version = project["version"]
    module = (root / "src/tokenwheel/__init__.py").read_text(encoding="utf-8")
    stated = re.findall(r'^__version__ = "(.*)"$', module, re.MULTILINE)
    changelog = (root / "CHANGELOG.md").read_text(encoding="utf-8")
    released = re.findall(r"^## (\S+) \(\d{4}-\d\d-\d\d\)$", changelog, re.MULTILINE)
    problems = []
    if stated != [version]:
        problems.append(f"pyproject.toml is {version}, tokenwheel.__version__ is {stated}")
    if released[:1] != [version]:
        problems.append(f"pyproject.toml is {version}, the newest in CHANGELOG.md {released[:1]}")
    left = sorted(path.name for path in (root / "changelog.d").glob("*.md"))
    if left:
        problems.append(f"changelog.d still has {', '.join(left)}: towncrier build")
    return problems


def find_problems_of_git() -> list[str]:
    """Return what differs from the commit, and a tag of this version that is elsewhere."""
    problems = [f"not committed: {line}" for line in git("status", "--porcelain").splitlines()]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tag = f"v{project['version']}"
    head = git("rev-parse", "HEAD")
    if git("tag", "--list", tag) and git("rev-parse", f"{tag}^{{commit}}") != head:
        problems.append(f"{tag} is tagged at another commit")
    return problems


def build_all(pythons: list[Interpreter], folder: Path) -> dict[str, Path]:
    """Build the sdist and each wheel from the commit. Return the wheels by Python's version."""
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        source = work / "source"
        archive = work / "source.tar"
        run("git", "archive", "--output", archive, "HEAD")
        with tarfile.open(archive) as tree:
            tree.extractall(source, filter="data")
        sdist = build_sdist(source, folder)
        wheels = {}
        for version, path in [*pythons, Interpreter("pure", pythons[-1].path)]:
            inside = environment(path, work / version / "environment")
            implementation = "pure" if version == "pure" else "native"
            wheels[version] = build_wheel(
                inside, sdist, work / version, folder, implementation=implementation
            )
        return wheels


def find_differences(first: Path, second: Path) -> list[str]:
    """Return the names of the files that are not the same, to the byte, in both folders."""
    contents = [{p.name: p.read_bytes() for p in folder.iterdir()} for folder in (first, second)]
    names = sorted({*contents[0], *contents[1]})
    return [name for name in names if contents[0].get(name) != contents[1].get(name)]


def check_sbom(wheel: Path) -> None:
    """Refuse a wheel whose SBOM is not valid, not in RECORD, or not about what is in the wheel."""
    # `make test` does without it.
    from cyclonedx.schema import SchemaVersion
    from cyclonedx.validation.json import JsonStrictValidator

    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in contents if name.endswith(".dist-info/sboms/tokenwheel.cdx.json"))
    (record,) = (text for name, text in contents.items() if name.endswith(".dist-info/RECORD"))
    found = contents.pop(name)
    error = JsonStrictValidator(SchemaVersion.V1_7).validate_str(found.decode())
    if error is not None:
        raise SystemExit(f"{wheel.name}: its SBOM is not CycloneDX 1.7: {error}")
    if ",".join(sbom.record_line(name, found)) not in record.decode().splitlines():
        raise SystemExit(f"{wheel.name}: RECORD does not have the SBOM")
    if json.loads(found) != sbom.describe_wheel(contents):
        raise SystemExit(f"{wheel.name}: its SBOM is not of these files")


def check_files(wheels: list[Path], folder: Path) -> None:
    """Judge the sdist and the wheels as the package index and an installer will."""
    run(sys.executable, "-m", "twine", "check", "--strict", *sorted(folder.iterdir()))
    run(sys.executable, "-m", "check_wheel_contents", *wheels)
    for wheel in wheels:
        check_sbom(wheel)
        if "linux" in wheel.name:
            run(sys.executable, "-m", "auditwheel", "show", wheel)


def test_all(pythons: list[Interpreter], wheels: dict[str, Path], suite: str) -> list[str]:
    """Test each wheel in an empty environment. Return what was run and how long it took."""
    paths = {interpreter.version: interpreter.path for interpreter in pythons}
    newest = pythons[-1].version
    runs = []
    for version, wheel in wheels.items():
        whole = suite == "all" or (suite == "one" and version == newest)
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            inside = environment(paths.get(version, paths[newest]), work / "environment")
            implementation = "pure" if version == "pure" else "native"
            tests = [] if whole else SMOKE
            test_wheel(inside, wheel, work, implementation=implementation, tests=tests)
        seconds = time.monotonic() - start
        runs.append(f"{wheel.name}: {'the whole' if whole else 'smoke'} suite, {seconds:.0f} s")
    return runs


def main(arguments: list[str]) -> int:
    """Run all checks, print a summary, and return 1 where the release must not be made."""
    suite, chosen = arguments[0], arguments[1:]
    if suite not in SUITES:
        print(f"release-check: SUITE is {', '.join(SUITES)}, not {suite!r}", file=sys.stderr)
        return 2
    problems = find_problems(ROOT) + find_problems_of_git()
    if problems:
        print("release-check: not ready", *problems, sep="\n  ", file=sys.stderr)
        return 1
    found = [python for python in find_interpreters() if not chosen or python.version in chosen]
    # As numbers, and 3.14 before 3.14t.
    pythons = sorted(
        found, key=lambda python: (int(python.version[2:].rstrip("t")), python.version)
    )
    if not pythons:
        print(f"release-check: no CPython here is {', '.join(chosen)}", file=sys.stderr)
        return 1
    # Of this commit, though another should be made while this runs.
    os.environ["SOURCE_DATE_EPOCH"] = git("log", "-1", "--format=%ct")
    shutil.rmtree(DIST, ignore_errors=True)
    start = time.monotonic()
    wheels = build_all(pythons, DIST)
    with tempfile.TemporaryDirectory() as again:
        build_all(pythons, Path(again))
        differing = find_differences(DIST, Path(again))
    if differing:
        print(f"release-check: two builds differ in {', '.join(differing)}", file=sys.stderr)
        return 1
    built = time.monotonic() - start
    check_files(list(wheels.values()), DIST)
    runs = test_all(pythons, wheels, suite)
    print(f"release-check: {git('rev-parse', 'HEAD')} can be released")
    print(f"  built twice, byte-identical, {built:.0f} s: {len(wheels)} wheels and the sdist")
    print(*(f"  tested {line}" for line in runs), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
