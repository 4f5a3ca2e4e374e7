"""The order of steps, with no storage and no loop.

Shown is what a flow asks for, and what is left when any one step fails.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from tests.support import SECRET, FakeClock
from tokenwheel import (
    AccessTokenRevoked,
    ContextMismatch,
    InvalidAccessToken,
    InvalidArgument,
    Key,
    KeySet,
    MemoryStorage,
    RefreshTokenReused,
    RevocationList,
    SessionNotFound,
    SessionTokens,
    StorageUnavailable,
)
from tokenwheel.driver import drive
from tokenwheel.events import Listeners, SessionEvent
from tokenwheel.jwt import AccessTokens
from tokenwheel.session.flow import SessionFlow
from tokenwheel.session.options import check_lifecycle
from tokenwheel.session.revoking import Flow
from tokenwheel.session.seal import Seal
from tokenwheel.session.steps import (
    AskClaims,
    AskHook,
    Collaborators,
    Delete,
    Insert,
    Notify,
    Publisher,
    Read,
    ReadAll,
    Replace,
    Revoke,
    RevokeAndDelete,
    RevokeAndReplace,
    Step,
)


class NoFeed:
    """A feed that nobody listens to."""

    def start(self, apply: Any) -> None: ...

    def publish(self, revocations: Any) -> None: ...

    def poll(self) -> None: ...

    def close(self) -> None: ...


class PublishingMemory:
    """A storage in memory that tells a revocation list in the same step as it changes a session."""

    def __init__(self, storage: MemoryStorage, revocations: RevocationList) -> None:
        self._storage = storage
        self._revocations = revocations

    def publishes_to(self, feed: Any) -> bool:
        return True

    def replace(self, record: Any, now: float, feed: Any, revocations: Any) -> bool:
        self._revocations.publish(revocations, now)
        return self._storage.replace(record, now)

    def delete(self, records: Any, now: float, feed: Any, revocations: Any) -> Any:
        self._revocations.publish(revocations, now)
        return self._storage.delete(records, now)


class Bench:
    """A flow, and a driver that writes down each step and can fail or interfere at any of them."""

    def __init__(self, *, at_once: bool = False, **options: Any) -> None:
        self.clock = FakeClock(1_700_000_000.25)
        self.storage = MemoryStorage()
        self.revocations = RevocationList(clock=self.clock)
        self.listeners = Listeners()
        self.steps: list[type] = []
        self.before: Callable[[int, type], None] = lambda number, kind: None
        self.after: Callable[[int, type], None] = lambda number, kind: None
        lifecycle = check_lifecycle(
            **{
                "access_ttl": 900, "refresh_ttl": 10_000, "idle_ttl": None, "leeway": 0,
                "refresh_token_length": 24, "rotate_refresh_tokens": True, "reuse_grace": 10,
                "max_sessions": None, "when_full": "reject", **options,
            }
        )  # fmt: skip
        self.tokens = AccessTokens(
            KeySet(Key.from_secret(SECRET)),
            issuer="i",
            audience="a",
            accept_audience=("a",),
            leeway=0,
            largest_leeway=60,
            cache_size=16,
            clock=self.clock,
            revocations=self.revocations,
        )
        publisher = Publisher(PublishingMemory(self.storage, self.revocations), NoFeed())
        self.flow = SessionFlow(
            lifecycle,
            self.tokens,
            self.listeners,
            self.clock,
            seal=Seal("issuer"),
            publisher=publisher if at_once else None,
        )
        self.collaborators = Collaborators(
            storage=self.storage,
            revocations=self.revocations,
            publish=self.revocations.publish,
            hook=lambda session, context: None,
            notify=lambda event: None,
        )
        self.answers: dict[type, Callable[[Any], Any]] = {}

    def run(self, flow: Flow[Any]) -> Any:
        self.steps = []
        return drive(flow, self.carry_out)

    def carry_out(self, step: Step[Any]) -> Any:
        kind, number = type(step), len(self.steps)
        self.steps.append(kind)
        self.before(number, kind)
        answer = self.answers.get(kind, lambda step: step.carry_out(self.collaborators))(step)
        self.after(number, kind)
        return answer

    def create(self, subject: str = "uid1") -> SessionTokens:
        tokens: SessionTokens = self.run(self.flow.create(None, subject, None, None, None))
        return tokens

    def update(self, refresh_token: str, claims: Any = None) -> SessionTokens:
        tokens: SessionTokens = self.run(self.flow.update(refresh_token, claims, None, None, None))
        return tokens

    def accepts(self, tokens: SessionTokens) -> bool:
        try:
            self.tokens.verifier.verify(tokens.access_token)
        except InvalidAccessToken:
            return False
        return True

    def knows(self, tokens: SessionTokens) -> bool:
        return self.storage.read(tokens.session_id, self.clock.now) is not None


class Failure(Exception):
    pass


def fail_at(step: int) -> Callable[[int, type], None]:
    def before_or_after(number: int, kind: type) -> None:
        if number == step:
            raise Failure

    return before_or_after


def calm(number: int, kind: type) -> None:
    pass


def test_each_call_asks_in_the_order_that_keeps_a_crash_harmless() -> None:
    bench = Bench()
    for event in SessionEvent:
        bench.listeners.add(event, print)
    tokens = bench.create()
    assert bench.steps == [Insert, Notify]
    tokens = bench.update(tokens.refresh_token)
    assert bench.steps == [Read, AskHook, Replace, Notify]
    tokens = bench.update(tokens.refresh_token, lambda session: {})
    assert bench.steps == [Read, AskHook, AskClaims, Replace, Notify]
    bench.run(bench.flow.restrict_one({"sub": "uid1", "sid": tokens.session_id}))
    assert bench.steps == [Read, Revoke, Replace]
    bench.run(bench.flow.delete_one("uid1", tokens.session_id))
    assert bench.steps == [Read, Revoke, Delete, Notify]
    bench.run(bench.flow.delete_one("uid1", tokens.session_id))
    assert bench.steps == [Read, Revoke]
    assert bench.run(bench.flow.end(bench.create().refresh_token)) is not None
    assert bench.steps == [Read, Revoke, Delete, Notify]
    assert bench.run(bench.flow.end(tokens.refresh_token)) is None
    assert bench.steps == [Read]
    assert bench.run(bench.flow.end(tokens.session_id)) is None
    assert bench.steps == []
    bench.create()
    bench.run(bench.flow.restrict_all("uid1"))
    assert bench.steps == [ReadAll, Revoke, Replace]
    bench.run(bench.flow.delete_all("uid1"))
    assert bench.steps == [ReadAll, Revoke, Delete, Notify]


def test_where_it_can_be_done_at_once_to_revoke_and_to_change_is_one_step() -> None:
    bench = Bench(at_once=True)
    for event in SessionEvent:
        bench.listeners.add(event, print)
    tokens = bench.create()
    bench.run(bench.flow.restrict_one({"sub": "uid1", "sid": tokens.session_id}))
    assert bench.steps == [Read, RevokeAndReplace]
    assert not bench.accepts(tokens)
    fresh = bench.update(tokens.refresh_token)
    assert bench.accepts(fresh)
    assert bench.run(bench.flow.delete_one("uid1", tokens.session_id)) is True
    assert bench.steps == [Read, RevokeAndDelete, Notify]
    assert not bench.accepts(fresh)
    bench.run(bench.flow.delete_one("uid1", tokens.session_id))
    assert bench.steps == [Read, Revoke]
    sessions = [bench.create() for _ in range(2)]
    bench.run(bench.flow.restrict_all("uid1"))
    assert bench.steps == [ReadAll, RevokeAndReplace, RevokeAndReplace]
    assert bench.run(bench.flow.delete_all("uid1")) == 2
    assert bench.steps == [ReadAll, RevokeAndDelete, Notify]
    assert not any(bench.accepts(tokens) or bench.knows(tokens) for tokens in sessions)


def test_an_event_nobody_hears_is_no_step() -> None:
    bench = Bench()
    tokens = bench.create()
    bench.update(tokens.refresh_token)
    assert bench.steps == [Read, AskHook, Replace]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", ["delete_one", "delete_all", "end"])
@pytest.mark.parametrize("step", range(3))
def test_a_deletion_that_fails_anywhere_leaves_no_token_of_a_gone_session_alive_and_can_be_repeated(
    when: str, call: str, step: int
) -> None:
    bench = Bench()
    sessions = [bench.create() for _ in range(2)]
    start = {
        "delete_one": lambda: bench.flow.delete_one("uid1", sessions[0].session_id),
        "delete_all": lambda: bench.flow.delete_all("uid1"),
        "end": lambda: bench.flow.end(sessions[0].refresh_token),
    }[call]
    setattr(bench, when, fail_at(step))
    with pytest.raises(StorageUnavailable) as caught:
        bench.run(start())
    assert isinstance(caught.value.__cause__, Failure)
    for tokens in sessions:
        assert bench.knows(tokens) or not bench.accepts(tokens)
    bench.before = bench.after = calm
    bench.run(start())
    ended = sessions if call == "delete_all" else sessions[:1]
    for tokens in ended:
        assert not bench.knows(tokens)
        assert not bench.accepts(tokens)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(3))
def test_a_restriction_that_fails_anywhere_can_be_repeated_and_the_next_refresh_is_good(
    when: str, step: int
) -> None:
    bench = Bench()
    tokens = bench.create()
    setattr(bench, when, fail_at(step))
    with pytest.raises(StorageUnavailable):
        bench.run(bench.flow.restrict_all("uid1"))
    bench.before = bench.after = calm
    bench.run(bench.flow.restrict_all("uid1"))
    assert not bench.accepts(tokens)
    assert bench.accepts(bench.update(tokens.refresh_token))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", range(3))
def test_a_refresh_that_fails_anywhere_can_be_repeated_with_the_same_token(
    when: str, step: int
) -> None:
    bench = Bench()
    tokens = bench.create()
    setattr(bench, when, fail_at(step))
    with pytest.raises((StorageUnavailable, ContextMismatch)):
        bench.update(tokens.refresh_token)
    bench.before = bench.after = calm
    assert bench.accepts(bench.update(tokens.refresh_token))


def test_a_login_that_fails_stores_nothing_or_a_session_nobody_holds() -> None:
    bench = Bench()
    bench.before = fail_at(0)
    with pytest.raises(StorageUnavailable):
        bench.create()
    assert bench.storage.read_all("uid1", bench.clock.now) == []


def test_an_eviction_that_fails_anywhere_leaves_nobody_with_a_live_token_of_an_ended_session() -> (
    None
):
    for when in ("before", "after"):
        for step in range(5):
            bench = Bench(max_sessions=1, when_full="evict_oldest")
            oldest = bench.create()
            setattr(bench, when, fail_at(step))
            with pytest.raises(StorageUnavailable):
                bench.create()
            assert bench.steps == [Insert, ReadAll, Revoke, Delete, Insert][: step + 1]
            assert bench.knows(oldest) or not bench.accepts(oldest)
            bench.before = bench.after = calm
            if when == "before" or step < 4:
                newest = bench.create()
                assert bench.accepts(newest)
                assert not bench.accepts(oldest)


def test_a_take_down_after_reuse_that_fails_is_completed_by_the_next_attempt() -> None:
    bench = Bench(reuse_grace=0)
    first = bench.create()
    second = bench.update(first.refresh_token)
    bench.before = fail_at(2)
    with pytest.raises(StorageUnavailable):
        bench.update(first.refresh_token)
    assert bench.steps == [Read, Revoke, Delete]
    assert not bench.accepts(second)
    bench.before = calm
    with pytest.raises(RefreshTokenReused):
        bench.update(first.refresh_token)
    assert not bench.knows(first)


def interfere(bench: Bench, at: type, act: Callable[[], Any]) -> None:
    """Lets another node act once, right before the first such step."""

    def before(number: int, kind: type) -> None:
        if kind is at:
            bench.before = calm
            steps = bench.steps
            act()
            bench.steps = steps

    bench.before = before


def test_a_refresh_that_loses_the_race_to_another_gets_the_same_successor() -> None:
    bench = Bench()
    tokens = bench.create()
    winners: list[SessionTokens] = []
    interfere(bench, Replace, lambda: winners.append(bench.update(tokens.refresh_token)))
    loser = bench.update(tokens.refresh_token)
    assert loser.refresh_token == winners[0].refresh_token
    assert bench.steps == [Read, AskHook, Replace, Read, Read, AskHook, Replace]
    assert bench.accepts(bench.update(loser.refresh_token))


def test_of_a_refresh_racing_a_deletion_no_token_survives() -> None:
    for end in (
        lambda bench, tokens: bench.flow.delete_one("uid1", tokens.session_id),
        lambda bench, tokens: bench.flow.end(tokens.refresh_token),
    ):
        bench = Bench()
        tokens = bench.create()
        interfere(
            bench,
            Replace,
            lambda bench=bench, tokens=tokens, end=end: bench.run(end(bench, tokens)),  # type: ignore[misc]
        )
        with pytest.raises(SessionNotFound):
            bench.update(tokens.refresh_token)
        assert not bench.accepts(tokens)


def test_an_end_racing_a_refresh_refuses_what_the_refresh_issued() -> None:
    bench = Bench()
    tokens = bench.create()
    issued: list[SessionTokens] = []
    interfere(bench, Delete, lambda: issued.append(bench.update(tokens.refresh_token)))
    ended = bench.run(bench.flow.end(tokens.refresh_token))
    assert bench.steps == [Read, Revoke, Delete, Read, Revoke, Delete]
    assert ended.id == tokens.session_id
    assert not bench.accepts(issued[0])
    assert not bench.knows(tokens)


@pytest.mark.parametrize("call", ["delete_all", "restrict_all"])
def test_a_session_to_keep_is_kept_though_it_changes_meanwhile(call: str) -> None:
    bench = Bench()
    own, other = (bench.create() for _ in range(2))
    issued: list[SessionTokens] = []
    step = Delete if call == "delete_all" else Replace
    interfere(bench, step, lambda: issued.append(bench.update(own.refresh_token)))
    bench.run(getattr(bench.flow, call)("uid1", own.session_id))
    assert bench.accepts(own)
    assert bench.accepts(issued[0])
    assert bench.accepts(bench.update(issued[0].refresh_token))
    assert not bench.accepts(other)


def test_the_claims_are_asked_for_once_though_another_refresh_was_faster() -> None:
    bench = Bench()
    tokens = bench.create()
    interfere(bench, Replace, lambda: bench.update(tokens.refresh_token))
    asked: list[Any] = []
    bench.update(tokens.refresh_token, asked.append)
    assert len(asked) == 1
    assert bench.steps == [Read, AskHook, AskClaims, Replace, Read, Read, AskHook, Replace]


@pytest.mark.parametrize("at", [AskClaims, Replace])
def test_the_claims_are_asked_for_again_where_the_session_was_restricted_meanwhile(
    at: type,
) -> None:
    bench = Bench()
    tokens = bench.create()
    interfere(bench, at, lambda: bench.run(bench.flow.restrict_all("uid1")))
    answers = iter([{"role": "admin"}, {"role": "user"}])
    fresh = bench.update(tokens.refresh_token, lambda session: next(answers))
    assert bench.tokens.verifier.verify(fresh.access_token)["role"] == "user"
    again = [Read, AskHook, AskClaims, Replace]
    assert bench.steps == [*again, Read, *again]


def test_a_deletion_revokes_for_as_long_as_a_token_issued_meanwhile_can_live() -> None:
    bench = Bench()
    tokens = bench.create()
    issued: list[SessionTokens] = []
    interfere(
        bench,
        Delete,
        lambda: issued.append(
            bench.run(bench.flow.update(tokens.refresh_token, None, None, None, 5000))
        ),
    )
    assert bench.run(bench.flow.delete_one("uid1", tokens.session_id)) is True
    assert bench.steps == [Read, Revoke, Delete, Read, Revoke, Delete]
    bench.clock.advance(4000)
    with pytest.raises(AccessTokenRevoked):
        bench.tokens.verifier.verify(issued[0].access_token)


def test_a_restriction_racing_a_refresh_refuses_what_the_refresh_issued() -> None:
    bench = Bench()
    tokens = bench.create()
    issued: list[SessionTokens] = []
    interfere(bench, Replace, lambda: issued.append(bench.update(tokens.refresh_token)))
    bench.run(bench.flow.restrict_all("uid1"))
    assert not bench.accepts(issued[0])
    assert bench.accepts(bench.update(issued[0].refresh_token))


def test_what_is_done_at_once_is_done_again_where_another_was_faster() -> None:
    bench = Bench(at_once=True)
    tokens = bench.create()
    issued: list[SessionTokens] = []
    interfere(bench, RevokeAndReplace, lambda: issued.append(bench.update(tokens.refresh_token)))
    bench.run(bench.flow.restrict_all("uid1"))
    assert bench.steps == [ReadAll, RevokeAndReplace, Read, RevokeAndReplace]
    assert not bench.accepts(issued[0])
    interfere(
        bench,
        RevokeAndDelete,
        lambda: issued.append(
            bench.run(bench.flow.update(issued[0].refresh_token, None, None, None, 5000))
        ),
    )
    assert bench.run(bench.flow.delete_one("uid1", tokens.session_id)) is True
    assert bench.steps == [Read, RevokeAndDelete, Read, RevokeAndDelete]
    bench.clock.advance(4000)
    with pytest.raises(AccessTokenRevoked):
        bench.tokens.verifier.verify(issued[1].access_token)


def test_a_session_deleted_by_another_meanwhile_counts_for_the_other() -> None:
    for call in (
        lambda bench, tokens: bench.flow.delete_one("uid1", tokens.session_id),
        lambda bench, tokens: bench.flow.delete_all("uid1"),
        lambda bench, tokens: bench.flow.end(tokens.refresh_token),
    ):
        bench = Bench()
        tokens = bench.create()
        answers: list[Any] = []
        interfere(
            bench,
            Delete,
            lambda bench=bench, tokens=tokens, answers=answers: answers.append(
                bench.run(call(bench, tokens))
            ),
        )  # type: ignore[misc]
        assert not bench.run(call(bench, tokens))
        assert answers[0]
        assert not bench.accepts(tokens)


def test_a_storage_that_refuses_for_no_reason_is_an_error_and_no_endless_loop() -> None:
    bench = Bench()
    tokens = bench.create()
    bench.answers[Replace] = lambda step: False
    bench.answers[Delete] = lambda step: []
    for flow in (
        bench.flow.update(tokens.refresh_token, None, None, None, None),
        bench.flow.restrict_all("uid1"),
        bench.flow.delete_all("uid1"),
        bench.flow.delete_one("uid1", tokens.session_id),
        bench.flow.end(tokens.refresh_token),
    ):
        with pytest.raises(StorageUnavailable, match="refused a change of a record that nobody"):
            bench.run(flow)


def test_the_version_of_a_record_counts_its_writes() -> None:
    bench = Bench()
    tokens = bench.create()
    for version in (1, 2, 3):
        record = bench.storage.read(tokens.session_id, bench.clock.now)
        assert record is not None
        assert record.version == version
        tokens = bench.update(tokens.refresh_token)


@pytest.mark.parametrize("kind", [Read, ReadAll, Insert, Replace, Delete, Revoke])
def test_what_the_storage_or_the_feed_finds_fault_with_is_not_the_callers_fault(kind: Any) -> None:
    bench = Bench()
    tokens = bench.create()

    def refuse(number: int, step: type) -> None:
        if step is kind:
            raise InvalidArgument("expires_at must be a number of seconds")

    bench.before = refuse
    for call in (
        lambda: bench.create("uid2"),
        lambda: bench.update(tokens.refresh_token),
        lambda: bench.run(bench.flow.delete_all("uid1")),
    ):
        with suppress(StorageUnavailable):
            call()
