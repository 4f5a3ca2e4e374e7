"""Arguments that show one thing to the check and another to the use, over both managers.

What was checked is what is signed and stored. What cannot be copied is refused before anything
happened.
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from copy import deepcopy
from functools import partial
from typing import Any, ClassVar

import pytest

from tests.liars import (
    OURS,
    TAKEN_OVER,
    Agreeing,
    Impostor,
    Number,
    Pairs,
    Raising,
    Seconds,
    Text,
    Turning,
    TwoFaced,
    TwoFacedDict,
    holding_itself,
    laughs,
    nested,
)
from tests.support import SECRET, FakeClock
from tokenwheel import (
    Claims,
    ContextMismatch,
    Device,
    InvalidAccessToken,
    InvalidArgument,
    MemoryStorage,
    RevocationList,
    SessionContext,
    SessionEvent,
    SessionManager,
    SessionNotFound,
)

Make = Callable[..., Any]
ROLE = {"role": "user"}


def given_to(manager: Any, claims: Any, how: str) -> dict[str, Any]:
    """Return the claims that the application gave to a token, once ours are what they must be."""
    tokens = manager.create(claims if how == "create" else None, subject="uid1")
    if how == "update":
        tokens = manager.update(tokens.refresh_token, claims)
    read: dict[str, Any] = manager.read(tokens.access_token).to_dict()
    assert read.pop("auth_time", None) == (1_700_000_000 if how == "update" else None)
    ours = {name: read.pop(name) for name in OURS if name in read}
    assert ours == {
        "iss": "auth-server.com",
        "aud": ["auth-server.com", "rest-server.com"],
        "sub": "uid1",
        "sid": tokens.session_id,
        "iat": 1_700_000_000,
        "exp": tokens.access_expires_at,
    }
    return read


@pytest.mark.parametrize("how", ["create", "update"])
@pytest.mark.parametrize("liar", [TwoFaced, TwoFacedDict])
def test_a_mapping_that_shows_other_names_to_the_check_puts_none_of_ours_into_a_token(
    manager: Any, liar: Any, how: str
) -> None:
    assert given_to(manager, liar(ROLE), how) == ROLE
    for name in OURS:
        with pytest.raises(InvalidArgument, match=f"claim '{name}' is the library's own"):
            given_to(manager, liar({name: "x"}, ROLE), how)


@pytest.mark.parametrize("how", ["create", "update"])
@pytest.mark.parametrize("name", OURS)
@pytest.mark.parametrize("kind", [Text, Agreeing])
def test_a_name_that_denies_being_one_of_ours_is_refused(
    manager: Any, kind: Any, name: str, how: str
) -> None:
    for claims in ({kind(name): "x"}, {"a": 1, kind(name): 1}, Pairs((kind(name), 1))):
        with pytest.raises(InvalidArgument, match=f"claim '{name}' is the library's own"):
            given_to(manager, claims, how)


@pytest.mark.parametrize("how", ["create", "update"])
@pytest.mark.parametrize(
    "value",
    [
        nested(32),
        nested(100_000),
        *holding_itself(),
        laughs(),
        "x" * 100_000,
        TwoFacedDict({"a": 1}),
        Text("\ud800"),
        Impostor(str),
    ],
    ids=lambda value: type.__dict__["__name__"].__get__(type(value)),
)
def test_claims_that_cannot_be_copied_are_refused_and_nothing_happens(
    manager: Any, value: Any, how: str
) -> None:
    tokens = manager.create(subject="ann")
    calls = {
        "create": lambda claims: manager.create(claims, subject="uid1"),
        "update": lambda claims: manager.update(tokens.refresh_token, claims),
    }
    for claims in ({"a": value}, {"a": [value]}, {"a": {"b": value}}):
        with pytest.raises(InvalidArgument, match="claim"):
            calls[how](claims)
    assert manager.read_all("uid1") == {}
    assert manager.update(tokens.refresh_token).session_id == tokens.session_id


@pytest.mark.parametrize("raised", [KeyError("sub"), RecursionError(), MemoryError(), OSError()])
def test_a_mapping_that_raises_is_refused_and_nothing_happens(
    manager: Any, raised: Exception
) -> None:
    def run() -> None:
        raise raised

    with pytest.raises(InvalidArgument, match="claims must be a mapping whose items can be read"):
        manager.create(Raising(run), subject="uid1")
    with pytest.raises(InvalidArgument, match="'sub' and 'sid' can be read"):
        manager.restrict_one(Raising(run))
    with pytest.raises(InvalidArgument, match="'sub' and 'sid' can be read"):
        manager.restrict_one(Claims.__new__(Claims))
    device = Device("Pixel", "phone", Raising(run))
    with pytest.raises(InvalidArgument, match=r"context\.device\.extra must be a mapping whose"):
        manager.create(subject="uid1", context=SessionContext(device=device))
    assert manager.read_all("uid1") == {}


def test_a_mapping_that_calls_the_manager_while_it_is_read_does_no_harm(clock: FakeClock) -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a", clock=clock)
    first = manager.create(subject="uid1")

    class Calling(TwoFaced):
        def items(self) -> Any:
            manager.create(ROLE, subject="uid1")
            manager.delete_one("uid1", first.session_id)
            return super().items()

    second = manager.create(Calling(ROLE), subject="uid1")
    assert manager.read(second.access_token)["role"] == "user"
    assert len(manager.read_all("uid1")) == 2
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(first.refresh_token, Calling(ROLE))


class Changing(MemoryStorage):
    """A storage during whose every call the caller changes what it handed to the manager."""

    change: Callable[[], Any] = staticmethod(lambda: None)

    def read(self, session_id: str, now: float) -> Any:
        self.change()
        return super().read(session_id, now)

    def insert(self, record: Any, limit: int | None, now: float) -> bool:
        self.change()
        return super().insert(record, limit, now)


def test_a_caller_that_changes_its_claims_while_a_refresh_waits_changes_no_token(
    make: Make,
) -> None:
    storage = Changing()
    manager = make(storage=storage)
    claims: dict[str, Any] = {"roles": ["user"]}

    def change() -> None:
        claims.update(TAKEN_OVER)
        claims["roles"].append(object())

    tokens = manager.create(subject="uid1")
    storage.change = change  # type: ignore[method-assign]
    refreshed = manager.update(tokens.refresh_token, claims)
    read = manager.read(refreshed.access_token)
    assert (read["roles"], read.subject, "gen" in read) == (["user"], "uid1", False)


def test_a_caller_that_changes_its_claims_from_another_thread_gets_a_token_or_a_refusal(
    clock: FakeClock,
) -> None:
    manager = SessionManager(SECRET, issuer="i", audience="a", clock=clock)
    claims: dict[str, Any] = {"roles": ["user"]}
    is_over = threading.Event()

    def change() -> None:
        while not is_over.is_set():
            claims.update(TAKEN_OVER)
            claims["roles"] = ["user", object()]
            for name in TAKEN_OVER:
                del claims[name]
            claims["roles"] = ["user"]

    thread = threading.Thread(target=change)
    thread.start()
    try:
        for _ in range(500):
            try:
                tokens = manager.create(claims, subject="uid1")
            except InvalidArgument:
                continue
            assert manager.read(tokens.access_token)["roles"] == ["user"]
            assert manager.read(tokens.access_token).subject == "uid1"
    finally:
        is_over.set()
        thread.join()


@pytest.mark.parametrize("kind", [Text, Agreeing])
def test_a_subject_counts_by_its_characters(manager: Any, kind: Any) -> None:
    tokens = manager.create(subject=kind("uid1"))
    assert manager.read(tokens.access_token).subject == "uid1"
    (session,) = manager.read_all(kind("uid1")).values()
    assert (type(session.subject), session.subject) == (str, "uid1")
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(tokens.refresh_token, subject=kind("root"))
    for subject in (kind(""), kind("a\0"), kind("\ud800"), kind("a" * 256), Impostor(str)):
        with pytest.raises(InvalidArgument, match="subject must"):
            manager.create(subject=subject)
    assert manager.delete_one(kind("root"), tokens.session_id) is False
    assert manager.delete_all(kind("uid1")) == 1


@pytest.mark.parametrize("kind", [Text, Agreeing])
def test_tokens_and_session_ids_count_by_their_characters(manager: Any, kind: Any) -> None:
    tokens = manager.create(subject="uid1")
    assert manager.read(kind(tokens.access_token)).subject == "uid1"
    for forged in (kind("x.y.z"), Impostor(str)):
        with pytest.raises(InvalidAccessToken):
            manager.read(forged)
    refreshed = manager.update(kind(tokens.refresh_token))
    assert refreshed.session_id == tokens.session_id
    for session_id in (kind("A" * 15), kind("A" * 17), Impostor(str)):
        with pytest.raises(InvalidArgument, match="session_id must be"):
            manager.delete_one("uid1", session_id)
    with pytest.raises(SessionNotFound, match="no session is open"):
        manager.update(kind("A" * 16))
    manager.restrict_one({"sub": kind("uid1"), "sid": kind(tokens.session_id)})
    assert manager.delete_one("uid1", kind(tokens.session_id)) is True


def test_a_lifetime_counts_by_the_number_that_it_is(manager: Any, clock: FakeClock) -> None:
    tokens = manager.create(subject="uid1", access_ttl=Number(10), refresh_ttl=Number(100))
    assert (tokens.access_expires_at, tokens.refresh_expires_at) == (
        1_700_000_010,
        1_700_000_100,
    )
    for seconds in (Number(0), Number(-1), Number(10**12), Seconds(10), Impostor(int)):
        for name in ("access_ttl", "refresh_ttl"):
            with pytest.raises(InvalidArgument, match=f"{name} must be a whole number"):
                manager.create(subject="uid1", **{name: seconds})


def test_a_leeway_counts_by_the_number_that_it_is(manager: Any, clock: FakeClock) -> None:
    tokens = manager.create(subject="uid1", access_ttl=10)
    for leeway in (Number(-1), Number(61), Seconds(1e9), Seconds("nan"), Impostor(float)):
        with pytest.raises(InvalidArgument, match="leeway must be a number of seconds"):
            manager.read(tokens.access_token, leeway=leeway)
    clock.advance(20)
    assert manager.read(tokens.access_token, leeway=Number(60)).subject == "uid1"
    for leeway in (Number(1), Seconds(1.0)):
        with pytest.raises(InvalidAccessToken, match="expired"):
            manager.read(tokens.access_token, leeway=leeway)


def test_an_audience_is_looked_at_once_and_by_its_characters(make: Make) -> None:
    manager = make(audience=Turning(["a"], ["evil"]), accept_audience=Turning(["a"], ["evil"]))
    token = manager.create(subject="uid1").access_token
    assert manager.read(token)["aud"] == ["a"]
    assert manager.read(token, audience=Turning([Text("a")], ["evil"])).subject == "uid1"
    for audience in (Text("b"), Agreeing("b"), [Agreeing("b")], Turning(["b"], ["a"])):
        with pytest.raises(InvalidAccessToken, match="for another audience"):
            manager.read(token, audience=audience)
    for audience in (Text(""), [Text("")], [Impostor(str)], Impostor(str), Turning([], ["a"])):
        with pytest.raises(InvalidArgument, match="audience must be a non-empty str"):
            manager.read(token, audience=audience)
    other = make(audience=[Agreeing("b")])
    with pytest.raises(InvalidAccessToken, match="for another audience"):
        other.read(token)
    assert other.read(other.create(subject="uid1").access_token)["aud"] == ["b"]


class TwoFacedContext(SessionContext):
    """A context whose fields answer as they like at each look after the first."""

    looks: ClassVar[dict[str, int]] = {}

    def __getattribute__(self, name: str) -> Any:
        value = object.__getattribute__(self, name)
        if name not in {"ip", "device", "location"}:
            return value
        self.looks[name] = self.looks.get(name, 0) + 1
        return value if self.looks[name] == 1 else object()


def test_a_context_is_looked_at_once(manager: Any) -> None:
    device = Device(Text("Pixel"), Agreeing("phone"), TwoFaced({"os": "Android"}))
    TwoFacedContext.looks = {}
    context = TwoFacedContext(Text("::1"), device, Text("Paris"))
    manager.create(subject="uid1", context=context)
    (session,) = manager.read_all("uid1").values()
    assert (session.ip, session.location) == ("::1", "Paris")
    assert session.device == Device("Pixel", "phone", {"os": "Android"})
    assert {type(text) for text in (session.ip, session.device.name, session.device.type)} == {str}


class Role(str, enum.Enum):  # noqa: UP042 - which is another thing than a StrEnum
    """What str() and format() call by the member's name, and not by its characters."""

    ADMIN = "admin"


