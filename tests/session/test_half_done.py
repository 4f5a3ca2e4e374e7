"""Nothing is left half done: what holds after a call that failed on its way.

The refusal in this process stands until the call is made again or the owner refreshes the session.
Then the newer token is good here, too, and every process agrees.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from tests.support import SECRET, FakeClock
from tokenwheel import (
    Claims,
    MemoryStorage,
    SessionManager,
    SessionNotFound,
    SessionTokens,
    StorageUnavailable,
)
from tokenwheel.session import revoking
from tokenwheel.session.refresh_tokens import new_refresh_token

from .half_done import Log, Node

Make = Callable[..., Any]
Call = Callable[[Any, SessionTokens], Any]

CALLS: dict[str, Call] = {
    "delete_one": lambda manager, tokens: manager.delete_one("ann", tokens.session_id),
    "delete_all": lambda manager, tokens: manager.delete_all("ann"),
    "restrict_one": lambda manager, tokens: manager.restrict_one(
        {"sub": "ann", "sid": tokens.session_id}
    ),
    "restrict_all": lambda manager, tokens: manager.restrict_all("ann"),
}
ENDING: dict[str, Call] = {
    **CALLS,
    "end": lambda manager, tokens: manager.end(tokens.refresh_token),
}
FAULTS = [
    pytest.param(False, 1, "before", id="the feed fails"),
    pytest.param(False, 1, "after", id="the feed's answer is lost"),
    pytest.param(False, 2, "before", id="the storage fails once it is published"),
    pytest.param(False, 2, "after", id="the storage's answer is lost"),
    pytest.param(True, 1, "before", id="at once, and that fails"),
    pytest.param(True, 1, "after", id="at once, and the answer is lost"),
]


class Pair:
    """Two nodes, and a session of ann's on which a call at the first has failed."""

    def __init__(self, make: Make, clock: FakeClock, at_once: bool) -> None:
        self.kept = MemoryStorage()
        log = Log()
        self.here, self.there = (
            Node(make, self.kept, log, clock, at_once=at_once) for _ in range(2)
        )
        self.nodes = self.here, self.there
        self.tokens = self.here.manager.create(subject="ann")

    def fail(self, call: Call, number: int, when: Any) -> None:
        self.here.faults.arm(number, when)
        with pytest.raises(StorageUnavailable, match="the call can be made again"):
            call(self.here.manager, self.tokens)
        assert self.here.faults.requests == number + 1
        self.here.faults.disarm()

    def accept(self, tokens: SessionTokens) -> list[bool]:
        return [node.accepts(tokens.access_token) for node in self.nodes]

    def lives(self) -> bool:
        return self.tokens.session_id in self.here.manager.read_all("ann")


@pytest.mark.parametrize("at_once, number, when", FAULTS)
@pytest.mark.parametrize("call", ENDING)
def test_after_a_call_that_failed_the_owners_refresh_gives_a_token_that_is_good_everywhere(
    make: Make, clock: FakeClock, call: str, at_once: bool, number: int, when: str
) -> None:
    pair = Pair(make, clock, at_once)
    pair.fail(ENDING[call], number, when)
    assert not pair.here.accepts(pair.tokens.access_token)
    if not pair.lives():
        assert pair.accept(pair.tokens) == [False, False]
        return
    fresh = pair.here.manager.update(pair.tokens.refresh_token)
    assert pair.accept(fresh) == [True, True]
    assert pair.accept(pair.tokens) == [False, False]
    assert pair.accept(pair.there.manager.update(fresh.refresh_token)) == [True, True]


@pytest.mark.parametrize("at_once, number, when", FAULTS)
@pytest.mark.parametrize("repeats", ["here", "there"])
@pytest.mark.parametrize("call", ENDING)
def test_a_call_that_failed_and_is_made_again_holds_everywhere(
    make: Make, clock: FakeClock, call: str, at_once: bool, number: int, when: str, repeats: str
) -> None:
    pair = Pair(make, clock, at_once)
    pair.fail(ENDING[call], number, when)
    ENDING[call](getattr(pair, repeats).manager, pair.tokens)
    assert pair.accept(pair.tokens) == [False, False]
    if not call.startswith("restrict"):
        assert not pair.lives()
    else:
        for node in pair.nodes:
            fresh = node.manager.update(pair.tokens.refresh_token)
            assert pair.accept(fresh) == [True, True]


