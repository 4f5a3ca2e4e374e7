"""TOKENWHEEL_IMPL at run time: each test asks a new interpreter, since a process chooses once."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tokenwheel

NATIVE_IS_BUILT = importlib.util.find_spec("tokenwheel._native.verifier") is not None
CHOICE = (
    "import tokenwheel; print(tokenwheel.implementation, "
    "tokenwheel.ExpiringCache.__module__, tokenwheel.new_token.__module__)"
)
PURE = ["pure", "tokenwheel._pure.cache", "tokenwheel._pure.tokens"]
NATIVE = ["native", "tokenwheel._native.cache", "tokenwheel._native.tokens"]


def ask(
    script: str, choice: str | None, *, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if name != "TOKENWHEEL_IMPL"}
    if choice is not None:
        environment["TOKENWHEEL_IMPL"] = choice
    package = path or Path(tokenwheel.__file__).parent.parent
    script = f"import sys; sys.path.insert(0, {str(package)!r}); {script}"
    return subprocess.run(
        [sys.executable, "-c", script], env=environment, check=False, capture_output=True, text=True
    )


def without_extensions(folder: Path) -> Path:
    """Copy the package into a folder as a pure install lays it out. Return where it is."""
    source = Path(tokenwheel.__file__).parent
    for path in source.rglob("*.py"):
        target = folder / "tokenwheel" / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    return folder


def test_pure_is_chosen_when_asked_for() -> None:
    assert ask(CHOICE, "pure").stdout.split() == PURE


@pytest.mark.parametrize("unset", [None, ""], ids=["unset", "empty"])
def test_unset_takes_the_compiled_one_where_it_was_built(unset: str | None) -> None:
    assert ask(CHOICE, unset).stdout.split() == (NATIVE if NATIVE_IS_BUILT else PURE)


@pytest.mark.skipif(
    not NATIVE_IS_BUILT and os.environ.get("TOKENWHEEL_IMPL") == "pure",
    reason="the pure implementation alone is installed",
)
def test_native_is_chosen_when_asked_for() -> None:
    assert ask(CHOICE, "native").stdout.split() == NATIVE


def test_unset_takes_the_pure_one_where_nothing_was_built(tmp_path: Path) -> None:
    assert ask(CHOICE, None, path=without_extensions(tmp_path)).stdout.split() == PURE


def test_asking_for_native_where_nothing_was_built_fails_loudly(tmp_path: Path) -> None:
    answer = ask(CHOICE, "native", path=without_extensions(tmp_path))
    assert (answer.returncode, answer.stdout) == (1, "")
    assert "ConfigurationError: TOKENWHEEL_IMPL is 'native'" in answer.stderr


def test_an_extension_that_cannot_be_loaded_is_an_error_and_never_a_silent_fallback(
    tmp_path: Path,
) -> None:
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    (without_extensions(tmp_path) / "tokenwheel" / "_native" / f"verifier{suffix}").write_bytes(
        b"not an extension"
    )
    answer = ask(CHOICE, None, path=tmp_path)
    assert (answer.returncode, answer.stdout) == (1, "")


@pytest.mark.parametrize("choice", ["Native", "c", "pure ", "1"])
def test_any_other_choice_is_refused_by_name(choice: str) -> None:
    answer = ask(CHOICE, choice)
    assert answer.returncode == 1
    assert (
        "ConfigurationError: the environment variable TOKENWHEEL_IMPL "
        "must be 'native', 'pure' or unset"
    ) in answer.stderr