class Level(enum.IntEnum):
    HIGH = 3


def test_a_claim_that_is_an_enum_counts_by_its_characters_or_its_number(manager: Any) -> None:
    given = {"role": Role.ADMIN, Role.ADMIN: [Role.ADMIN], "level": {"now": Level.HIGH}}
    plain = {"role": "admin", "admin": ["admin"], "level": {"now": 3}}
    tokens = manager.create(given, subject=Role.ADMIN)
    refreshed = manager.update(tokens.refresh_token, given, subject=Role.ADMIN)
    for access_token in (tokens.access_token, refreshed.access_token):
        claims = manager.read(access_token)
        assert {name: claims[name] for name in plain} == plain
        assert claims.subject == "admin"
    assert manager.delete_all("admin") == 1


def test_an_extra_field_of_a_device_that_is_an_enum_counts_by_its_characters(manager: Any) -> None:
    device = Device("Pixel", "phone", {"os": Role.ADMIN, Role.ADMIN: Level.HIGH})
    tokens = manager.create(subject="ann", context=SessionContext(device=device))
    session = manager.read_all("ann")[tokens.session_id]
    assert session.device == Device("Pixel", "phone", {"os": "admin", "admin": 3})
    assert [*map(type, session.device.extra.values())] == [str, int]


def test_a_device_that_says_it_is_another_is_refused_by_the_hook(manager: Any) -> None:
    tokens = manager.create(subject="uid1", context=SessionContext(device=Device("Pixel", "phone")))
    for device in (Device(Agreeing("iPad"), "phone"), Device("Pixel", Agreeing("tablet"))):
        with pytest.raises(ContextMismatch, match="opened on another device"):
            manager.update(tokens.refresh_token, context=SessionContext(device=device))