def test_a_refresh_elsewhere_knows_what_was_published_before_the_storage_failed(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, False)
    pair.fail(CALLS["delete_one"], 2, "before")
    assert pair.accept(pair.tokens) == [False, False]
    fresh = pair.there.manager.update(pair.tokens.refresh_token)
    assert pair.accept(fresh) == [True, True]
    assert pair.accept(pair.tokens) == [False, False]


@pytest.mark.parametrize("at_once", [False, True])
def test_what_a_call_could_not_tell_the_others_is_told_beside_the_next_that_gets_through(
    make: Make, clock: FakeClock, at_once: bool
) -> None:
    pair = Pair(make, clock, at_once)
    pair.fail(CALLS["delete_one"], 1, "before")
    assert pair.accept(pair.tokens) == [False, True]
    stale = pair.there.manager.update(pair.tokens.refresh_token)
    other = pair.here.manager.create(subject="bob")
    pair.here.manager.delete_all("bob")
    assert pair.accept(other) == [False, False]
    assert pair.accept(pair.tokens) == [False, False]
    assert pair.accept(stale) == [False, False]
    assert pair.accept(pair.there.manager.update(stale.refresh_token)) == [True, True]


def test_what_could_not_be_told_beside_another_call_is_tried_again(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, True)
    pair.fail(CALLS["restrict_one"], 1, "before")
    pair.here.faults.arm(1, "before")
    pair.here.manager.restrict_all("bob")
    assert pair.here.faults.requests == 2
    assert pair.accept(pair.tokens) == [False, True]
    pair.here.faults.disarm()
    pair.here.manager.restrict_all("bob")
    assert pair.accept(pair.tokens) == [False, False]


def test_a_refresh_that_completes_a_call_and_fails_can_be_repeated_with_the_same_token(
    make: Make, clock: FakeClock
) -> None:
    for number in (1, 2):
        for when in ("before", "after"):
            pair = Pair(make, clock, False)
            pair.fail(CALLS["delete_one"], 1, "before")
            pair.fail(lambda manager, tokens: manager.update(tokens.refresh_token), number, when)
            fresh = pair.here.manager.update(pair.tokens.refresh_token)
            assert pair.accept(fresh) == [True, True]
            assert pair.accept(pair.tokens) == [False, False]


@pytest.mark.parametrize("minutes", [-5, 5])
def test_a_refresh_is_good_everywhere_when_clocks_differ_by_minutes(
    make: Make, clock: FakeClock, minutes: int
) -> None:
    kept, log = MemoryStorage(), Log()
    other_clock = FakeClock(clock.now + minutes * 60)
    here = Node(make, kept, log, clock)
    there = Node(make, kept, log, other_clock)
    tokens = there.manager.create(subject="ann")
    here.faults.arm(2, "before")
    with pytest.raises(StorageUnavailable):
        here.manager.delete_all("ann")
    here.faults.disarm()
    fresh = there.manager.update(tokens.refresh_token)
    for node in (here, there):
        assert not node.revocations.is_revoked(fresh.session_id, 1)
        assert node.revocations.is_revoked(fresh.session_id, 0)


def test_after_a_failover_rolled_a_deletion_back_the_tokens_issued_before_stay_refused(
    make: Make, clock: FakeClock
) -> None:
    for at_once in (False, True):
        pair = Pair(make, clock, at_once)
        record = pair.kept.read(pair.tokens.session_id, clock.now)
        assert record is not None
        assert pair.here.manager.delete_one("ann", pair.tokens.session_id) is True
        pair.kept.insert(record, None, clock.now)
        assert pair.accept(pair.tokens) == [False, False]
        fresh = pair.there.manager.update(pair.tokens.refresh_token)
        assert pair.accept(pair.tokens) == [False, False]
        assert pair.accept(fresh) == [True, True]


def test_a_session_that_was_ended_while_the_storage_did_not_know_it_is_not_refreshed_afterwards(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, False)
    record = pair.kept.read(pair.tokens.session_id, clock.now)
    assert record is not None
    pair.kept.delete([record], clock.now)
    assert pair.here.manager.delete_one("ann", pair.tokens.session_id) is False
    pair.kept.insert(record, None, clock.now)
    for node in pair.nodes:
        with pytest.raises(SessionNotFound, match="no session is open under this refresh token"):
            node.manager.update(pair.tokens.refresh_token)
    assert pair.kept.read(pair.tokens.session_id, clock.now) == record
    assert pair.accept(pair.tokens) == [False, False]


