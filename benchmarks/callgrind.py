"""Where the instructions of a ``read`` go: ``make bench-profile`` writes benchmarks/callgrind.md.

Instructions, unlike times, are the same on a busy machine. The extensions are built as setup.py
builds them, but with symbols and into a temporary folder. Each work is run twice under valgrind,
the second time with twice as many reads. The difference, divided by the number of reads, is one
read, without what starting Python takes.
"""

from __future__ import annotations

import os
import platform
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from unittest import mock

from benchmarks.callgrind_file import CALLING_NAME, Profile, parse, split
from benchmarks.programs import find_program
from benchmarks.prose import wrap

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "benchmarks" / "callgrind.md"
READS = 10_000
LEAST_SHARE = 0.01  # of a read: smaller parts are added up

WORK = """
import gc, sys
sys.path.insert(0, sys.argv[1])
from tokenwheel import SessionManager
work, reads = sys.argv[2], int(sys.argv[3])
manager = SessionManager(
    "7c1f0d9a4be35826f0c7a19d3e5b4817", issuer="auth-server.com",
    audience=["auth-server.com", "rest-server.com"],
    verified_cache_size=0 if work == "unseen" else 65_536,
)
token = manager.create({"role": "user", "name": "John"}, subject="uid1").access_token.encode()
read = manager.read
gc.disable()
if work == "text":
    for _ in range(reads):
        token.decode()
else:
    for _ in range(reads):
        read(token.decode())
"""

MEANINGS = {
    r"^msgspec": "parses the payload, and makes its dict, names and values",
    r"^EVP_": "HMAC: OpenSSL copies, feeds and finishes the keyed states",
    r"^CRYPTO_memcmp": "compares the signature, in constant time",
    r"^PyTime": "reads the clock",
    r"^_?PyDict_(GetItem|Contains)": "looks up claims",
    r"^base64url_decoded$": "decodes or encodes base64url",
    r"^PyDict_Next": "goes through the claims for nested ones",
    r"GetAttr": "looks up an attribute by name",
    r"^PyBytes_From": "makes the bytes object of the payload",
    r"Alloc": "makes the objects that hold what was verified",
    r"[Dd]ealloc|_Free$": "lets objects go",
    r"^memcmp": "compares the token with the remembered one, or the header with the known one",
    r"^memchr": "looks for the dots",
    r"^mem(cpy|move)": "copies bytes",
    r"tls_get_addr": "finds the thread's state, for the interpreter's macros",
    CALLING_NAME: "gets from a call to the function",
    r"CheckFunctionResult": "sees that a call has either a result or an exception",
    r"base64url\.pxd": "decodes or encodes base64url",
    r"(directory|index|segment|tags|slab)\.pxd": "finds the place of the token, or of the session",
    r"revocation_table\.pxd": "asks which generation is refused",
    r"colons|members|json_object": "counts members and colons, so that no name stands twice",
    r"Verifier\.verify_unseen": "keeps the order of checks of a token not seen",
    r"Verifier\.verify": "takes the arguments; checks audience and times",
    r"recall": "looks for the token among those remembered",
    r"is_revoked": "asks the table of revocations",
    r"claims": "checks the claims",
}

PAGE_TEXT = """# What one `read` is made of

Instructions counted by `valgrind --tool=callgrind`, which are the same however busy a machine is;
`make bench-profile` counts them again and writes this page. {date}, {system}, CPython {python},
{versions}. Means of {reads:,} reads of an HS256 token, each of a new `str`, as a server makes it.

A part is what one function of the library takes itself, code from a `.pxd` file apart, or what it
asks of one function of others, with all that this one calls; so the parts add up. Instructions are
not time: one that waits for memory takes longer than a hundred that don't, and valgrind's processor
knows no SHA instructions, so OpenSSL takes several times as many for SHA-256 here as on one that
does.

{sections}"""


