"""Whatever happens to sessions and clocks, a connection ends when its token would be refused."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.servers import until
from tests.support import SECRET, FakeClock
from tests.web.watching import Told, until_no_thread_is_left
from tokenwheel import (
    Claims,
    InvalidAccessToken,
    SessionManager,
    SessionNotFound,
    SessionTokens,
)
from tokenwheel.web.watch import Watches
from tokenwheel.web.watched import Watched

PLACES = st.integers(0, 7)


@dataclass
class Login:
    """A session, and what is known of it."""

    tokens: SessionTokens
    claims: Claims
    lowest: int | None = 0
    """The lowest generation that is not refused; None where all are."""


@dataclass
class Connected:
    """A connection, and what a dull model says of it."""

    login: Login
    watched: Watched
    told: Told
    generation: int
    expires_at: float
    reason: str | None = None
    is_stopped: bool = False


class WatchModel(RuleBasedStateMachine):
    """Sessions and connections of one process, whose clock the steps move."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = FakeClock(1_700_000_000.0)
        self.manager = SessionManager(
            SECRET, issuer="i", audience="a", leeway=0, refresh_ttl=5000, clock=self.clock
        )
        self.watches = Watches(self.manager)
        self.logins: list[Login] = []
        self.connections: list[Connected] = []

    @rule()
    def log_in(self) -> None:
        tokens = self.manager.create(subject="ann")
        self.logins.append(Login(tokens, self.manager.read(tokens.access_token)))

    @precondition(lambda self: self.logins)
    @rule(place=PLACES)
    def connect(self, place: int) -> None:
        login = self.logins[place % len(self.logins)]
        told, claims = Told(), login.claims
        watched = self.watches.watch(claims, told)
        generation = claims.get("gen", 0)
        self.connections.append(Connected(login, watched, told, generation, claims.expires_at))
        self.look()

    @precondition(lambda self: self.logins)
    @rule(place=PLACES, access_ttl=st.sampled_from([60, 900, 3000]))
    def refresh(self, place: int, access_ttl: int) -> None:
        login = self.logins[place % len(self.logins)]
        try:
            login.tokens = self.manager.update(login.tokens.refresh_token, access_ttl=access_ttl)
        except SessionNotFound:
            return
        login.claims = self.manager.read(login.tokens.access_token)

    @precondition(lambda self: self.connections)
    @rule(place=PLACES)
    def admit(self, place: int) -> None:
        connected = self.connections[place % len(self.connections)]
        try:
            claims = connected.watched.admit(connected.login.tokens.access_token)
        except InvalidAccessToken:
            return
        connected.generation = max(connected.generation, claims.get("gen", 0))
        connected.expires_at = max(connected.expires_at, claims.expires_at)

    @precondition(lambda self: self.connections)
    @rule(place=PLACES)
    def stop(self, place: int) -> None:
        connected = self.connections[place % len(self.connections)]
        connected.watched.stop()
        connected.is_stopped = True

    @precondition(lambda self: self.logins)
    @rule(place=PLACES)
    def restrict(self, place: int) -> None:
        login = self.logins[place % len(self.logins)]
        if login.lowest is not None:
            self.manager.restrict_one(login.claims)
            lowest = self.manager.revocations.lowest_generation(login.tokens.session_id)
            assert lowest is None or lowest > login.claims.get("gen", 0)
            login.lowest = lowest

    @precondition(lambda self: self.logins)
    @rule(place=PLACES)
    def log_out(self, place: int) -> None:
        login = self.logins[place % len(self.logins)]
        self.manager.delete_one("ann", login.tokens.session_id)
        login.lowest = None

    @rule(seconds=st.sampled_from([0.5, 59, 60, 600, 900, 2999.5, -30, -900]))
    def move_clock(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @invariant()
    def look(self) -> None:
        for connected in self.connections:
            if connected.is_stopped or connected.reason is not None:
                continue
            lowest = connected.login.lowest
            reasons = set()
            if lowest is None or connected.generation < lowest:
                reasons.add("revoked")
            if connected.expires_at <= self.clock.now:  # A revocation may be forgotten by then.
                reasons.add("expired")
            connected.reason = connected.watched.ended
            assert connected.reason in (reasons or {None})

    def teardown(self) -> None:
        for connected in self.connections:
            if connected.reason is not None and not connected.is_stopped:
                until(lambda c=connected: c.told == [c.reason])  # type: ignore[misc]
        self.clock.advance(1e6)  # Whoever is watched expires by it, or when the manager is closed.
        self.manager.close()
        for connected in self.connections:
            if not connected.is_stopped:
                until(lambda c=connected: c.told)  # type: ignore[misc]
        until_no_thread_is_left()
        for connected in self.connections:
            if connected.is_stopped:
                assert connected.told in ([], [connected.reason])
            else:
                assert connected.told == [connected.reason or "expired"]


WatchModel.TestCase.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
TestWatch = WatchModel.TestCase