# Cut off: the session cannot even be looked up.


def restrict_what_was_read(manager: Any, tokens: SessionTokens) -> None:
    manager.restrict_one(manager.read(tokens.access_token))


def delete_by_refresh_token(manager: Any, tokens: SessionTokens) -> bool:
    return bool(manager.delete_one("ann", tokens.refresh_token))


def end_by_refresh_token(manager: Any, tokens: SessionTokens) -> bool:
    return manager.end(tokens.refresh_token) is not None


SHOWING: dict[str, Call] = {
    "restrict_one, what read returned": restrict_what_was_read,
    "delete_one, a refresh token": delete_by_refresh_token,
    "end": end_by_refresh_token,
}


@pytest.mark.parametrize("call", SHOWING)
def test_whoever_shows_whose_session_it_is_logs_out_here_though_nothing_can_be_asked(
    make: Make, clock: FakeClock, call: str
) -> None:
    pair = Pair(make, clock, False)
    fresh = pair.here.manager.update(pair.tokens.refresh_token)
    other = pair.here.manager.create(subject="ann")
    for tokens in (pair.tokens, fresh, other):
        assert pair.accept(tokens) == [True, True]
    pair.tokens = fresh
    pair.fail(SHOWING[call], 0, "before")
    assert pair.accept(pair.tokens) == pair.accept(fresh) == [False, True]
    assert pair.accept(other) == [True, True]
    anew = pair.here.manager.update(fresh.refresh_token)
    assert pair.accept(anew) == [True, True]
    assert pair.accept(fresh) == [False, False]


@pytest.mark.parametrize("call", SHOWING)
def test_a_logout_that_holds_here_alone_can_be_made_again_as_often_as_it_takes(
    make: Make, clock: FakeClock, call: str
) -> None:
    pair = Pair(make, clock, False)
    claims = pair.here.manager.read(pair.tokens.access_token)
    again = {
        "restrict_one, what read returned": lambda manager, tokens: manager.restrict_one(claims),
        "delete_one, a refresh token": delete_by_refresh_token,
        "end": end_by_refresh_token,
    }[call]
    for number in (0, 0, 1, 0):
        pair.fail(again, number, "before")
        assert not pair.here.accepts(pair.tokens.access_token)
    again(pair.here.manager, pair.tokens)
    assert pair.accept(pair.tokens) == [False, False]
    if pair.lives():
        fresh = pair.there.manager.update(pair.tokens.refresh_token)
        assert pair.accept(fresh) == [True, True]


@pytest.mark.parametrize("call", SHOWING)
def test_a_restriction_makes_good_whatever_was_refused_here_alone(
    make: Make, clock: FakeClock, call: str
) -> None:
    pair = Pair(make, clock, False)
    pair.fail(SHOWING[call], 0, "before")
    pair.here.manager.restrict_all("ann")
    assert pair.accept(pair.tokens) == [False, False]
    assert pair.accept(pair.there.manager.update(pair.tokens.refresh_token)) == [True, True]


@pytest.mark.parametrize("call", SHOWING)
def test_a_logout_that_holds_here_alone_does_so_for_as_long_as_a_token_can_live(
    make: Make, clock: FakeClock, call: str
) -> None:
    pair = Pair(make, clock, False)
    fresh = pair.here.manager.update(pair.tokens.refresh_token, access_ttl=5000)
    pair.tokens = fresh
    pair.fail(SHOWING[call], 0, "before")
    clock.advance(4999)
    assert not pair.here.accepts(fresh.access_token)
    clock.advance(5000)
    assert pair.here.revocations.stats().entries == 0


def test_a_call_that_was_given_up_waiting_for_the_storage_holds_here_where_it_shows_the_claims(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, False)
    claims = pair.here.manager.read(pair.tokens.access_token)
    storage = pair.here.storage
    accepted_meanwhile: list[bool] = []
    storage.before_read = lambda: accepted_meanwhile.append(
        pair.here.accepts(pair.tokens.access_token)
    )
    pair.here.manager.restrict_one(claims)
    assert accepted_meanwhile == [False]


def test_claims_that_nobody_verified_refuse_nothing_while_the_storage_cannot_be_asked(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, False)
    claims = pair.here.manager.read(pair.tokens.access_token).to_dict()
    for shown in (claims, {**claims, "sub": "bob"}):
        pair.fail(lambda manager, tokens, shown=shown: manager.restrict_one(shown), 0, "before")
        assert pair.accept(pair.tokens) == [True, True]