@pytest.mark.parametrize(
    "context, reason",
    [
        (Impostor(SessionContext), "context must be a SessionContext, not Impostor"),
        (SessionContext.__new__(SessionContext), r"context\.ip cannot be read"),
        (SessionContext(device=Device.__new__(Device)), r"context\.device\.name cannot be read"),
        (SessionContext(device=Impostor(Device)), r"context\.device must be a Device"),
        (SessionContext(ip=Impostor(str)), r"context\.ip must be a str"),
        (SessionContext(ip=Text("a\0")), r"context\.ip must be a str"),
        (SessionContext(location=Text("x" * 1025)), r"context\.location must be a str"),
        (SessionContext(device=Device(Text("\ud800"), "")), r"context\.device\.name must be a str"),
        (SessionContext(device=Device("", "", None)), r"context\.device\.extra must be a mapping"),
        (SessionContext(device=Device("", "", [])), r"context\.device\.extra must be a mapping"),
        *(
            (SessionContext(device=Device("", "", {"a": value})), r"context\.device\.extra")
            for value in (nested(32), nested(100_000), *holding_itself(), laughs(), object())
        ),
        (SessionContext(device=Device("", "", holding_itself()[0])), "nested deeper than 32"),
    ],
)
def test_a_context_that_cannot_be_copied_is_refused_and_nothing_happens(
    manager: Any, context: Any, reason: str
) -> None:
    with pytest.raises(InvalidArgument, match=reason):
        manager.create(subject="uid1", context=context)
    assert manager.read_all("uid1") == {}
    tokens = manager.create(subject="uid1")
    with pytest.raises(InvalidArgument, match=reason):
        manager.update(tokens.refresh_token, context=context)
    assert manager.update(tokens.refresh_token).session_id == tokens.session_id