def build(folder: Path) -> None:
    """Build the package in a folder, with symbols and the lines of ext/.

    Its extensions are otherwise compiled as setup.py would.
    """
    from Cython.Build import cythonize
    from setuptools import Distribution
    from setuptools.command.build_ext import build_ext

    os.chdir(ROOT)
    shutil.copytree(
        "src/tokenwheel",
        folder / "tokenwheel",
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )
    with mock.patch("setuptools.setup") as setup:
        settings = runpy.run_path("setup.py")
    extensions = setup.call_args.kwargs["ext_modules"]
    for extension in extensions:
        extension.extra_compile_args = [*extension.extra_compile_args, "-g", "-w"]
    options = {
        "include_path": ["ext"],
        "build_dir": str(folder / "c"),
        "emit_linenums": True,
        "quiet": True,
    }
    translated = cythonize(extensions, compiler_directives=settings["directives"], **options)
    command = build_ext(Distribution({"ext_modules": translated}))
    command.build_lib, command.build_temp, command.parallel = (
        str(folder),
        str(folder / "o"),
        os.cpu_count(),
    )
    command.ensure_finalized()
    command.run()


def run(folder: Path, work: str, reads: int) -> Profile:
    output = folder / f"{work}-{reads}.out"
    valgrind = [
        "valgrind",
        "--tool=callgrind",
        "--compress-strings=no",
        "--compress-pos=no",
        f"--callgrind-out-file={output}",
    ]
    subprocess.run(
        [*valgrind, sys.executable, "-c", WORK, str(folder), work, str(reads)],
        env={**os.environ, "PYTHONHASHSEED": "0", "TOKENWHEEL_IMPL": "native"},
        stderr=subprocess.DEVNULL,
        check=True,
    )
    return parse(output.read_text())


def profile(folder: Path, work: str) -> Profile:
    """Return the profile of READS reads."""
    return run(folder, work, 2 * READS).less(run(folder, work, READS))


def table(parts: dict[str, float], total: float) -> list[str]:
    lines = [
        "| | part | instructions | share | what it does |",
        "| ---: | --- | ---: | ---: | --- |",
    ]
    large = [
        (name, count)
        for name, count in sorted(parts.items(), key=lambda part: -part[1])
        if count >= LEAST_SHARE * total
    ]
    for place, (name, count) in enumerate(large, 1):
        meaning = next((text for pattern, text in MEANINGS.items() if re.search(pattern, name)), "")
        lines.append(f"| {place} | `{name}` | {count:,.0f} | {count / total:.1%} | {meaning} |")
    rest = total - sum(count for _, count in large)
    return [*lines, f"| | smaller parts | {rest:,.0f} | {rest / total:.1%} | |", ""]


def section(title: str, profile: Profile, text: Profile) -> list[str]:
    total, parts = split(profile.less(text).mean(READS))
    text_total = text.total / READS
    around = profile.total / READS - text_total - total
    return [
        f"## {title}: {total:,.0f} instructions",
        "",
        (
            f"Not among them: {text_total:,.0f} to make the `str` and go round the loop, "
            f"{around:,.0f} for the interpreter's call and to let go of the claims."
        ),
        "",
        *table(parts, total),
    ]


def main() -> None:
    if find_program("valgrind") is None:
        raise SystemExit("valgrind is needed")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        build(folder)
        run(folder, "text", 1)  # leaves the compiled .py files behind
        text, seen, unseen = (profile(folder, work) for work in ("text", "seen", "unseen"))
    sections = [
        *section("A token seen before", seen, text),
        *section("A token never seen, HS256", unseen, text),
    ]
    filled = PAGE_TEXT.format(
        date=datetime.now(UTC).date().isoformat(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions=", ".join(f"{name} {version(name)}" for name in ("Cython", "msgspec")),
        reads=READS,
        sections="\n".join(sections),
    )
    page = wrap(filled)
    PAGE.write_text(page)
    print(page)


if __name__ == "__main__":
    main()