@pytest.mark.parametrize("oddity", [{"gen": "1"}, {"gen": -1}, {"gen": True}])
def test_claims_made_by_hand_that_are_no_tokens_refuse_nothing_beforehand(
    make: Make, clock: FakeClock, oddity: dict[str, Any]
) -> None:
    pair = Pair(make, clock, False)
    claims = Claims({**pair.here.manager.read(pair.tokens.access_token), **oddity})
    pair.fail(lambda manager, tokens: manager.restrict_one(claims), 0, "before")
    assert pair.accept(pair.tokens) == [True, True]


@pytest.mark.parametrize("call", CALLS)
def test_whoever_shows_nothing_logs_nobody_out_while_the_storage_cannot_be_asked(
    make: Make, clock: FakeClock, call: str
) -> None:
    pair = Pair(make, clock, False)
    pair.fail(CALLS[call], 0, "before")
    assert pair.accept(pair.tokens) == [True, True]
    CALLS[call](pair.here.manager, pair.tokens)
    assert pair.accept(pair.tokens) == [False, False]


def test_a_forged_refresh_token_does_no_harm_while_the_storage_answers(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, False)
    stranger = pair.here.manager.create(subject="eve")
    forged = pair.tokens.session_id + stranger.refresh_token[16:]
    assert pair.here.manager.delete_one("eve", forged) is False
    assert pair.here.manager.end(forged) is None
    assert pair.accept(pair.tokens) == [True, True]
    assert len(pair.here.revocations) == 0


def test_a_forged_refresh_token_shown_during_an_outage_costs_its_session_one_refresh_at_most(
    make: Make, clock: FakeClock
) -> None:
    pair = Pair(make, clock, False)
    forged = pair.tokens.session_id + pair.here.manager.create(subject="eve").refresh_token[16:]
    for _ in range(3):
        pair.fail(lambda manager, tokens: manager.delete_one("eve", forged), 0, "before")
        pair.fail(lambda manager, tokens: manager.end(forged), 0, "before")
    pair.here.manager.delete_all("eve")
    assert pair.there.accepts(pair.tokens.access_token), "what is forged is told to nobody"
    fresh = pair.here.manager.update(pair.tokens.refresh_token)
    assert pair.accept(fresh) == [True, True]


def test_refresh_tokens_made_up_during_an_outage_take_no_memory_without_end(
    make: Make, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revoking, "_MOST_UNREAD", 5)
    pair = Pair(make, clock, False)
    entries = pair.here.revocations.stats
    for _ in range(5):
        pair.fail(lambda manager, tokens: manager.end(new_refresh_token(24).to_text()), 0, "before")
    assert entries().entries == 5
    forged = new_refresh_token(24).to_text()
    for call in (
        lambda manager, tokens: manager.end(forged),
        lambda manager, tokens: manager.delete_one("eve", forged),
    ):
        pair.fail(call, 0, "before")
        assert entries().entries == 5
    clock.advance(1_000)
    pair.fail(lambda manager, tokens: manager.end(forged), 0, "before")
    assert not pair.here.revocations.is_revoked(new_refresh_token(24).session_id)
    assert pair.here.revocations.is_revoked(forged[:16])


# Whatever is done in whatever order, and wherever it fails.


