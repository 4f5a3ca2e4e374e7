"""Who imports whom, as far as the import linter can't see it.

That is what is imported at run time, and the names of modules that are compiled.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import tokenwheel

PACKAGE = Path(tokenwheel.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
OPTIONAL = [
    *("django", "fastapi", "flask", "prometheus_client", "pydantic", "pydantic_core"),
    *("redis", "rest_framework", "starlette", "valkey"),
]


def imported_names(path: Path) -> set[str]:
    """Return the absolute names of the modules that a module of the package imports.

    Each name that is imported from a module counts too, since it may be a module itself.
    """
    package = ("tokenwheel", *path.relative_to(PACKAGE).parts[:-1])
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(
                [*package[: len(package) - node.level + 1], *filter(None, [node.module])]
                if node.level
                else [node.module or ""]
            )
            names |= {base} | {f"{base}.{alias.name}" for alias in node.names}
    return names


def reaches(names: set[str], module: str) -> bool:
    return any(name == module or name.startswith(f"{module}.") for name in names)


def test_only_impl_imports_an_implementation() -> None:
    importers = {
        name
        for name, path in MODULES.items()
        if not name.startswith(("_native/", "_pure/"))
        and (
            reaches(imported_names(path), "tokenwheel._native")
            or reaches(imported_names(path), "tokenwheel._pure")
        )
    }
    assert importers == {"_impl.py"}


def test_neither_implementation_imports_the_other() -> None:
    crossing = [
        name
        for name, path in MODULES.items()
        if name.startswith("_pure/") and reaches(imported_names(path), "tokenwheel._native")
    ]
    assert crossing == []


@pytest.mark.parametrize("module", ["tokenwheel.storage", "asyncio", "socket", "threading", "time"])
def test_the_session_flow_does_no_input_or_output_and_reads_no_clock(module: str) -> None:
    assert not reaches(imported_names(MODULES["session/flow.py"]), module)


def test_importing_tokenwheel_imports_no_optional_dependency() -> None:
    script = (
        "import sys, tokenwheel; packages = {name.partition('.')[0] for name in sys.modules}; "
        f"print(*sorted(packages & set({OPTIONAL!r})))"
    )
    assert (
        subprocess.run(
            [sys.executable, "-c", script], check=True, capture_output=True, text=True
        ).stdout.split()
        == []
    )


def test_every_module_says_what_belongs_in_it() -> None:
    assert [
        name
        for name, path in MODULES.items()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ] == []
