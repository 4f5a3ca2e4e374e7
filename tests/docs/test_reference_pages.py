"""The hand-written reference is complete and says what the code says.

Options and their defaults are compared with the signatures, their ranges are tried; errors, events
and values are compared with the classes.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

import tokenwheel
from tokenwheel import (
    AccessTokenExpired,
    AsyncSessionManager,
    ConfigurationError,
    Key,
    KeySet,
    RemoteKeySet,
    SessionEvent,
    SessionManager,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
    TokenwheelError,
    events,
)
from tokenwheel._pure.cache import ExpiringCache
from tokenwheel.redis import RedisFeed, RedisStorage
from tokenwheel.seconds import monotonic_time, steady_time, wall_time
from tokenwheel.web import Cookies, Gate, LoginTooOld, ScopeMissing, scope_claim
from tokenwheel.web.answers import refusal_of

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"

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


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def section_of(name: str, title: str) -> str:
    """Return a page's text from a heading to the next one of any level."""
    parts = re.split(r"^#+ (.+)$", page(name), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))[title]


def rows_of(text: str) -> list[dict[str, str]]:
    """Return the rows of the first table in a text, each by the table's heads."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads, _, *rows = [
        [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in lines
    ]
    return [dict(zip(heads, row, strict=True)) for row in rows]


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
        for row in rows_of(section_of("options.md", section))
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


def make_manager(**options: Any) -> object:
    return SessionManager(KEYS, issuer="auth.example", audience="api.example", **options)




def make_redis(kind: Any) -> Callable[..., object]:
    redis = pytest.importorskip("redis")
    return lambda **options: kind(redis.Redis(), **options)


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
        "ExpiringCache": lambda: ExpiringCache,
    }


RANGES = [
    (section, row["option"].strip("`"), float(least), float(most))
    for section in ("SessionManager", "RemoteKeySet", "SqliteStorage", "SqliteFeed")
    + ("RedisStorage", "RedisFeed", "ExpiringCache")
    if REFERENCE.exists()
    for row in rows_of(section_of("options.md", section))
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


@pytest.mark.parametrize(("section", "option", "least", "most"), RANGES)
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


def errors_of_its_own(kind: type[TokenwheelError]) -> Iterator[type[TokenwheelError]]:
    """Return the errors that have a code of their own, each once."""
    for error in kind.__subclasses__():
        if "code" in vars(error):
            yield error
        yield from errors_of_its_own(error)


def test_each_error_is_there_with_its_code_status_and_parents() -> None:
    told = [
        (row["class"], row["code"], int(row["status"]), row["is also"])
        for title in ("Errors of a manager", "Errors of a request")
        for row in rows_of(section_of("errors.md", title).replace("`", ""))
    ]

    def parents_of(error: type[TokenwheelError]) -> str:
        own, *others = [
            f"jwt.{base.__name__}" if base.__module__.startswith("jwt") else base.__name__
            for base in error.__bases__
        ]
        return ", ".join(([] if others and own == "TokenwheelError" else [own]) + others)

    assert sorted(told) == sorted(
        (error.__name__, error.code, error.status, parents_of(error))
        for error in errors_of_its_own(TokenwheelError)
    )


def test_the_body_of_an_answer_is_the_one_shown() -> None:
    shown = re.search(r"```json\n(.*?)```", page("errors.md"), re.DOTALL)
    assert shown is not None
    body = json.loads(refusal_of(AccessTokenExpired("the access token has expired")).body)
    assert json.loads(shown[1]) == body


def made(kind: type[TokenwheelError]) -> TokenwheelError:
    if kind is ScopeMissing:
        return ScopeMissing(("admin",))
    return LoginTooOld(300) if kind is LoginTooOld else kind("a reason")


def test_each_error_is_answered_with_the_headers_told() -> None:
    told = {
        name: row["further headers"].strip("`").replace("=", "").replace("…", ".*")
        for row in rows_of(section_of("errors.md", "What a client receives"))
        for name in re.findall(r"`(\w+)`", row["error"])
    }
    for kind in errors_of_its_own(TokenwheelError):
        headers = dict(refusal_of(made(kind)).headers)
        further = [
            f"{name}: {headers[name]}".replace("=", "")
            for name in ("WWW-Authenticate", "Retry-After")
            if name in headers
        ]
        expected = next((told[base.__name__] for base in kind.__mro__ if base.__name__ in told), "")
        assert len(further) == (1 if expected else 0), kind
        for header in further:
            assert re.fullmatch(expected, header), kind


def test_the_kinds_of_events_and_their_objects_are_those_of_the_code() -> None:
    rows = rows_of(section_of("events.md", "Kinds of events").replace("`", ""))
    told = {row["the listener gets"]: row["SessionEvent"] for row in rows}
    assert told == {kind.__name__: event.name for kind, event in events._SUBSCRIPTIONS.items()}
    assert set(told.values()) == {event.name for event in SessionEvent}


def fields_told(name: str, title: str) -> list[tuple[str, str, str]]:
    rows = rows_of(section_of(name, title).replace("`", ""))
    return [(row["class"], row["field"], row["type"]) for row in rows]


def fields_of(*kinds: type[Any]) -> list[tuple[str, str, str]]:
    return [
        (kind.__name__, field.name, str(field.type))
        for kind in kinds
        for field in dataclasses.fields(kind)
    ]


def test_the_fields_of_events_are_those_of_the_code() -> None:
    told = fields_told("events.md", "What the listener gets")
    assert told == fields_of(*events._SUBSCRIPTIONS)
