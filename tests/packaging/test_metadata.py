"""What the installed distribution says of itself and carries with it."""

from __future__ import annotations

from importlib.metadata import distribution, entry_points, version
from pathlib import Path

import tokenwheel


def test_the_version_is_the_distributions() -> None:
    assert tokenwheel.__version__ == version("tokenwheel")


def test_the_required_dependencies_are_these() -> None:
    required = distribution("tokenwheel").requires or []
    always = [requirement for requirement in required if "extra ==" not in requirement]
    assert sorted(requirement.partition(">=")[0] for requirement in always) == [
        "PyJWT",
        "cryptography",
        "msgspec",
    ]
    extras = distribution("tokenwheel").metadata.get_all("Provides-Extra") or []
    assert sorted(extras) == [
        "django",
        "fastapi",
        "flask",
        "otel",
        "prometheus",
        "quart",
        "redis",
        "starlette",
    ]


def test_the_licence_is_named_and_included() -> None:
    metadata = distribution("tokenwheel").metadata
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")


def test_the_command_runs_the_same_function_as_the_module() -> None:
    (command,) = entry_points(group="console_scripts", name="tokenwheel")
    assert command.value == "tokenwheel.cli:main"


def test_the_types_are_installed_with_the_package() -> None:
    package = Path(tokenwheel.__file__).parent
    assert (package / "py.typed").is_file()
    assert {path.stem for path in package.glob("_native/*.pyi")} == {
        "cache",
        "plain_json",
        "revocations",
        "signer",
        "tokens",
        "verifier",
    }


def test_every_compiled_module_has_a_pure_twin() -> None:
    package = Path(tokenwheel.__file__).parent
    assert {path.stem for path in package.glob("_native/*.pyi")} - {
        path.stem for path in package.glob("_pure/*.py")
    } == set()


def test_every_public_name_is_there() -> None:
    assert [name for name in tokenwheel.__all__ if not hasattr(tokenwheel, name)] == []