class HalfDone(RuleBasedStateMachine):
    """A token is never accepted after an acknowledged logout, nor refused without any.

    After one that failed, the call made again, or the owner's refresh where it failed, brings all
    nodes to agree.
    """

    at_once = False
    sessions = Bundle("sessions")

    @initialize()
    def begin(self) -> None:
        self.clock = FakeClock(1_700_000_000.25)
        kept, log = MemoryStorage(), Log()
        self.kept = kept

        def make(**options: Any) -> SessionManager:
            return SessionManager(SECRET, issuer="i", audience="a", **options)

        self.nodes = [Node(make, kept, log, self.clock, at_once=self.at_once) for _ in range(2)]
        self.every: list[Login] = []

    @rule(target=sessions, at=st.integers(0, 1), subject=st.sampled_from(["ann", "bob"]))
    def create(self, at: int, subject: str) -> Login:
        manager = self.nodes[at].manager
        tokens = manager.create(subject=subject)
        login = Login(subject, tokens, manager.read(tokens.access_token))
        self.every.append(login)
        return login

    @rule(
        login=sessions,
        at=st.integers(0, 1),
        name=st.sampled_from([*ENDING, "delete_one, a refresh token"]),
        fails_at=st.one_of(st.none(), st.integers(0, 3)),
        when=st.sampled_from(["before", "after"]),
    )
    def end(self, login: Login, at: int, name: str, fails_at: int | None, when: Any) -> None:
        touched = [
            other
            for other in self.every
            if other is login or (name.endswith("all") and other.subject == login.subject)
        ]
        node = self.nodes[at]
        if fails_at is not None:
            node.faults.arm(fails_at, when)
        try:
            login.call(name, node.manager)
        except StorageUnavailable:
            for other in touched:
                other.good.clear()
                other.failed_at.add(at)
        else:
            for other in touched:
                other.end_all(lives=name.startswith("restrict"), at=at)
        finally:
            node.faults.disarm()

    @rule(
        login=sessions,
        at=st.integers(0, 1),
        fails_at=st.one_of(st.none(), st.integers(0, 2)),
        when=st.sampled_from(["before", "after"]),
    )
    def update(self, login: Login, at: int, fails_at: int | None, when: Any) -> None:
        self.refresh(login, at, fails_at, when)

    @rule(login=sessions)
    def update_wherever_a_call_failed(self, login: Login) -> None:
        for at in sorted(login.failed_at):
            self.refresh(login, at)
        assert not login.failed_at

    def refresh(
        self, login: Login, at: int, fails_at: int | None = None, when: Any = "before"
    ) -> None:
        node = self.nodes[at]
        if fails_at is not None:
            node.faults.arm(fails_at, when)
        try:
            tokens = node.manager.update(login.refresh_token)
        except StorageUnavailable:
            pass
        except SessionNotFound:
            assert self.kept.read(login.session_id, self.clock.now) is None
            login.end_all(lives=False, at=at)
        else:
            assert login.lives
            assert node.accepts(tokens.access_token)
            login.failed_at.discard(at)
            login.hold(tokens, node.manager.read(tokens.access_token))
        finally:
            node.faults.disarm()

    @invariant()
    def every_node_accepts_what_is_good_and_refuses_what_has_ended(self) -> None:
        for login in getattr(self, "every", ()):
            for node in self.nodes:
                assert all(node.accepts(token) for token in login.good)
                assert not any(node.accepts(token) for token in login.ended)

    @invariant()
    def nodes_agree_on_what_is_settled(self) -> None:
        for login in getattr(self, "every", ()):
            if not login.failed_at:
                for token in login.issued:
                    assert len({node.accepts(token) for node in self.nodes}) == 1


class Login:
    """What its owner holds of a session, and what is known to have become of it."""

    def __init__(self, subject: str, tokens: SessionTokens, claims: Any) -> None:
        self.subject = subject
        self.session_id = tokens.session_id
        self.lives = True
        self.issued: list[str] = []
        self.good: list[str] = []  # must be accepted everywhere
        self.ended: list[str] = []  # must be refused everywhere
        self.failed_at: set[int] = set()  # the nodes where a call failed and was not made good
        self.hold(tokens, claims)

    def hold(self, tokens: SessionTokens, claims: Any) -> None:
        """Take over what a login or a refresh has brought."""
        self.refresh_token = tokens.refresh_token
        self.claims = claims
        self.issued.append(tokens.access_token)
        if not self.failed_at:
            self.good.append(tokens.access_token)

    def end_all(self, *, lives: bool, at: int) -> None:
        """Take note that all tokens issued so far are refused, as was acknowledged by a node."""
        self.ended += [token for token in self.issued if token not in self.ended]
        self.good.clear()
        self.failed_at.discard(at)
        if not lives:
            self.lives = False
            self.failed_at.clear()

    def call(self, name: str, manager: SessionManager) -> None:
        """Make the call that ends this session, or restricts it."""
        if name == "delete_one":
            manager.delete_one(self.subject, self.session_id)
        elif name == "delete_one, a refresh token":
            manager.delete_one(self.subject, self.refresh_token)
        elif name == "end":
            manager.end(self.refresh_token)
        elif name == "delete_all":
            manager.delete_all(self.subject)
        elif name == "restrict_one":
            manager.restrict_one(self.claims)
        else:
            manager.restrict_all(self.subject)


class HalfDoneAtOnce(HalfDone):
    at_once = True


TestHalfDone = HalfDone.TestCase
TestHalfDoneAtOnce = HalfDoneAtOnce.TestCase
TestHalfDone.settings = TestHalfDoneAtOnce.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None
)