@pytest.mark.parametrize("stored", [{}, {"tags": ["a"]}], ids=["empty", "filled"])
def test_what_anybody_does_to_a_devices_extra_fields_changes_nothing_stored(
    make: Make, stored: dict[str, Any]
) -> None:

    def spoil(device: Any) -> None:
        device.extra["admin"] = True
        device.extra.setdefault("tags", []).append("b")

    def hook(session: Any, context: Any) -> None:
        assert session.device.extra == stored
        spoil(session.device)
        spoil(context.device)

    told: list[Any] = []

    def listen(event: Any) -> None:
        sessions = getattr(event, "sessions", None) or (event.session,)
        told.append([deepcopy(session.device.extra) for session in sessions])
        spoil(sessions[0].device)

    storage = MemoryStorage()
    manager = make(storage=storage, refresh_hook=hook)
    for event in SessionEvent:
        manager.on(event, listen)
        manager.on(event, partial(listen))
    context = SessionContext(device=Device("Pixel", "phone", deepcopy(stored)))
    tokens = manager.create(subject="uid1", context=context)
    spoil(context.device)
    spoil(manager.read_all("uid1")[tokens.session_id].device)
    manager.update(tokens.refresh_token, context=SessionContext(device=Device("Pixel", "phone")))
    spoil(storage.read(tokens.session_id, 0).context.device)  # type: ignore[union-attr]
    spoil(storage.read_all("uid1", 0)[0].context.device)
    assert manager.read_all("uid1")[tokens.session_id].device.extra == stored
    manager.delete_all("uid1")
    assert told == [[stored]] * 6


