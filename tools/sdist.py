"""Build the sdist so that two builds of one commit are byte-identical.

setuptools writes into the archive when and by whom each file was made. Here each entry gets the
commit's date, no owner and a mode of its kind, in the order of the names. ``SOURCE_DATE_EPOCH``
(reproducible-builds.org) overrides the date. ``python -m tools.sdist FOLDER`` builds this tree.
"""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def commit_date() -> int:
    """Return the date of every file in a release, in seconds since 1970."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given:
        return int(given)
    command = ["git", "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def normalize(sdist: Path, date: int) -> None:
    """Rewrite an archive so that its bytes depend only on the contents and the date."""
    with tarfile.open(sdist) as archive:
        entries = sorted(archive.getmembers(), key=lambda entry: entry.name)
        contents = {e.name: archive.extractfile(e).read() for e in entries if e.isfile()}
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for old in entries:
            entry = tarfile.TarInfo(old.name)
            entry.type, entry.size, entry.mtime = old.type, old.size, date
            entry.mode = 0o755 if old.isdir() or old.mode & 0o100 else 0o644
            archive.addfile(entry, io.BytesIO(contents.get(old.name, b"")))
    # No file name and this date in the header of the compressed file.
    sdist.write_bytes(gzip.compress(plain.getvalue(), mtime=date))


def build_sdist(source: Path, folder: Path) -> Path:
    """Build the sdist of a source tree into a folder. Return its path."""
    date = commit_date()
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(date)}
    command = [sys.executable, "-m", "build", "--sdist", "--outdir", folder, source]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    (sdist,) = folder.glob("*.tar.gz")
    normalize(sdist, date)
    return sdist


if __name__ == "__main__":
    print(build_sdist(ROOT, Path(sys.argv[1])))
