"""docs/howto/upgrading.md tells of 0.2 what is so: floors, defaults and refusals."""

from __future__ import annotations

import datetime as dt
import math
import os
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.docs.howto_blocks import text_of
from tokenwheel import (
    ConfigurationError,
    Device,
    InvalidArgument,
    Key,
    KeySet,
    MemoryStorage,
    SessionContext,
    SessionManager,
    SessionNotFound,
    SqliteStorage,
)
from tokenwheel.revocation import feed, message

ROOT = Path(__file__).resolve().parents[2]
KEY = Key.generate("ES256")


def manager(keys: Any = None, **options: Any) -> SessionManager:
    return SessionManager(
        keys or KeySet(KEY), issuer="auth.example", audience="api.example", **options
    )


def test_the_floors_of_the_page_are_those_of_the_package() -> None:
    page = text_of("upgrading")
    if not (ROOT / "pyproject.toml").exists():
        pytest.skip("a wheel is tested without its project file")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    floors = dict(each.split(">=") for each in project["dependencies"])
    assert f"Python {project['requires-python'].removeprefix('>=')} or newer" in page
    for name in ("PyJWT", "cryptography"):
        assert f"{name} {floors[name].removesuffix('.0').removesuffix('.0')}" in page
    assert set(floors) == {"PyJWT", "cryptography", "msgspec"}


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: manager("${JWT_SECRET}" + "a" * 40),
        lambda: manager("/etc/keys/keys.json/aaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
        lambda: manager(storage=MemoryStorage),
        lambda: manager(rotate_refresh_tokens=1),
        lambda: SqliteStorage("https://example.org/sessions.db"),
        lambda: SqliteStorage("no such folder/sessions.db"),
        lambda: Key.from_pem(two_keys(), "ES256"),
    ],
)
def test_what_the_page_says_is_refused_at_the_start_is(mistake: Callable[[], object]) -> None:
    with pytest.raises(ConfigurationError):
        mistake()


def two_keys() -> bytes:
    return b"".join(Key.generate("ES256").to_pem(private=True) for _ in range(2))


@pytest.mark.skipif(os.name == "nt", reason="a hard link is of POSIX here")
def test_a_file_with_a_hard_link_is_refused(tmp_path: Path) -> None:
    SqliteStorage(tmp_path / "sessions.db").close()
    os.link(tmp_path / "sessions.db", tmp_path / "other.db")
    with pytest.raises(ConfigurationError):
        SqliteStorage(tmp_path / "sessions.db").read("a" * 16, 0.0)


@pytest.mark.parametrize(
    "mistake",
    [
        lambda: KEY.sign("text"),  # type: ignore[arg-type]
        lambda: KEY.to_jwk(private=1),  # type: ignore[call-overload]
        lambda: manager(clock=lambda: math.nan).create(subject="ann"),
        lambda: manager().create(subject="ann", context=a_date()),
    ],
)
def test_what_the_page_says_is_an_invalid_argument_is(mistake: Callable[[], object]) -> None:
    with pytest.raises(InvalidArgument):
        mistake()


def a_date() -> SessionContext:
    return SessionContext(device=Device("phone", "app", {"bought": dt.date(2026, 1, 1)}))


def test_a_session_whose_tokens_are_all_refused_is_not_refreshed() -> None:
    sessions = manager()
    tokens = sessions.create(subject="ann")
    sessions.revocations.revoke(tokens.session_id, 1000)
    with pytest.raises(SessionNotFound):
        sessions.update(tokens.refresh_token)


def test_pack_and_unpack_are_in_both_places() -> None:
    assert (feed.pack, feed.unpack) == (message.pack, message.unpack)
