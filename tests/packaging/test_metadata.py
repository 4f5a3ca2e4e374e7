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
        "sql",
        "starlette",
    ]


def test_the_licence_is_named_and_included() -> None:
    metadata = distribution("tokenwheel").metadata
    assert (metadata["License-Expression"], metadata["License-File"]) == ("MIT", "LICENSE")


def test_the_package_index_leads_to_these_pages() -> None:
    urls = distribution("tokenwheel").metadata.get_all("Project-URL") or []
    repository = "https://github.com/tokenwheel/tokenwheel"
    assert dict(url.split(", ") for url in urls) == {
        "Documentation": "https://tokenwheel.github.io/tokenwheel/",
        "Source": repository,
        "Changelog": f"{repository}/blob/main/CHANGELOG.md",
        "Issues": f"{repository}/issues",
        "Security": f"{repository}/blob/main/.github/SECURITY.md",
    }


def test_every_framework_with_an_extra_is_a_classifier_if_the_index_has_one() -> None:
    metadata = distribution("tokenwheel").metadata
    classifiers = metadata.get_all("Classifier") or []
    unknown_to_the_index = {"starlette", "quart"}
    frameworks = {"django", "fastapi", "flask", "quart", "starlette"}
    assert frameworks <= set(metadata.get_all("Provides-Extra") or [])
    named = {name.lower() for name in _last_parts(classifiers, "Framework")}
    assert frameworks - named == unknown_to_the_index


def test_the_oldest_python_and_django_that_are_required_are_the_oldest_classifiers() -> None:
    metadata = distribution("tokenwheel").metadata
    classifiers = metadata.get_all("Classifier") or []
    pythons = _last_parts(classifiers, "Programming Language :: Python")
    assert metadata["Requires-Python"] == f">={_oldest(pythons)}"
    requirements = distribution("tokenwheel").requires or []
    oldest_django = _oldest(_last_parts(classifiers, "Framework :: Django"))
    assert any(line.startswith(f"django>={oldest_django};") for line in requirements)


def _last_parts(classifiers: list[str], parent: str) -> list[str]:
    """Return the last parts of the classifiers that are directly under another."""
    parents_and_names = [name.rpartition(" :: ") for name in classifiers]
    return [name for above, _, name in parents_and_names if above == parent]


def _oldest(names: list[str]) -> str:
    """Return the lowest of the names that are versions."""
    versions = [name for name in names if name.replace(".", "").isdigit()]
    return min(versions, key=lambda version: [int(part) for part in version.split(".")])


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
