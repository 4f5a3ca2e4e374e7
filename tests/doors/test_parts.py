"""Each public call of the parts takes a value for what it is, or refuses it in our own words.

Every parameter of every public method is driven: with what stands for a plain value
(``disguises.py``), which must be answered like that, and with nonsense, of which each twin must say
the same. What a cache is given as a key, a value or a default is the caller's own, as in a dict.
"""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.doors.disguises import Asked, answer, disguised, disguised_json, nonsense
from tests.liars import Number
from tests.support import FakeClock
from tests.twins.differential import TWINS
from tokenwheel import (
    ConfigurationError,
    InvalidArgument,
    MemoryStorage,
    Revocation,
    RevocationList,
    StorageUnavailable,
    new_token,
)
from tokenwheel.cli import main
from tokenwheel.revocation.protocol import RevocationFeed

NOW = 1_800_000_000.0
ONE, OTHER = "A" * 16, "B" * 16
CLAIMS: dict[str, Any] = {"sub": "ann", "sid": ONE, "iat": 1_700_000_000, "exp": 4_000_000_000}


class Door(NamedTuple):
    """One public call of a part.

    Args:
        make: makes the part anew, of a twin, and returns the call.
        given: a plain value for each parameter.
        own: the parameters that are the caller's own, and looked at by nobody.
    """

    make: Callable[[str], Callable[..., Any]]
    given: Mapping[str, Any] = {}
    own: tuple[str, ...] = ()


def part(twin: str, module: str, name: str) -> Any:
    return vars(importlib.import_module(f"tokenwheel._{twin}.{module}"))[name]


def cache_of(twin: str) -> Any:
    cache = part(twin, "cache", "ExpiringCache")(clock=FakeClock(NOW))
    cache["key"] = 1
    return cache


def table_of(twin: str) -> Any:
    table = part(twin, "revocations", "RevocationTable")(clock=FakeClock(NOW), timer=FakeClock(NOW))
    table.revoke(ONE, 60.0, before=3)
    return table


def list_of(twin: str) -> Any:
    revocations = RevocationList(clock=FakeClock(NOW), timer=FakeClock(NOW))
    revocations.revoke(ONE, 60.0, before=3)
    return revocations


def told(session_id: str, before: int | None) -> None:
    """Hear of a revocation."""


def claims_of(twin: str) -> Any:
    return part(twin, "verifier", "Claims")(CLAIMS)


def of(make: Callable[[str], Any], name: str) -> Callable[[str], Callable[..., Any]]:
    return lambda twin: getattr(make(twin), name)


def table_doors(make: Callable[[str], Any]) -> dict[str, Door]:
    """Return the doors of a table, which are those of a list, too."""
    revoked = {"session_id": OTHER, "before": 5}
    return {
        "revoke": Door(of(make, "revoke"), {**revoked, "ttl": 60}),
        "revoke_until": Door(of(make, "revoke_until"), {**revoked, "expires_at": NOW + 60}),
        "revoke_each": Door(of(make, "revoke_each"), {"revocations": [(OTHER, NOW + 60, 5)]}),
        "is_revoked": Door(of(make, "is_revoked"), {"session_id": ONE, "generation": 2}),
        "lowest_generation": Door(of(make, "lowest_generation"), {"session_id": ONE}),
        "watch": Door(of(make, "watch"), {"doorbell": bytearray(8)}),
        "expire": Door(of(make, "expire")),
    }