class Keeping:
    """A feed that keeps what is published to it."""

    def __init__(self) -> None:
        self.published: list[Any] = []

    def start(self, apply: Any) -> None:
        pass

    def publish(self, revocations: Any) -> None:
        self.published.extend(revocations)

    def poll(self) -> None:
        pass

    def close(self) -> None:
        pass


def test_what_the_feed_is_told_is_what_is_refused_here(clock: FakeClock) -> None:
    feed = Keeping()
    revocations = RevocationList(feed, clock=clock)
    session_id = Text("B" * 16)
    revocations.revoke(session_id, Seconds(10.0), before=Number(3))
    ((told_id, expires_at, before),) = feed.published
    assert (type(told_id), told_id) == (str, "B" * 16)
    assert (type(before), before, expires_at) == (int, 3, clock.now + 10)
    assert [revocations.is_revoked("B" * 16, generation) for generation in (2, 3)] == [True, False]
    for wrong in ({"ttl": Seconds(-1)}, {"ttl": 10, "before": Number(0)}):
        with pytest.raises(InvalidArgument):
            revocations.revoke(session_id, **wrong)  # type: ignore[arg-type]
    assert len(feed.published) == 1


def test_revocations_that_differ_at_each_pass_are_told_as_they_are_refused(
    clock: FakeClock,
) -> None:
    feed = Keeping()
    revocations = RevocationList(feed, clock=clock)
    from tokenwheel.revocation import Revocation

    refused = [Revocation("B" * 16, clock.now + 10, None)]
    revocations.publish(Turning(refused, []), clock.now)
    assert feed.published == refused
    assert revocations.is_revoked("B" * 16)
