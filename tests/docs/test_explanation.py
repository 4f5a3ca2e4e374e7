"""What the explanations say happens: their timelines are replayed, and their tables are tried."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.docs.reference_tables import rows_in
from tokenwheel import (
    AccessTokenExpired,
    AccessTokenNotYetValid,
    AccessTokenRevoked,
    InvalidArgument,
    Key,
    KeySet,
    MemoryStorage,
    RefreshTokenReused,
    SessionManager,
    SessionNotFound,
    SessionTokens,
)

DOCS = Path(__file__).resolve().parents[2] / "docs"
EXPLANATION = DOCS / "explanation"

pytestmark = pytest.mark.skipif(
    not EXPLANATION.exists(), reason="a wheel is tested without the pages beside it"
)

KEYS = KeySet(Key.generate("ES256"))


def page(name: str) -> str:
    return (EXPLANATION / name).read_text(encoding="utf-8")


def make_manager(**options: Any) -> SessionManager:
    return SessionManager(KEYS, issuer="auth.example", audience="api.example", **options)


def options_shown(name: str) -> dict[str, Any]:
    """Return the options of the first manager that a page makes."""
    block = re.findall(r"^```python\n(.*?)^```$", page(name), re.MULTILINE | re.DOTALL)[0]
    shown = re.findall(r"^    (\w+)=([\d_]+|\"\w+\"),", block, re.MULTILINE)
    return {
        option: value.strip('"') if value[0] == '"' else int(value)
        for option, value in shown
        if option not in {"issuer", "audience"}
    }


def seconds_at(time: str) -> float:
    """Return the Unix seconds of a time of day, of some day."""
    return datetime.strptime(f"2026-11-02 {time} +0000", "%Y-%m-%d %H:%M:%S %z").timestamp()


def time_of(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%-H:%M:%S}"


class Timeline:
    """Replays what a row says is done, by a clock that stands at the row's time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.manager = make_manager(clock=lambda: self.now, **options_shown("lifetimes.md"))
        self.tokens: dict[str, SessionTokens] = {}
        self.first: SessionTokens | None = None
        self.device = "laptop"

    def ends_at(self) -> str:
        session_id = self.tokens[self.device].session_id
        session = self.manager.read_all("ann").get(session_id)
        return "over" if session is None else time_of(session.expires_at)

    def do(self, action: str) -> str:
        """Return what comes of an action, in the words of the page."""
        login = re.match(r"login on the (\w+)", action)
        if login:
            self.device = login[1]
            before = set(self.manager.read_all("ann"))
            tokens = self.tokens[self.device] = self.manager.create(subject="ann")
            self.first = self.first or tokens
            gone = before - set(self.manager.read_all("ann"))
            if gone:
                (device,) = [d for d, held in self.tokens.items() if {held.session_id} == gone]
                return f"the {device}'s session is ended"
            return f"an access token until {time_of(tokens.access_expires_at)}"
        if action.startswith("request"):
            self.device = action.rpartition("from the ")[2] if "from" in action else self.device
            self.manager.read(self.tokens[self.device].access_token)
            return "accepted"
        if action.endswith("again"):
            assert self.first is not None
            retried = self.manager.update(self.first.refresh_token)
            assert retried.refresh_token == self.tokens[self.device].refresh_token
            return "the successor it had at 9:05:05"
        assert action == "refresh"
        tokens = self.manager.update(self.tokens[self.device].refresh_token)
        self.tokens[self.device] = tokens
        return f"an access token until {time_of(tokens.access_expires_at)}"

    def check(self, row: dict[str, str]) -> None:
        self.now = seconds_at(row["time"])
        try:
            outcome = self.do(row["what is done"])
        except (AccessTokenExpired, AccessTokenRevoked, SessionNotFound) as error:
            outcome = type(error).__name__
        told = row["what comes of it"].replace("`", "")
        assert re.split(r"[,:] ", told)[0] == outcome, row
        assert row["the session ends at"] == self.ends_at(), row


def tables_of(name: str, title: str) -> list[list[dict[str, str]]]:
    """Return the tables below a heading of a page."""
    text = page(name).partition(f"\n## {title}\n")[2].partition("\n## ")[0]
    return [rows_in(table) for table in re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)]


def test_the_day_of_the_example_goes_as_its_timeline_says() -> None:
    ann, _ = tables_of("lifetimes.md", "An example")
    assert len(ann) == 13
    timeline = Timeline()
    for row in ann:
        timeline.check(row)


def test_the_session_of_who_never_rests_ends_as_its_timeline_says() -> None:
    _, bob = tables_of("lifetimes.md", "An example")
    assert len(bob) == 3
    timeline = Timeline()
    timeline.now = seconds_at("9:00:00")
    timeline.do("login on the laptop")
    while timeline.now < seconds_at("16:20:00"):
        timeline.now += 1_200
        timeline.do("refresh")
    for row in bob:
        timeline.check(row)