CACHE = {
    "__init__": Door(
        lambda twin: part(twin, "cache", "ExpiringCache"),
        {"maxsize": 5, "ttl": 60.0, "on_remove": len, "clock": FakeClock(NOW)},
    ),
    "get": Door(of(cache_of, "get"), {"key": "key", "default": 2}, ("key", "default")),
    "set": Door(of(cache_of, "set"), {"key": "k", "value": 2, "ttl": 60}, ("key", "value")),
    "setdefault": Door(
        of(cache_of, "setdefault"), {"key": "key", "default": 2}, ("key", "default")
    ),
    "ttl": Door(of(cache_of, "ttl"), {"key": "key"}, ("key",)),
    "touch": Door(of(cache_of, "touch"), {"key": "key", "ttl": 60.0}, ("key",)),
    "pop": Door(of(cache_of, "pop"), {"key": "key", "default": 2}, ("key", "default")),
    "update": Door(
        lambda twin: lambda other, kwds: cache_of(twin).update(other, **kwds),
        {"other": {"k": 2}, "kwds": {"other": 3}},
        ("other", "kwds"),
    ),
    "popitem": Door(of(cache_of, "popitem")),
    "expire": Door(of(cache_of, "expire")),
    "clear": Door(of(cache_of, "clear")),
    **{name: Door(of(cache_of, name)) for name in ("keys", "items", "values")},
}
TABLE = {
    "__init__": Door(
        lambda twin: part(twin, "revocations", "RevocationTable"),
        {"clock": FakeClock(NOW), "before_lookup": list, "timer": FakeClock(NOW)},
    ),
    **table_doors(table_of),
}
LIST = {
    "__init__": Door(
        lambda twin: RevocationList,
        {"feed": None, "clock": FakeClock(NOW), "timer": FakeClock(NOW)},
    ),
    **table_doors(list_of),
    "publish": Door(
        of(list_of, "publish"), {"revocations": [Revocation(OTHER, NOW + 60, 5)], "now": NOW}
    ),
    "refuse": Door(
        of(list_of, "refuse"), {"revocations": [Revocation(OTHER, NOW + 60, 5)], "now": NOW}
    ),
    "replay": Door(lambda twin: lambda: list_of(twin).replay().close()),
    "stats": Door(of(list_of, "stats")),
    "subscribe": Door(of(list_of, "subscribe"), {"callback": told}),
    "unsubscribe": Door(of(list_of, "unsubscribe"), {"callback": told}),
    "close": Door(of(list_of, "close")),
}
CLAIMS_DOORS = {
    "__init__": Door(lambda twin: part(twin, "verifier", "Claims"), {"claims": CLAIMS}),
    "get": Door(of(claims_of, "get"), {"key": "sub", "default": 2}, ("key", "default")),
    **{name: Door(of(claims_of, name)) for name in ("to_dict", "keys", "items", "values")},
}
TOKEN = {
    "new_token": Door(lambda twin: part(twin, "tokens", "new_token"), {"nbytes": 16}),
    "random_bytes": Door(lambda twin: part(twin, "tokens", "random_bytes"), {"nbytes": 16}),
}
PARTS: dict[Any, dict[str, Door]] = {
    part("pure", "cache", "ExpiringCache"): CACHE,
    part("pure", "revocations", "RevocationTable"): TABLE,
    RevocationList: LIST,
    part("pure", "claims", "Claims"): CLAIMS_DOORS,
}
EVERY_DOOR = {
    **{
        f"{kind.__name__}.{name}": door
        for kind, doors in PARTS.items()
        for name, door in doors.items()
    },
    **TOKEN,
}
PLACES = st.integers(0, len(nonsense()) - 1)
SIZED = ("new_token", "random_bytes")  # Their answers are random, and of a length.


def answered(name: str, twin: str, options: Mapping[str, Any]) -> Any:
    """Return what a door answers, in a form that can be compared; the same for both twins."""
    said = answer(EVERY_DOOR[name].make(twin), **options)
    if name in SIZED and not isinstance(said, tuple):
        return len(said)
    if isinstance(said, tuple) or said is None or isinstance(said, bool | int | float | str):
        return said
    return type(said).__name__


@pytest.mark.parametrize("kind", PARTS, ids=lambda kind: kind.__name__)
def test_every_public_method_and_parameter_is_driven(kind: Any) -> None:
    doors = PARTS[kind]
    methods = {
        name: method
        for name, method in inspect.getmembers(kind, callable)
        if name == "__init__" or not name.startswith("_")
    }
    assert methods.keys() - {"register"} == doors.keys()
    for name, method in methods.items():
        parameters = set(inspect.signature(method).parameters) - {"self"}
        assert parameters == set(doors[name].given), f"{kind.__name__}.{name}"


@pytest.mark.parametrize("name", EVERY_DOOR)
def test_each_door_takes_what_is_plain(name: str) -> None:
    for twin in TWINS:
        EVERY_DOOR[name].make(twin)(**EVERY_DOOR[name].given)


@given(st.data())
def test_what_a_value_says_of_itself_changes_no_answer(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EVERY_DOOR)), "door")
    door = EVERY_DOOR[name]
    looked_at = [parameter for parameter in door.given if parameter not in door.own]
    if not looked_at:
        return
    options = {**door.given}
    for parameter in data.draw(st.sets(st.sampled_from(looked_at), min_size=1), "disguised"):
        options[parameter] = data.draw(disguised(door.given[parameter]), parameter)
    for twin in TWINS:
        assert answered(name, twin, options) == answered(name, twin, door.given)


@given(st.data())
def test_nonsense_is_refused_in_our_own_words_and_by_both_twins_alike(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(EVERY_DOOR)), "door")
    door = EVERY_DOOR[name]
    looked_at = [parameter for parameter in door.given if parameter not in door.own]
    if not looked_at:
        return
    chosen = {
        parameter: data.draw(PLACES, parameter)
        for parameter in data.draw(st.sets(st.sampled_from(looked_at), min_size=1))
    }
    answers = [
        answered(
            name,
            twin,
            {**door.given, **{parameter: nonsense()[place] for parameter, place in chosen.items()}},
        )
        for twin in TWINS
    ]
    for said in answers:
        assert said == answers[0]
        if isinstance(said, tuple):
            assert issubclass(said[0], ConfigurationError | InvalidArgument), said


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(st.characters(exclude_categories=["Cs"]), max_size=4), inner, max_size=3
        )
    ),
    max_leaves=6,
)


