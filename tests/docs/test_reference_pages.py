"""The reference of errors, events and values says what the classes say, and what they do."""

from __future__ import annotations

import dataclasses
import json
import re
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.docs.reference_tables import REFERENCE, page, rows_in, section_of
from tokenwheel import (
    AccessTokenExpired,
    ContextMismatch,
    Device,
    InvalidArgument,
    Key,
    KeySet,
    RefreshTokenReused,
    Session,
    SessionContext,
    SessionEvent,
    SessionManager,
    TokenwheelError,
    events,
)
from tokenwheel.web import LoginTooOld, ScopeMissing
from tokenwheel.web.answers import refusal_of

pytestmark = pytest.mark.skipif(
    not REFERENCE.exists(), reason="a wheel is tested without the pages beside it"
)

KEYS = KeySet(Key.generate("ES256"))


def make_manager(**options: Any) -> SessionManager:
    return SessionManager(KEYS, issuer="auth.example", audience="api.example", **options)


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
        for row in rows_in(section_of("errors.md", title).replace("`", ""))
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
    now = [1_000_000.0]
    manager = make_manager(clock=lambda: now[0])
    tokens = manager.create(subject="ann")
    now[0] += 1_000
    with pytest.raises(AccessTokenExpired) as refused:
        manager.read(tokens.access_token)
    assert json.loads(shown[1]) == json.loads(refusal_of(refused.value).body)


def made(kind: type[TokenwheelError]) -> TokenwheelError:
    if kind is ScopeMissing:
        return ScopeMissing(("admin",))
    return LoginTooOld(300) if kind is LoginTooOld else kind("a reason")


def test_each_error_is_answered_with_the_headers_told() -> None:
    told = {
        name: row["further headers"].strip("`").replace("=", "").replace("…", ".*")
        for row in rows_in(section_of("errors.md", "What a client receives"))
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
    rows = rows_in(section_of("events.md", "Kinds of events").replace("`", ""))
    told = {row["the listener gets"]: row["SessionEvent"] for row in rows}
    assert told == {kind.__name__: event.name for kind, event in events._SUBSCRIPTIONS.items()}
    assert set(told.values()) == {event.name for event in SessionEvent}


def fields_told(name: str, title: str) -> list[tuple[str, str, str]]:
    rows = rows_in(section_of(name, title).replace("`", ""))
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


@pytest.mark.parametrize("kind", [SessionContext, Device, Session])
def test_the_fields_of_a_value_are_those_of_the_code(kind: type[Any]) -> None:
    rows = rows_in(section_of("context.md", kind.__name__).replace("`", ""))
    assert fields_told("context.md", kind.__name__) == fields_of(kind)

    def default_shown(field: dataclasses.Field[Any]) -> str:
        if field.default_factory is not dataclasses.MISSING:
            return repr(field.default_factory())
        return "required" if field.default is dataclasses.MISSING else repr(field.default)

    assert [row["default"] for row in rows] == [
        default_shown(field) for field in dataclasses.fields(kind)
    ]


@pytest.mark.parametrize(
    "context, longest",
    [
        (lambda size: SessionContext(ip="x" * size), 1_024),
        (lambda size: SessionContext(location="x" * size), 1_024),
        (lambda size: SessionContext(device=Device("x" * size, "phone")), 1_024),
        (lambda size: SessionContext(device=Device("phone", "x" * size)), 1_024),
        # {"a":"…"} takes 8 bytes beside the text.
        (lambda size: SessionContext(device=Device("a", "b", {"a": "x" * (size - 8)})), 4_096),
    ],
    ids=["ip", "location", "name", "type", "extra"],
)
def test_a_context_holds_what_is_allowed_and_nothing_beyond(
    context: Callable[[int], SessionContext], longest: int
) -> None:
    assert f"at most {longest:,}" in page("context.md")
    manager = make_manager()
    manager.create(subject="ann", context=context(longest))
    with pytest.raises(InvalidArgument):
        manager.create(subject="ann", context=context(longest + 1))


DEVICES = {
    "no device": None,
    "a device": Device("Firefox on Linux", "browser", {"app_version": "4.2"}),
    "a device of the same name and type": Device("Firefox on Linux", "browser"),
    "another device": Device("Firefox on Windows", "browser"),
    "none": None,
    "anything": Device("Safari", "phone"),
}


def test_the_default_hook_does_what_each_row_says() -> None:
    rows = rows_in(section_of("context.md", "The default rule").replace("`", ""))
    assert len(rows) == 4
    for row in rows:
        manager = make_manager()
        login = SessionContext("192.0.2.7", DEVICES[row["the login named"]], "Vienna")
        refresh = SessionContext("198.51.100.1", DEVICES[row["the refresh names"]], "Graz")
        tokens = manager.create(subject="ann", context=login)
        if "refused" in row[""]:
            with pytest.raises(ContextMismatch):
                manager.update(tokens.refresh_token, context=refresh)
            refresh = login
        manager.update(tokens.refresh_token, context=refresh)
        (session,) = manager.read_all("ann").values()
        assert (session.ip, session.device, session.location) == (
            login.ip,
            login.device,
            login.location,
        )


def test_what_a_hook_raises_is_the_cause_and_is_raised_before_the_claims_are_asked_for() -> None:
    reason: Exception = RuntimeError("not from there")

    def refuse(session: Session, context: SessionContext) -> None:
        assert context == SessionContext()
        raise reason

    manager = make_manager(refresh_hook=refuse)
    tokens = manager.create(subject="ann")
    with pytest.raises(ContextMismatch) as refused:
        manager.update(tokens.refresh_token, claims=lambda session: pytest.fail("asked"))
    assert refused.value.__cause__ is reason

    reason = ContextMismatch("another network")
    with pytest.raises(ContextMismatch) as refused:
        manager.update(tokens.refresh_token)
    assert refused.value is reason


def test_listeners_hear_before_the_call_returns_in_order_and_one_that_raises_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    manager = make_manager()
    heard: list[object] = []

    def fail(event: object) -> None:
        heard.append("first")
        raise RuntimeError("a listener's own")

    def tell(event: object) -> None:
        heard.append(threading.get_ident())

    for listener in (fail, tell, tell):
        manager.on(SessionEvent.SESSION_CREATED, listener)
    manager.create(subject="ann")
    assert heard == ["first", threading.get_ident(), threading.get_ident()]
    assert [record.name for record in caplog.records] == ["tokenwheel"]
    manager.off(SessionEvent.SESSION_CREATED, tell)
    manager.create(subject="ann")
    assert heard[3:] == ["first"]


def test_reuse_is_told_twice_and_a_restriction_and_the_end_of_a_lifetime_never() -> None:
    now = [1_000_000.0]
    manager = make_manager(clock=lambda: now[0], refresh_ttl=60)
    told: list[str] = []
    for event in SessionEvent:
        manager.on(event, lambda _, name=event.name: told.append(name))
    tokens = manager.create(subject="ann")
    manager.update(tokens.refresh_token)
    manager.restrict_all("ann")
    now[0] += 11
    with pytest.raises(RefreshTokenReused):
        manager.update(tokens.refresh_token)
    manager.create(subject="ann")
    now[0] += 60
    assert manager.delete_all("ann") == 0
    assert told == [
        "SESSION_CREATED",
        "SESSION_REFRESHED",
        "SESSION_INVALIDATED",
        "REFRESH_TOKEN_REUSED",
        "SESSION_CREATED",
        "ALL_SESSIONS_INVALIDATED",
    ]
