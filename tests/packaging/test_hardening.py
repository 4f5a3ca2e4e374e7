"""The extensions are hardened, whatever Python itself was built with.

So a fault in them, or in what they are loaded beside, is harder to make use of. That holds for
what is ELF; a build for the sanitizers has their checks instead.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import tokenwheel
from tests.packaging.elf import is_elf, weaknesses

ROOT = Path(__file__).resolve().parent.parent.parent
EXTENSIONS = [
    path for path in sorted(Path(tokenwheel.__file__).parent.glob("_native/*.so")) if is_elf(path)
]

pytestmark = [
    pytest.mark.skipif(shutil.which("readelf") is None, reason="readelf reads the extensions"),
    pytest.mark.skipif(
        os.environ.get("TOKENWHEEL_BUILD") in ("sanitize", "fuzz"),
        reason="sanitizers bring checks of their own",
    ),
]
needs_compiler = pytest.mark.skipif(
    sys.platform != "linux" or shutil.which("cc") is None, reason="a C compiler makes the library"
)

# What a Python might have been built with, that would undo the hardening.
OPPOSED = {
    "CFLAGS": "-O0 -fno-stack-protector -D_FORTIFY_SOURCE=1 -fvisibility=default",
    "LDFLAGS": "-Wl,-rpath,/somewhere -Wl,-z,lazy,-rpath=/else,-z,norelro -Wl,-z,execstack",
    "LD_RUN_PATH": "/elsewhere",
}


@pytest.mark.skipif(not EXTENSIONS, reason="no extension in the form of ELF is installed")
def test_each_extension_is_hardened() -> None:
    assert {path.name: weaknesses(path) for path in EXTENSIONS} == {
        path.name: [] for path in EXTENSIONS
    }


@needs_compiler
def test_an_extension_that_is_not_hardened_is_found_out(tmp_path: Path) -> None:
    source, library = tmp_path / "weak.c", tmp_path / "weak.so"
    source.write_text("int PyInit_weak(void) { return 0; }\nint more = 1;\n")
    options = ["-shared", "-fPIC", "-fno-stack-protector", "-Wl,-rpath,/somewhere"]
    options += ["-Wl,-z,lazy,-z,norelro,-z,execstack"]
    subprocess.run(["cc", *options, source, "-o", library], check=True)
    found = sorted(weaknesses(library))
    assert [weakness for weakness in found if not weakness.startswith("it exports")] == [
        "libraries are looked for in a run path",
        "no function checks its stack",
        "relocated addresses stay writable",
        "symbols are bound when first called",
        "the stack is executable",
    ]
    assert [weakness for weakness in found if "PyInit_weak" in weakness and "more" in weakness]


@needs_compiler
@pytest.mark.long
@pytest.mark.skipif(not (ROOT / "setup.py").exists(), reason="the sources are not here")
def test_no_flags_that_python_was_built_with_undo_the_hardening(tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", "ext", "src"):
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, tmp_path / name)
    for stale in tmp_path.glob("src/tokenwheel/_native/*.so"):
        stale.unlink()
    for source in tmp_path.glob("ext/*.pyx"):
        if source.stem not in ("tokens", "signer"):
            source.unlink()
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "built", "."],
        cwd=tmp_path,
        env={**os.environ, **OPPOSED, "TOKENWHEEL_IMPL": "native", "TOKENWHEEL_BUILD": ""},
        check=True,
    )
    (wheel,) = tmp_path.glob("built/*.whl")
    shutil.unpack_archive(wheel, tmp_path / "built", "zip")
    extensions = sorted(tmp_path.glob("built/tokenwheel/_native/*.so"))
    assert [path.name.split(".")[0] for path in extensions] == ["signer", "tokens"]
    assert [weaknesses(path) for path in extensions] == [[], []]