def test_clocks_that_differ_do_what_each_row_says() -> None:
    now = 1_000_000.0
    storage = MemoryStorage()
    issuing = make_manager(clock=lambda: now, storage=storage, idle_ttl=60)
    tokens = issuing.create(subject="ann")

    def other(difference: float) -> SessionManager:
        return make_manager(clock=lambda: now + difference, storage=storage, idle_ttl=60)

    other(-5).read(tokens.access_token)
    with pytest.raises(AccessTokenNotYetValid):
        other(-6).read(tokens.access_token)
    lifetime = tokens.access_expires_at - now
    other(lifetime + 4).read(tokens.access_token)
    with pytest.raises(AccessTokenExpired):
        other(lifetime + 5).read(tokens.access_token)
    with pytest.raises(SessionNotFound):
        other(60).update(tokens.refresh_token)


def test_idle_time_that_was_shortened_takes_nothing_from_a_session() -> None:
    now = 1_000_000.0
    storage = MemoryStorage()
    tokens = make_manager(clock=lambda: now, storage=storage, idle_ttl=600).create(subject="ann")
    fresh = make_manager(clock=lambda: now, storage=storage, idle_ttl=60).update(
        tokens.refresh_token
    )
    assert fresh.refresh_expires_at == tokens.refresh_expires_at


CALLS: dict[str, Callable[[SessionManager, SessionTokens], object]] = {
    "end(A's refresh token)": lambda manager, a: manager.end(a.refresh_token),
    'delete_one("ann", A)': lambda manager, a: manager.delete_one("ann", a.session_id),
    'delete_all("ann")': lambda manager, a: manager.delete_all("ann"),
    'delete_all("ann", keep=A)': lambda manager, a: manager.delete_all("ann", keep=a.session_id),
    "restrict_one(A's claims)": lambda manager, a: manager.restrict_one(
        manager.read(a.access_token)
    ),
    'restrict_all("ann")': lambda manager, a: manager.restrict_all("ann"),
    'restrict_all("ann", keep=A)': lambda manager, a: manager.restrict_all(
        "ann", keep=a.session_id
    ),
}


def outcome_of(error: type[Exception], call: Callable[[], object]) -> str:
    try:
        call()
    except error:
        return "refused"
    return "good"


def test_each_call_refuses_what_its_row_says_and_nothing_else() -> None:
    (rows,) = tables_of("ending.md", "What is refused afterwards")
    assert {row["call"].strip("`") for row in rows} == set(CALLS)
    for row in rows:
        manager = make_manager()
        a, b = manager.create(subject="ann"), manager.create(subject="ann")
        CALLS[row["call"].strip("`")](manager, a)
        manager.read(manager.create(subject="ann").access_token)
        for name, tokens in (("A", a), ("B", b)):
            access = outcome_of(AccessTokenRevoked, lambda t=tokens: manager.read(t.access_token))
            assert row[f"{name}'s access token so far"] == access, row

            def refresh(tokens: SessionTokens = tokens) -> None:
                manager.read(manager.update(tokens.refresh_token).access_token)

            assert row[f"{name}'s refresh token"] == outcome_of(SessionNotFound, refresh), row


def test_what_ends_nothing_is_answered_as_the_page_says() -> None:
    manager = make_manager()
    tokens = manager.create(subject="ann")
    fresh = manager.update(tokens.refresh_token)
    assert not manager.delete_one("bob", tokens.session_id)
    manager.read(fresh.access_token)
    session = manager.end(tokens.refresh_token)  # the replaced one
    assert session is not None
    assert session.id == tokens.session_id
    assert manager.end(tokens.refresh_token) is None
    assert manager.delete_one("ann", tokens.session_id) is False
    assert manager.delete_all("ann", keep=tokens.session_id) == 0
    manager.create(subject="ann")
    assert manager.delete_all("ann", keep=tokens.session_id) == 1


def test_a_refresh_token_is_answered_as_its_row_says() -> None:
    (rows,) = tables_of("sessions.md", "Rotation, grace and reuse")
    now = [1_000_000.0]
    for row, steps in zip(rows, ("current", "retry", "late", "older", "guess"), strict=True):
        manager = make_manager(clock=lambda: now[0])
        login = manager.create(subject="ann")
        second = manager.update(login.refresh_token)
        if steps == "current":
            assert manager.update(second.refresh_token).refresh_token != second.refresh_token
        elif steps == "retry":
            now[0] += 9.9
            assert manager.update(login.refresh_token).refresh_token == second.refresh_token
        elif steps == "guess":
            with pytest.raises(SessionNotFound) as refused:
                manager.update("x" * len(login.refresh_token))
            assert type(refused.value) is SessionNotFound
            assert len(manager.read_all("ann")) == 1
        else:
            now[0] += 10 if steps == "late" else 0
            if steps == "older":
                manager.update(second.refresh_token)
            with pytest.raises(RefreshTokenReused):
                manager.update(login.refresh_token)
            assert "`RefreshTokenReused`" in row["`update`"]
            assert len(manager.read_all("ann")) == 0


def test_the_claims_that_are_told_to_be_ours_are_refused_and_no_other() -> None:
    text = page("claims.md").partition("## Claims that are tokenwheel's own\n")[2]
    told = re.findall(r"`(\w+)`", text.partition(" can't be given")[0])
    manager = make_manager()
    for name in told:
        with pytest.raises(InvalidArgument):
            manager.create({name: "text"}, subject="ann")
    tokens = manager.create({"auth_time": 1, "role": "user"}, subject="ann")
    assert set(manager.read(tokens.access_token)) - {"auth_time", "role"} <= set(told)
    assert "auth_time" not in manager.read(manager.create(subject="ann").access_token)
