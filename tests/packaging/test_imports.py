"""Who imports whom, as far as the import linter can't see it.

That is what is imported at run time, and the names of modules that are compiled.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

import tokenwheel
from tests.support import SECRET
from tests.twins.conftest import TWINS
from tokenwheel import json_text

PACKAGE = Path(tokenwheel.__file__).parent
MODULES = {path.relative_to(PACKAGE).as_posix(): path for path in sorted(PACKAGE.rglob("*.py"))}
OPTIONAL = [
    *("django", "fastapi", "flask", "prometheus_client", "pydantic", "pydantic_core"),
    *("redis", "rest_framework", "starlette", "valkey"),
]
ONLY_WHEN_USED = [
    *("asyncio", "concurrent.futures", "sqlite3", "_sqlite3", "subprocess"),
    *("tokenwheel.keys.pairs", "tokenwheel.keys.unfit.public_flaws", "tokenwheel.redis"),
    *("tokenwheel.session", "tokenwheel.sqlite", "tokenwheel.session.worker_threads"),
]
LATE_NAMES = [
    *("AsyncSessionManager", "SessionManager"),
    *("RedisFeed", "RedisStorage", "SqliteFeed", "SqliteStorage"),
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


def run(script: str, **variables: str) -> str:
    """Return what a script prints in an interpreter of its own."""
    return subprocess.run(
        [sys.executable, "-c", script],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables},
    ).stdout


def modules_after(script: str) -> set[str]:
    """Return the names of the modules that a script leaves imported, beside those of PyJWT."""
    return set(
        run(
            f"import sys, jwt\nbefore = set(sys.modules)\n{script}\n"
            "print(*set(sys.modules) - before)"
        ).split()
    )


def test_importing_tokenwheel_imports_no_optional_dependency() -> None:
    packages = {name.partition(".")[0] for name in modules_after("import tokenwheel")}
    assert packages & set(OPTIONAL) == set()


def test_importing_tokenwheel_imports_nothing_that_is_needed_only_when_used() -> None:
    assert modules_after("import tokenwheel") & set(ONLY_WHEN_USED) == set()


@pytest.mark.parametrize("storage", ["MemoryStorage", "SqliteStorage"])
def test_a_manager_that_blocks_and_has_a_secret_needs_no_asyncio_and_no_cryptography(
    storage: str, tmp_path: Path
) -> None:
    place = "" if storage == "MemoryStorage" else repr(str(tmp_path / "sessions.db"))
    imported = modules_after(
        f"""
from tokenwheel import SessionManager, {storage}
storage = {storage}({place})
with SessionManager({SECRET!r}, issuer="i", audience="a", storage=storage) as manager:
    tokens = manager.create(subject="ann")
    manager.read(manager.update(tokens.refresh_token).access_token)
    manager.delete_all("ann")
"""
    )
    assert "tokenwheel.session" in imported
    assert imported & {"asyncio", "tokenwheel.keys.pairs", "tokenwheel.redis"} == set()


def test_every_public_name_can_be_had_by_any_way_of_importing() -> None:
    run(f"from tokenwheel import {', '.join(tokenwheel.__all__)}")
    run("from tokenwheel import *\n" + "\n".join(tokenwheel.__all__))
    for name in LATE_NAMES:
        assert run(f"import tokenwheel; print(tokenwheel.{name}.__name__)").strip() == name


def test_names_that_are_imported_late_are_listed_and_others_are_refused() -> None:
    listed = run("import tokenwheel; print(*dir(tokenwheel))").split()
    assert set(tokenwheel.__all__) <= set(listed)
    assert listed == sorted(set(listed))
    with pytest.raises(AttributeError, match="module 'tokenwheel' has no attribute 'Session_'"):
        tokenwheel.Session_  # type: ignore[attr-defined] # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Session_' from 'tokenwheel'"):
        exec("from tokenwheel import Session_")


@pytest.mark.parametrize("module", ["redis", "session", "sqlite"])
def test_a_subpackage_is_there_after_importing_tokenwheel_alone(module: str) -> None:
    assert run(f"import tokenwheel; print(tokenwheel.{module}.__name__)").strip() == (
        f"tokenwheel.{module}"
    )


WITHOUT_WHEELS = """
import sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"cryptography", "msgspec"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Missing())
import tokenwheel
from tokenwheel import ConfigurationError, Key, KeySet, SessionManager, json_text
assert not json_text.is_msgspec_there
assert not {"cryptography", "msgspec"} & set(sys.modules)
"""


@pytest.mark.parametrize("implementation", TWINS)
@pytest.mark.parametrize("storage", ["MemoryStorage", "SqliteStorage"])
def test_secrets_need_neither_cryptography_nor_msgspec(
    implementation: str, storage: str, tmp_path: Path
) -> None:
    place = "" if storage == "MemoryStorage" else repr(str(tmp_path / "sessions.db"))
    assert (
        run(
            f"""{WITHOUT_WHEELS}