@given(JSON, st.data())
def test_claims_hold_the_characters_and_the_numbers_that_they_were_given(
    value: Any, data: st.DataObject
) -> None:
    shown = data.draw(disguised_json(value))
    for twin in TWINS:
        claims = part(twin, "verifier", "Claims")({**CLAIMS, "own": shown})
        assert claims.to_dict() == {**CLAIMS, "own": value}
        assert repr(claims["own"]) == repr(value)


class Key:
    """A key whose own code raises."""

    def __init__(self, *raising: str) -> None:
        self.raising = raising

    def __hash__(self) -> int:
        if "hash" in self.raising:
            raise Asked("hash")
        return 1

    def __eq__(self, other: object) -> bool:
        raise Asked("eq")


@pytest.mark.parametrize("twin", TWINS)
def test_what_a_key_of_a_cache_raises_reaches_the_caller_as_from_a_dict(twin: str) -> None:
    calls: list[Callable[[Any, Any], Any]] = [
        lambda cache, key: cache.get(key),
        lambda cache, key: cache.set(key, 1),
        lambda cache, key: cache[key],
        lambda cache, key: key in cache,
        lambda cache, key: cache.pop(key, None),
        lambda cache, key: cache.touch(key, 1),
        lambda cache, key: cache.ttl(key),
        lambda cache, key: cache.setdefault(key, 1),
    ]
    for call in calls:
        cache = part(twin, "cache", "ExpiringCache")()
        cache[Key()] = 1
        with pytest.raises(Asked, match="hash"):
            call(cache, Key("hash"))
        with pytest.raises(Asked, match="eq"):
            call(cache, Key())
        with pytest.raises(TypeError, match="unhashable"):
            call(cache, [])
        assert len(cache) == 1
        cache._check()


def test_a_token_is_as_long_as_the_number_is_that_was_given() -> None:
    assert len(new_token(Number(16))) == len(new_token(16))


class Listening(MemoryStorage):
    """A feed that keeps what it is told, and can be told to fail."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.error = error
        self.told: list[Any] = []

    def start(self, apply: Any) -> None:
        pass

    def publish(self, revocations: Any) -> None:
        if self.error is not None:
            raise self.error
        self.told.extend(revocations)

    def poll(self) -> None:
        pass

    def close(self) -> None:
        pass


@given(disguised((OTHER, NOW + 60, 5)))
def test_a_feed_is_told_plain_values_whatever_was_handed_in(shown: Any) -> None:
    feed = Listening()
    revocations = RevocationList(feed, clock=FakeClock(NOW))
    revocations.publish([shown], NOW)
    session_id, _, before = shown
    revocations.revoke(session_id, 60, before=before)
    for told in feed.told:
        assert type(told) is Revocation
        assert told == Revocation(OTHER, NOW + 60, 5)
        assert [*map(type, told)] == [str, float, int]


def test_a_feed_that_fails_is_said_to_be_unavailable_and_the_tokens_are_refused_here() -> None:
    for error, words in ((OSError("no route"), "made again"), (TypeError("x"), "meet as well")):
        feed: RevocationFeed = Listening(error)
        revocations = RevocationList(feed, clock=FakeClock(NOW))
        for call in (
            lambda to: to.publish([Revocation(ONE, NOW + 60, None)], NOW),
            lambda to: to.revoke(OTHER, 60),
        ):
            with pytest.raises(StorageUnavailable, match=words) as caught:
                call(revocations)
            assert caught.value.__cause__ is error
        assert revocations.is_revoked(ONE)
        assert revocations.is_revoked(OTHER)


WORDS = st.text(max_size=20) | st.sampled_from(
    ["", "\0", "a\0b", "\udc80", "\ud800", "--json", "--all", "-", "--", "ann", ONE, "é"]
)
COMMANDS = st.sampled_from(
    [
        ["sessions", "list", "{}", "--database", "{}"],
        ["sessions", "end", "{}", "{}", "--database", "{}"],
        ["sessions", "end", "{}", "--all", "--database", "{}", "--issuer", "{}"],
        ["sessions", "count", "--database", "{}", "--feed", "{}"],
        ["sessions", "list", "ann", "--database", "redis://127.0.0.1:1/{}", "--prefix", "{}"],
        ["keys", "new", "--algorithm", "{}", "--out", "no/{}"],
        ["keys", "new", "--algorithm", "HS256", "--kid", "{}", "--out", "no/{}"],
        ["inspect", "--key", "{}"],
        ["{}", "{}"],
    ]
)


@given(COMMANDS, st.data())
@settings(max_examples=50)
def test_no_word_of_a_command_line_is_more_than_refused(
    command: list[str], data: st.DataObject
) -> None:
    words = [word.replace("{}", data.draw(WORDS)) if "{}" in word else word for word in command]
    said = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="strict")
    told = io.TextIOWrapper(io.BytesIO(), "utf-8", errors="backslashreplace")
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(told):
        try:
            status = main(words)
        except SystemExit as end:
            status = int(end.code or 0)
    assert status in (0, 1, 2)
    told.flush()
    assert b"Traceback" not in told.buffer.getvalue()  # type: ignore[attr-defined]
