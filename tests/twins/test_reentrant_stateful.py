"""Every operation of a cache, a table and a verifier may be interrupted by any other.

What a user gives them runs in their midst: a key's hash and comparison, a clock, ``on_remove``,
``__del__``, a key that verifies, a generator of revocations, news. Each of these may do whatever
else can be done, fail, tell no time, or construct the object anew. Nothing is corrupted then, what
was revoked stays refused, and whatever is found was put there.
"""

from __future__ import annotations

import gc
import importlib
from collections.abc import Callable, Iterator
from math import inf, nan
from types import SimpleNamespace
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.support import KEY, forge, with_claims
from tests.twins.conftest import TWINS
from tokenwheel import (
    AccessTokenRevoked,
    ConfigurationError,
    InvalidAccessToken,
    InvalidArgument,
    Key,
)

START = 1_800_000_000.0
SESSIONS = [f"{number:016d}" for number in range(4)]
TOKENS = [forge(with_claims(sid=session_id)) for session_id in SESSIONS]
OTHER_KEY = Key.generate("HS256")
FOREIGN = forge(key=OTHER_KEY)
NONSENSE = [nan, inf, -inf, 1e300, "soon", None, True, 10**400]
DEEPEST = 3  # interruptions within each other


class Interrupted(Exception):
    """What code of a user's raises."""


class HostileKey:
    """Keys with few hashes between them, equal by number. Each question may do mischief."""

    __slots__ = ("__weakref__", "machine", "number")

    def __init__(self, machine: Reentrant, number: int) -> None:
        self.machine = machine
        self.number = number

    def __hash__(self) -> int:
        self.machine.interrupt("hash")
        return hash("text") if self.number % 3 == 0 else 7

    def __eq__(self, other: object) -> bool:
        self.machine.interrupt("eq")
        return isinstance(other, HostileKey) and self.number == other.number


class HostileValue:
    """A value that does mischief when it is let go."""

    def __init__(self, machine: Reentrant, key: Any) -> None:
        self.machine = machine
        self.key = key

    def __del__(self) -> None:
        try:
            self.machine.interrupt("del")
        except Interrupted:
            pass


class HostileVerification:
    """A key that verifies nothing, and does mischief when it is asked and when it is let go."""

    kid, algorithm, _secret = "hostile", "ES256", None

    def __init__(self, machine: Reentrant) -> None:
        self.machine = machine

    def verify(self, message: bytes, signature: bytes) -> bool:
        self.machine.interrupt("verify")
        return False

    def __del__(self) -> None:
        try:
            self.machine.interrupt("del")
        except Interrupted:
            pass


MISCHIEF = st.lists(
    st.tuples(
        st.sampled_from(["hash", "eq", "clock", "timer", "removed", "del", "verify", "news"]),
        st.sampled_from(
            [
                *("set", "set", "get", "pop", "touch", "clear", "expire", "popitem", "walk"),
                *("revoke", "revoke", "is_revoked", "forget", "watch", "news_source"),
                *("read", "read", "set_keys", "read_foreign"),
                *("construct", "half_made", "raise", "nonsense", "collect", "pass_time"),
            ]
        ),
        st.integers(0, 40),
    ),
    max_size=12,
)