from tokenwheel import {storage}, Device, SessionContext
keys = KeySet(Key.from_secret({SECRET!r}), Key.generate("HS512", kid="next"))
context = SessionContext("::1", Device("Pixel", "phone", {{"build": [1e16, 2**70, "é"]}}))
with SessionManager(
    keys, issuer="i", audience="a", storage={storage}({place}), storage_key={SECRET!r}
) as manager:
    tokens = manager.create({{"v": [1e16, 2**70, None]}}, subject="ann", context=context)
    claims = manager.read(tokens.access_token)
    manager.read(manager.update(tokens.refresh_token, context=context).access_token)
    assert claims["v"] == [1e16, 2**70, None], claims
    assert manager.read_all("ann")[tokens.session_id].device == context.device
    manager.delete_all("ann")
print(tokenwheel.implementation, manager.broken_records)
""",
            TOKENWHEEL_IMPL=implementation,
        )
        == f"{implementation} 0\n"
    )


@pytest.mark.parametrize(
    "call",
    [
        'Key.generate("ES256")',
        'Key.from_pem("-----BEGIN PUBLIC KEY-----", "RS256")',
        'Key.from_jwk({"kty": "OKP", "crv": "Ed25519", "x": "A" * 43, "alg": "EdDSA"})',
        'KeySet.from_jwks({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "alg": "PS256"}]})',
        f'SessionManager({SECRET!r}, issuer="i", audience="a", refresh_token_length=33)',
    ],
)
def test_what_needs_cryptography_says_so_where_it_is_missing(call: str) -> None:
    said = run(f"{WITHOUT_WHEELS}\ntry: {call}\nexcept ConfigurationError as error: print(error)")
    assert said.endswith(
        "needs the package cryptography, which cannot be imported here: pip install cryptography\n"
    )


@pytest.mark.skipif(not json_text.is_msgspec_there, reason="no msgspec")
def test_what_was_sealed_and_signed_with_msgspec_is_known_without_it(tmp_path: Path) -> None:
    """So one process of a service may run where there is no wheel of it."""
    script = f"""
from tokenwheel import Device, SessionContext, SessionManager, SqliteStorage
storage = SqliteStorage({str(tmp_path / "sessions.db")!r})
context = SessionContext("::1", Device("Pixel", "phone", {{"é": [1e16, 1e-7, 2**70, "\u2028"]}}))
secret = {SECRET!r}
manager = SessionManager(secret, issuer="i", audience="a", storage=storage, storage_key=secret)
"""
    tokens = run(
        f"{script}\ntokens = manager.create({{'v': 1e-7}}, subject='ann', context=context)\n"
        "print(tokens.access_token, tokens.refresh_token)"
    ).split()
    known = run(
        f"{WITHOUT_WHEELS}{script}\nassert manager.read({tokens[0]!r})['v'] == 1e-7\n"
        f"manager.update({tokens[1]!r}, context=context)\nprint(manager.broken_records)"
    )
    assert known == "0\n"


def test_every_module_says_what_belongs_in_it() -> None:
    assert [
        name
        for name, path in MODULES.items()
        if not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ] == []
