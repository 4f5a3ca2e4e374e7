"""The SBOM in a wheel: what it names, and that the wheel is still what an installer checks."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import tomllib
import zipfile
from importlib.metadata import metadata
from pathlib import Path
from typing import Any

import pytest

sbom = pytest.importorskip("tools.sbom", reason="a wheel is tested without the tools beside it")

ROOT = Path(__file__).resolve().parent.parent.parent
INFO = "tokenwheel-9.0.dist-info"
NAME = f"{INFO}/sboms/tokenwheel.cdx.json"
METADATA = """Metadata-Version: 2.4
Name: tokenwheel
Version: 9.0
License-Expression: MIT
Requires-Dist: PyJWT>=2.13.0
Requires-Dist: cryptography<99,>=50.0.0
Requires-Dist: redis>=5.0.1; extra == "redis"
"""
EXTENSION = "tokenwheel/_native/cache.cpython-313-x86_64-linux-gnu.so"


def make_wheel(folder: Path, **files: bytes) -> Path:
    contents = {
        "tokenwheel/__init__.py": b"",
        EXTENSION: b"machine code",
        f"{INFO}/METADATA": METADATA.encode(),
        **files,
    }
    lines = [",".join(sbom.record_line(name, text)) for name, text in contents.items()]
    record = "\n".join([*lines, f"{INFO}/RECORD,,"]) + "\n"
    wheel = folder / "tokenwheel-9.0-cp313-cp313-linux_x86_64.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for name, text in {**contents, f"{INFO}/RECORD": record.encode()}.items():
            archive.writestr(zipfile.ZipInfo(name, (2026, 1, 2, 3, 4, 6)), text)
    return wheel


def read_sbom(wheel: Path) -> dict[str, Any]:
    with zipfile.ZipFile(wheel) as archive:
        document: dict[str, Any] = json.loads(archive.read(NAME))
    return document


def test_it_names_each_extension_with_its_hash(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    assert sbom.add_sbom(wheel) == NAME
    (part,) = read_sbom(wheel)["metadata"]["component"]["components"]
    digest = hashlib.sha256(b"machine code").hexdigest()
    assert (part["name"], part["hashes"]) == (EXTENSION, [{"alg": "SHA-256", "content": digest}])


def test_a_library_that_was_bundled_is_named_too(tmp_path: Path) -> None:
    bundled = "tokenwheel.libs/libcrypto-1a2b.so.3"
    wheel = make_wheel(tmp_path, **{bundled: b"OpenSSL"})
    sbom.add_sbom(wheel)
    parts = read_sbom(wheel)["metadata"]["component"]["components"]
    assert {part["name"] for part in parts} == {bundled, EXTENSION}


def test_what_is_installed_beside_it_is_external_and_extras_are_left_out(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    sbom.add_sbom(wheel)
    named = [
        (part["purl"], part["versionRange"], part["isExternal"])
        for part in read_sbom(wheel)["components"]
    ]
    assert named == [
        ("pkg:pypi/pyjwt", "vers:pypi/>=2.13.0", True),
        ("pkg:pypi/cryptography", "vers:pypi/<99|>=50.0.0", True),
    ]


def test_the_record_holds_every_file_with_its_hash_and_itself_last(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    sbom.add_sbom(wheel)
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    lines = list(csv.reader(io.StringIO(contents[f"{INFO}/RECORD"].decode())))
    expected = [sbom.record_line(name, text) for name, text in contents.items()]
    assert sorted(lines[:-1]) == sorted(line for line in expected if "RECORD" not in line[0])
    assert lines[-1] == [f"{INFO}/RECORD", "", ""]
    assert list(contents)[-1] == f"{INFO}/RECORD"


def test_the_same_wheel_gets_the_same_bytes(tmp_path: Path) -> None:
    wheels = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        wheels.append(make_wheel(tmp_path / name))
        sbom.add_sbom(wheels[-1])
    first, second = (wheel.read_bytes() for wheel in wheels)
    assert first == second


def test_a_wheel_that_has_one_is_refused(tmp_path: Path) -> None:
    wheel = make_wheel(tmp_path)
    sbom.add_sbom(wheel)
    with pytest.raises(SystemExit, match="has one already"):
        sbom.add_sbom(wheel)


def test_the_licenses_are_those_that_the_dependencies_state() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = [re.split(r"[<>=]", requirement)[0] for requirement in project["dependencies"]]
    stated = {name.lower(): metadata(name)["License-Expression"] for name in names}
    assert stated == sbom.LICENSES


def test_a_dependency_without_a_license_in_the_tool_is_refused() -> None:
    with pytest.raises(SystemExit, match="has no license for orjson"):
        sbom.describe_dependency("orjson>=3")
