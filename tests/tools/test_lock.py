"""requirements.lock names all that pyproject.toml asks for, in versions that it allows."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent.parent

pytestmark = pytest.mark.skipif(
    not (ROOT / "requirements.lock").exists(), reason="a wheel is tested without the lock beside it"
)


def asked_for() -> Iterator[Requirement]:
    """Yield each requirement of the package, of its extras and of the dependency groups."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [
        project["project"]["dependencies"],
        *project["project"]["optional-dependencies"].values(),
        *project["dependency-groups"].values(),
    ]
    for requirements in lists:
        yield from (Requirement(text) for text in requirements if isinstance(text, str))


def locked() -> list[tuple[str, str]]:
    """Return each package in the lock with its version. Older Pythons may have an older one."""
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE)


def test_all_that_is_asked_for_is_locked_in_a_version_that_will_do() -> None:
    for requirement in asked_for():
        wanted = canonicalize_name(requirement.name)
        versions = [version for name, version in locked() if name == wanted]
        assert versions, f"{requirement} is not locked: make lock"
        for version in versions:
            assert requirement.specifier.contains(version), f"{requirement} is {version}: make lock"


def test_every_locked_package_has_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
    assert [entry for entry in entries if "--hash=sha256:" not in entry] == []
    assert len(entries) == len(locked())
