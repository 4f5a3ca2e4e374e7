"""Build a free-threaded CPython from Debian's source, once; `make python-ft` runs it.

It prints the path of the interpreter. Python packages of Linux distributions have the GIL, and not
every machine reaches python.org. Debian's archive has the sources as they were released, and the
mirror that apt uses here serves them by their names, which no list tells: so the patch releases
are asked for from the highest down. What was built lies in ``~/.cache/tokenwheel/python`` (or below
XDG_CACHE_HOME), and is used from then on; ``--anew`` looks for a later one.

With ``--thread-sanitizer`` the interpreter tells of data races, its own included. It takes clang.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from http.client import HTTPException
from pathlib import Path
from urllib.request import Request, urlopen

from tools.interpreters import BUILT

USUAL_MIRROR = "http://deb.debian.org/debian"
HIGHEST_PATCH = 20
HIGHEST_CANDIDATE = 5
NOT_SERVED = 3  # what the process exits with where no source is in reach
NEEDED = "gcc make pkgconf libbz2-dev libffi-dev liblzma-dev libsqlite3-dev libssl-dev zlib1g-dev"


class NotServedError(Exception):
    """No source of that version can be had."""


def possible_releases(version: str) -> Iterator[str]:
    """Yield what the releases of ``3.14`` may be called, the latest first."""
    yield from (f"{version}.{patch}" for patch in range(HIGHEST_PATCH, -1, -1))
    yield from (f"{version}.0~rc{number}" for number in range(HIGHEST_CANDIDATE, 0, -1))


def find_mirror() -> str:
    """Return the address from which this machine's apt takes Debian, or the usual one."""
    apt = shutil.which("apt-get")
    if apt is not None:
        filters = ["Created-By: Packages", "Origin: Debian", "Label: Debian"]
        command = [apt, "indextargets", "--format", "$(REPO_URI)", *filters]
        answer = subprocess.run(command, check=False, capture_output=True, text=True)
        if answer.returncode == 0 and answer.stdout:
            return answer.stdout.split()[0].rstrip("/")
    return USUAL_MIRROR


def find_source(version: str) -> tuple[str, str]:
    """Return the latest release that the mirror serves, and the address of its source.

    Raises:
        NotServedError: it serves none, or can't be reached.
    """
    folder = f"{find_mirror()}/pool/main/p/python{version}"
    reason: object = "it serves none"
    for release in possible_releases(version):
        address = f"{folder}/python{version}_{release}.orig.tar.xz"
        try:
            with urlopen(Request(address, method="HEAD"), timeout=20):  # noqa: S310
                return release, address
        except (OSError, HTTPException) as error:  # An answer of 404 is one, too.
            reason = error
            if getattr(error, "code", None) is None:
                break
    raise NotServedError(f"no source of Python {version} from {folder}: {reason}")


def unpack(address: str, folder: Path) -> Path:
    """Fetch a source and unpack it. Return its folder."""
    with urlopen(address, timeout=60) as answer, tempfile.TemporaryFile() as file:  # noqa: S310
        shutil.copyfileobj(answer, file)
        file.seek(0)
        with tarfile.open(fileobj=file, mode="r:xz") as archive:
            archive.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    return source


def build(source: Path, prefix: Path, *, thread_sanitizer: bool) -> None:
    """Build and install into a folder, which is there only when all is done."""
    options = ["--disable-gil", "--disable-test-modules", f"--prefix={prefix}"]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    environment.pop("MAKEFLAGS", None)  # They are for the make that runs this.
    if thread_sanitizer:
        clang = next(filter(shutil.which, ["clang", *(f"clang-{n}" for n in range(22, 13, -1))]))
        options.append("--with-thread-sanitizer")
        environment |= {"CC": clang, "CXX": clang.replace("clang", "clang++")}
    installed = source / "installed"
    jobs = f"-j{os.cpu_count()}"
    for command in (
        ["./configure", "-q", *options],
        ["make", "-s", jobs],
        ["make", "-s", jobs, "install", f"DESTDIR={installed}"],
    ):
        subprocess.run(command, check=True, cwd=source, env=environment, stdout=sys.stderr)
    if thread_sanitizer:
        shutil.copytree(source / "Tools/tsan", installed / prefix.relative_to("/") / "tsan")
    prefix.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(prefix, ignore_errors=True)
    shutil.move(installed / prefix.relative_to("/"), prefix)


def find_built(version: str, kind: str) -> Path | None:
    """Return the interpreter that was built before, the latest of several."""
    pattern = f"{version}.*{kind}/bin/python{version}t"
    found = sorted(BUILT.glob(pattern), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def main(arguments: Sequence[str]) -> int:
    """Print the path of an interpreter.

    Returns:
        1 where none is there and none can be built, and 3 where the source of none can be had.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("version", nargs="?", default="3.14", help="such as 3.14")
    parser.add_argument("--anew", action="store_true", help="though there is one already")
    parser.add_argument("--thread-sanitizer", action="store_true", help="which tells of races")
    given = parser.parse_args(arguments)
    kind = "t-tsan" if given.thread_sanitizer else "t"
    found = None if given.anew else find_built(given.version, kind)
    if found is None:
        try:
            release, address = find_source(given.version)
        except NotServedError as error:
            print(f"python_ft: {error}", file=sys.stderr)
            return NOT_SERVED
        print(f"building free-threaded Python {release} from {address}", file=sys.stderr)
        prefix = BUILT / f"{release}{kind}"
        try:
            with tempfile.TemporaryDirectory() as folder:
                source = unpack(address, Path(folder))
                build(source, prefix, thread_sanitizer=given.thread_sanitizer)
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"python_ft: {error}\nOn Debian, building takes {NEEDED}", file=sys.stderr)
            return 1
        found = prefix / f"bin/python{given.version}t"
    print(found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
