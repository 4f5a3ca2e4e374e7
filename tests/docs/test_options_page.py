"""The page of options is complete: it has each option, its type and its default.

Options are compared with the signatures, and their ranges are tried.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from tests.docs.reference_tables import REFERENCE, rows_in, section_of
from tokenwheel import (
    AsyncSessionManager,
    ConfigurationError,
    Key,
    KeySet,
    RemoteKeySet,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
)
from tokenwheel._pure.cache import ExpiringCache
from tokenwheel.redis import RedisFeed, RedisStorage
from tokenwheel.seconds import monotonic_time, steady_time, wall_time
from tokenwheel.web import scope_claim

pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason="a wheel is tested without the pages beside it"
)

KEYS = KeySet(Key.generate("ES256"))

# Whose options a section has. A module is imported only where its framework is there.
OPTIONS: dict[str, tuple[str, str]] = {
    "SessionManager": ("tokenwheel", "SessionManager"),
    "KeyFile": ("tokenwheel", "KeyFile"),
    "RemoteKeySet": ("tokenwheel", "RemoteKeySet"),
    "SqliteStorage": ("tokenwheel", "SqliteStorage"),
    "SqliteFeed": ("tokenwheel", "SqliteFeed"),
    "RedisStorage": ("tokenwheel", "RedisStorage"),
    "RedisFeed": ("tokenwheel", "RedisFeed"),
    "SqlStorage": ("tokenwheel.sql", "SqlStorage"),
    "SqlFeed": ("tokenwheel.sql", "SqlFeed"),
    "DjangoStorage": ("tokenwheel.django.storage", "DjangoStorage"),
    "DjangoFeed": ("tokenwheel.django.feed", "DjangoFeed"),
    "RevocationList": ("tokenwheel", "RevocationList"),
    "ExpiringCache": ("tokenwheel._pure.cache", "ExpiringCache"),
    "Gate": ("tokenwheel.web", "Gate"),
    "Cookies": ("tokenwheel.web", "Cookies"),
    "FastAPIAuth": ("tokenwheel.web.fastapi", "FastAPIAuth"),
    "FastAPIAuth.router": ("tokenwheel.web.fastapi", "FastAPIAuth.router"),
    "AuthMiddleware": ("tokenwheel.web.asgi", "AuthMiddleware"),
    "session_routes": ("tokenwheel.web.asgi", "session_routes"),
    "FlaskAuth": ("tokenwheel.web.flask", "FlaskAuth"),
    "FlaskAuth.init_app": ("tokenwheel.web.flask", "FlaskAuth.init_app"),
    "DjangoAuth": ("tokenwheel.web.django_setting", "DjangoAuth"),
}

FUNCTIONS: tuple[tuple[Any, str], ...] = (
    (wall_time, "`time.time`"),
    (steady_time, "a steady clock"),
    (monotonic_time, "`time.monotonic`"),
    (scope_claim, "`scope_claim`"),
)
ALIASES = {
    "Synchronous": "Literal['FULL', 'NORMAL']",
    "Manager": "SessionManager | AsyncSessionManager",
    "RefreshHook | None": "Callable[[Session, SessionContext], Any] | None",
}


def types_in(function: Any) -> dict[str, str]:
    """Return the types of a function's parameters as its source has them."""
    (definition,) = ast.parse(dedent(inspect.getsource(inspect.unwrap(function)))).body
    assert isinstance(definition, ast.FunctionDef)
    parameters = definition.args
    return {
        parameter.arg: ast.unparse(parameter.annotation)
        for parameter in (*parameters.posonlyargs, *parameters.args, *parameters.kwonlyargs)
        if parameter.annotation is not None
    }


def signature_of(section: str) -> Iterator[inspect.Parameter]:
    module, name = OPTIONS[section]
    try:
        owner: Any = importlib.import_module(module)
    except ImportError:
        pytest.skip("the framework is not installed")
    for part in name.split("."):
        owner = getattr(owner, part)
    function = owner.__init__ if isinstance(owner, type) else owner
    types = types_in(function)
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name != "self" and parameter.kind is not parameter.VAR_KEYWORD:
            yield parameter.replace(annotation=types[parameter.name])