class Reentrant(RuleBasedStateMachine):
    """One machine for both twins; ``implementation`` is set by the subclasses."""

    implementation: str
    expected: ClassVar[tuple[type[Exception], ...]] = (
        Interrupted,
        KeyError,
        InvalidArgument,
        ConfigurationError,
        InvalidAccessToken,
    )

    @initialize(maxsize=st.one_of(st.none(), st.integers(1, 60)), cache_size=st.integers(0, 3))
    def begin(self, maxsize: int | None, cache_size: int) -> None:
        cache, table, verifier = (
            importlib.import_module(f"tokenwheel._{self.implementation}.{name}")
            for name in ("cache", "revocations", "verifier")
        )
        self.types = SimpleNamespace(
            Cache=cache.ExpiringCache, Table=table.RevocationTable, Verifier=verifier.Verifier
        )
        self.plan: dict[str, list[tuple[str, int]]] = {}
        self.depth = 0
        self.wall = START
        self.steady = 5_000.0
        self.nonsense: Any = None
        self.revoked: dict[str, float] = {}  # what the table has said yes to
        self.begun: set[str] = set()  # and what it may know before it has
        self.walks: list[Iterator[Any]] = []
        self.cache = self.types.Cache(maxsize, on_remove=self.removed, clock=self.clock)
        self.table = self.types.Table(self.clock, self.news, self.timer)
        self.options = {
            "issuer": "i",
            "audience": ("a",),
            "leeway": 0,
            "largest_leeway": 60,
            "cache_size": cache_size,
            "clock": self.clock,
            "revocations": self.table,
        }
        self.verifier = self.types.Verifier([KEY, HostileVerification(self)], **self.options)

    # What the structures call

    def clock(self) -> Any:
        self.interrupt("clock")
        answer, self.nonsense = self.nonsense, None
        return self.wall if answer is None else answer[0]

    def timer(self) -> float:
        self.interrupt("timer")
        return self.steady

    def removed(self, key: Any, value: Any, reason: Any) -> None:
        self.interrupt("removed")
        assert value.key is key or value.key == key or self.depth

    def news(self) -> None:
        self.interrupt("news")

    def interrupt(self, place: str) -> None:
        """Do what is planned for the place: one thing each time it is reached."""
        waiting = self.plan.get(place)
        if not waiting or self.depth >= DEEPEST:
            return
        action, number = waiting.pop()
        if action == "raise":
            raise Interrupted
        self.depth += 1
        try:
            getattr(self, "do_" + action)(number)
        except self.expected:
            pass
        finally:
            self.depth -= 1

    # What can be done, from outside or from within

    def key(self, number: int) -> Any:
        if number % 4 == 1:
            return "text"
        return number if number % 4 == 2 else HostileKey(self, number)

    def do_set(self, number: int) -> None:
        key = self.key(number)
        self.cache.set(key, HostileValue(self, key), None if number % 5 == 0 else 1 + number)

    def do_get(self, number: int) -> None:
        key = self.key(number)
        value = self.cache.get(key)
        if isinstance(value, HostileValue):
            assert type(value.key) is type(key)
            assert getattr(value.key, "number", 0) == getattr(key, "number", 0)

    def do_pop(self, number: int) -> None:
        self.cache.pop(self.key(number), None)

    def do_touch(self, number: int) -> None:
        self.cache.touch(self.key(number), 1 + number)

    def do_clear(self, number: int) -> None:
        self.cache.clear()

    def do_expire(self, number: int) -> None:
        self.cache.expire()

    def do_popitem(self, number: int) -> None:
        self.cache.popitem()

    def do_walk(self, number: int) -> None:
        if number % 3 == 0 or not self.walks:
            self.walks.append(
                iter([self.cache, self.cache.items(), self.cache.values()][number % 3])
            )
        else:
            next(self.walks[number % len(self.walks)], None)

    def do_revoke(self, number: int) -> None:
        session_id = SESSIONS[number % len(SESSIONS)]
        end = self.wall + 100 * (1 + number)
        self.begun.add(session_id)

        def revocations() -> Iterator[tuple[str, float, None]]:
            yield session_id, end, None
            self.interrupt("news")
            yield session_id, end, None

        self.table.revoke_each(revocations())
        self.revoked[session_id] = max(self.revoked.get(session_id, 0), end)

    def do_is_revoked(self, number: int) -> None:
        session_id = SESSIONS[number % len(SESSIONS)]
        must_be = self.wall < self.revoked.get(session_id, 0)
        is_refused = self.table.is_revoked(session_id)
        assert is_refused or not must_be or not self.wall < self.revoked[session_id]

    def do_forget(self, number: int) -> None:
        self.table.expire()

    def do_watch(self, number: int) -> None:
        self.table.watch(None if number % 4 == 0 else memoryview(bytearray(16))[number % 8 :][:8])

    def do_news_source(self, number: int) -> None:
        self.table.before_lookup = None if number % 4 == 0 else self.news

    def do_read(self, number: int) -> None:
        session_id = SESSIONS[number % len(SESSIONS)]
        must_be = self.wall < self.revoked.get(session_id, 0)
        try:
            claims = self.verifier.verify(TOKENS[number % len(TOKENS)])
        except AccessTokenRevoked:
            assert session_id in self.begun
        else:
            assert claims.session_id == session_id
            assert not must_be or not self.wall < self.revoked[session_id]

    def do_read_foreign(self, number: int) -> None:
        try:
            self.verifier.verify(FOREIGN)
        except InvalidAccessToken:
            return
        raise AssertionError("a token by a key of nobody's was accepted")

    def do_set_keys(self, number: int) -> None:
        self.verifier.set_keys([KEY] if number % 2 else [HostileVerification(self), KEY])

    def do_construct(self, number: int) -> None:
        construct: list[Callable[[], Any]] = [
            lambda: self.cache.__init__(1 + number),
            self.table.__init__,
            lambda: self.verifier.__init__([KEY], **self.options),
            lambda: self.verifier.__init__([KEY], **{**self.options, "revocations": None}),
        ]
        try:
            construct[number % len(construct)]()
        except ConfigurationError:
            return
        raise AssertionError("it was constructed twice")

    def do_half_made(self, number: int) -> None:
        cache, table, verifier = (
            cls.__new__(cls) for cls in (self.types.Cache, self.types.Table, self.types.Verifier)
        )
        uses: list[Callable[[], Any]] = [
            lambda: cache.set(self.key(number), 1),
            lambda: table.is_revoked(SESSIONS[0]),
            lambda: verifier.verify(TOKENS[0]),
            lambda: verifier.set_keys([KEY]),
        ]
        use = uses[number % len(uses)]
        try:
            use()
        except ConfigurationError:
            return
        raise AssertionError("what was never constructed was used")

    def do_nonsense(self, number: int) -> None:
        self.nonsense = (NONSENSE[number % len(NONSENSE)],)

    def do_collect(self, number: int) -> None:
        gc.collect(0)

    def do_pass_time(self, number: int) -> None:
        self.wall += number
        self.steady += number

    @rule(
        action=st.sampled_from(
            [name[3:] for name in locals() if name.startswith("do_") and name != "do_nonsense"]
        ),
        number=st.integers(0, 40),
        mischief=MISCHIEF,
    )
    def act(self, action: str, number: int, mischief: list[tuple[str, str, int]]) -> None:
        self.plan = {}
        for place, what, argument in mischief:
            self.plan.setdefault(place, []).append((what, argument))
        try:
            getattr(self, "do_" + action)(number)
        except self.expected:
            pass
        self.plan = {}
        self.nonsense = None

    @rule(number=st.integers(0, 40), mischief=MISCHIEF)
    def fill(self, number: int, mischief: list[tuple[str, str, int]]) -> None:
        """Many entries, so that buckets split and merge while their keys are compared."""
        for offset in range(70):
            self.act("set", number + 2 + 4 * offset, [])
        self.act("get", number, mischief)
        self.act("clear", number, mischief)

    @invariant()
    def everything_is_whole(self) -> None:
        if not hasattr(self, "verifier"):
            return
        for structure in (self.cache, self.table, self.verifier):
            structure._check()
        for session_id, end in self.revoked.items():
            assert self.table.is_revoked(session_id) or end <= self.wall
        for key, value in self.cache.items():
            assert self.cache[key] is value
            assert value.key is key or value.key == key

    def teardown(self) -> None:
        if hasattr(self, "cache"):
            self.plan = {}
            self.cache.clear()
            self.cache._check()
            assert len(self.cache) == 0


class NativeReentrant(Reentrant):
    implementation = "native"


class PureReentrant(Reentrant):
    implementation = "pure"


if "native" in TWINS:
    TestNativeReentrant = NativeReentrant.TestCase
TestPureReentrant = PureReentrant.TestCase