def default_in(cell: str) -> object:
    """Return a cell's default as a value; what is no literal stays the text of the cell."""
    try:
        return ast.literal_eval(cell.strip("`"))
    except (SyntaxError, ValueError):
        return cell


def default_of(parameter: inspect.Parameter) -> object:
    if parameter.default is parameter.empty:
        return "required"
    for function, shown in FUNCTIONS:
        if parameter.default is function:
            return shown
    return parameter.default


@pytest.mark.parametrize("section", OPTIONS)
def test_each_option_is_there_with_its_type_and_its_default(section: str) -> None:
    told = [
        (row["option"].strip("`"), row["type"].strip("`"), default_in(row["default"]))
        for row in rows_in(section_of("options.md", section))
    ]
    assert told == [
        (
            parameter.name,
            ALIASES.get(parameter.annotation, parameter.annotation),
            default_of(parameter),
        )
        for parameter in signature_of(section)
    ]


def test_both_managers_take_the_same_options() -> None:
    assert inspect.signature(AsyncSessionManager) == inspect.signature(SessionManager)


def make_manager(**options: Any) -> SessionManager:
    return SessionManager(KEYS, issuer="auth.example", audience="api.example", **options)


def make_redis(kind: Any) -> Callable[..., object]:
    redis = pytest.importorskip("redis")
    return lambda **options: kind(redis.Redis(), **options)


def make_sql(kind: str) -> Callable[..., object]:
    sqlalchemy = pytest.importorskip("sqlalchemy")
    made = getattr(importlib.import_module("tokenwheel.sql"), kind)
    engine = sqlalchemy.create_engine("sqlite:///never made.db")
    return lambda **options: made(engine, **options).close()


def makers(folder: Path) -> dict[str, Callable[[], Callable[..., object]]]:
    return {
        "SessionManager": lambda: make_manager,
        "RemoteKeySet": lambda: (
            lambda **options: RemoteKeySet(
                "https://auth.example/jwks",
                **{"min_refresh": 0.1, "max_refresh": 2_678_400, **options},
            )
        ),
        "SqliteStorage": lambda: (
            lambda **options: SqliteStorage(folder / "sessions.db", **options).close()
        ),
        "SqliteFeed": lambda: (
            lambda **options: SqliteFeed(folder / "sessions.db", **options).close()
        ),
        "RedisStorage": lambda: make_redis(RedisStorage),
        "RedisFeed": lambda: make_redis(RedisFeed),
        "SqlStorage": lambda: make_sql("SqlStorage"),
        "SqlFeed": lambda: make_sql("SqlFeed"),
        "ExpiringCache": lambda: ExpiringCache,
    }


WITH_RANGES = (
    *("SessionManager", "RemoteKeySet", "SqliteStorage", "SqliteFeed"),
    *("RedisStorage", "RedisFeed", "SqlStorage", "SqlFeed", "ExpiringCache"),
)
RANGES = [
    (section, row["option"].strip("`"), float(least), float(most))
    for section in WITH_RANGES
    if REFERENCE.exists()
    for row in rows_in(section_of("options.md", section))
    if row["type"].strip("`").startswith(("int", "float"))
    for least, most in re.findall(
        r"^([\d.]+) to ([\d.]+)", row["allowed"].replace(",", "").replace("`", "")
    )
]


def number(value: float, kind: str) -> float:
    """Return a number as the option takes it."""
    return int(value) if value == int(value) and kind == "int" else value


def test_there_are_ranges_to_try() -> None:
    assert len(RANGES) >= 18


@pytest.mark.parametrize("section, option, least, most", RANGES)
def test_a_range_holds_what_is_allowed_and_nothing_beyond(
    section: str, option: str, least: float, most: float, tmp_path: Path
) -> None:
    make = makers(tmp_path)[section]()
    kind = next(
        "int" if parameter.annotation.startswith("int") else "float"
        for parameter in signature_of(section)
        if parameter.name == option
    )
    for value in (least, most):
        make(**{option: number(value, kind)})
    for value in (least - (1 if kind == "int" else 0.0005), most + 1):
        with pytest.raises(ConfigurationError, match="ttl must be" if option == "ttl" else option):
            make(**{option: number(value, kind)})
