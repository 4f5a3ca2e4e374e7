"""The judge finds each breach in a journal that shows it, and excuses what may be.

Each journal is made by hand, a second from one call to the next.
"""

from __future__ import annotations

from typing import Any

import pytest

from .journal import OK, Birth, Call, Event, Records
from .judge import BOUND, HEALING, Judge
from .report import describe

SUBJECT, SESSION = "subject 1", "A" * 16


class Story:
    """A journal as it is made up, call by call."""

    def __init__(self, feed: str = "sqlite") -> None:
        self._feed = feed
        self.now = 100.0
        self.calls: list[Call] = []
        self.births = {
            name: Birth(name, "spawn", 0.0, refuses)
            for name, refuses in (("a", True), ("b", True), ("c", False))
        }
        self.events: list[Event] = []

    def call(self, method: str, outcome: str = OK, node: str = "a", **about: Any) -> Call:
        self.now += 1
        call = Call(
            node,
            len(self.calls),
            method,
            self.now,
            SUBJECT,
            **{
                "session_id": "" if method.endswith("_all") or method == "read" else SESSION,
                "ended": self.now + 0.5,
                "outcome": outcome,
                **about,
            },
        )
        self.calls.append(call)
        return call

    def create(self) -> None:
        self.call("create", access_token="T1", refresh_token="R1")

    def update(self, presented: str, number: int, **about: Any) -> None:
        self.call(
            "update",
            presented=presented,
            access_token=f"T{number}",
            refresh_token=f"R{number}",
            **about,
        )

    def read(self, outcome: str = OK, node: str = "b", token: str = "T1", **about: Any) -> None:
        self.call("read", outcome, node, presented=token, **about)

    def befall(self, kind: str, about: str = "", lasts: float = 0.5) -> None:
        self.now += 1
        self.events.append(Event(kind, self.now, self.now + lasts, about))

    def breaches(self) -> list[str]:
        records = Records.of(self.calls, self.births, self.events)
        breaches = Judge(records, self._feed).breaches()
        assert all(breach.what in describe(breach, records) for breach in breaches)
        return [breach.guarantee for breach in breaches]


LOGOUTS = ["delete_one", "restrict_one", "delete_all", "restrict_all"]


@pytest.mark.parametrize("method", LOGOUTS)
def test_a_token_that_is_accepted_after_a_logout_is_found(method: str) -> None:
    story = Story()
    story.create()
    story.read()
    story.call(method)
    story.read("AccessTokenRevoked")
    assert story.breaches() == []
    story.read()
    assert story.breaches() == ["revoked"]


@pytest.mark.parametrize("method", LOGOUTS)
def test_a_logout_without_an_answer_excuses_both(method: str) -> None:
    for outcome, ended in (("", None), ("StorageUnavailable", 110.0)):
        story = Story()
        story.create()
        story.call(method, outcome, ended=ended)
        story.read()
        story.read("AccessTokenRevoked")
        assert story.breaches() == []


def test_a_read_that_began_before_the_answer_may_accept() -> None:
    story = Story()
    story.create()
    story.call("delete_one", ended=103.0)
    story.read()  # from 103.0
    assert story.breaches() == []


def test_a_session_taken_down_for_a_stolen_refresh_token_is_ended() -> None:
    story = Story()
    story.create()
    story.update("R1", 2)
    story.update("R2", 3)
    story.call("update", "RefreshTokenReused", presented="R1")
    story.read()
    assert story.breaches() == ["revoked"]


def test_over_a_server_others_hear_within_the_bound_and_the_node_itself_at_once() -> None:
    story = Story("redis")
    story.create()
    story.call("delete_one")
    story.read()
    assert story.breaches() == []
    story.read(node="a")
    assert story.breaches() == ["revoked"]
    story.now += BOUND
    story.read()
    assert story.breaches() == ["revoked", "revoked"]


def test_a_logout_everywhere_did_not_find_what_another_node_had_just_ended() -> None:
    story = Story("redis")
    story.create()
    story.call("delete_one", node="b")
    story.call("delete_all")
    story.read(node="a")
    assert story.breaches() == []
    story.now += BOUND
    story.read(node="a")
    assert story.breaches() == ["revoked"]


def test_a_node_that_may_be_stale_is_excused_while_it_is_cut_off() -> None:
    story = Story("redis")
    story.create()
    story.call("delete_one")
    story.befall("network", lasts=20.0)
    story.now += 15
    story.read(node="c")
    assert story.breaches() == []
    story.read(node="b")  # refuses what it cannot know
    assert story.breaches() == ["revoked"]
    story.now += 5 + HEALING
    story.read(node="c")
    assert story.breaches() == ["revoked", "revoked"]


@pytest.mark.parametrize(
    "outcome", ["AccessTokenRevoked", "AccessTokenExpired", "AccessTokenNotYetValid"]
)
def test_a_token_that_is_refused_without_a_reason_is_found(outcome: str) -> None:
    story = Story()
    story.create()
    story.read(outcome)
    assert story.breaches() == ["refused"]


def test_a_token_that_is_refused_because_of_a_clock_is_excused() -> None:
    story = Story()
    story.call("create", access_token="T1", refresh_token="R1", ahead=600)
    story.read("AccessTokenNotYetValid")
    story.read("AccessTokenExpired", ahead=1200)
    assert story.breaches() == []


@pytest.mark.parametrize("method", ["restrict_one", "restrict_all"])
def test_a_token_refreshed_after_a_restriction_must_be_good(method: str) -> None:
    story = Story()
    story.create()
    story.call(method)
    story.update("R1", 2)
    story.read(token="T2")
    assert story.breaches() == []
    story.read("AccessTokenRevoked", token="T2")
    assert story.breaches() == ["refused"]


def test_a_session_created_after_a_logout_everywhere_must_be_good() -> None:
    story = Story()
    story.call("delete_all")
    story.create()
    story.read()
    assert story.breaches() == []
    story.read("AccessTokenRevoked")
    assert story.breaches() == ["refused"]


def test_a_session_that_is_lost_is_found() -> None:
    story = Story()
    story.create()
    story.call("update", "SessionNotFound", presented="R1")
    story.call("read_all", answer="")
    story.call("delete_one", answer="False")
    assert story.breaches() == ["lost", "lost", "lost"]


def test_a_session_that_was_ended_may_not_be_found_and_must_not_be() -> None:
    story = Story()
    story.create()
    story.call("read_all", answer=SESSION)
    story.call("delete_one", answer="True")
    story.call("update", "SessionNotFound", presented="R1")
    story.call("read_all", answer="")
    assert story.breaches() == []
    story.call("read_all", answer=SESSION)
    story.update("R1", 2)
    assert story.breaches() == ["ended", "ended"]


def test_a_refresh_token_with_two_successors_is_found() -> None:
    story = Story()
    story.create()
    story.update("R1", 2)
    story.call("update", presented="R1", access_token="T3", refresh_token="R2")
    assert story.breaches() == []
    story.update("R1", 4)
    assert story.breaches() == ["rotation"]


def test_a_retry_within_the_grace_that_is_taken_for_theft_is_found() -> None:
    story = Story()
    story.create()
    story.update("R1", 2)
    story.call("update", "RefreshTokenReused", presented="R1")
    assert story.breaches() == ["rotation"]


def test_a_refresh_token_that_comes_back_after_its_grace_is_taken_for_theft() -> None:
    story = Story()
    story.create()
    story.update("R1", 2)
    story.now += 10
    story.call("update", "RefreshTokenReused", presented="R1")
    assert story.breaches() == []


@pytest.mark.parametrize("method", ["create", "read", "update", *LOGOUTS])
def test_an_undocumented_error_is_found(method: str) -> None:
    story = Story()
    story.call(method, "KeyError: 'x'")
    assert story.breaches() == ["error"]


def test_a_restored_file_may_hold_ended_sessions_but_running_nodes_know_better() -> None:
    story = Story()
    story.create()
    backed_up_at = story.now + 0.6
    story.call("delete_one")
    story.now += 5
    story.befall("restore", str(backed_up_at))
    story.call("read_all", answer=SESSION)
    story.births["new"] = Birth("new", "spawn", story.now + 0.5, True)
    story.read(node="new")
    assert story.breaches() == []
    story.read(node="b")
    assert story.breaches() == ["revoked"]
    story.call("delete_one")
    story.read(node="new")
    assert story.breaches() == ["revoked", "revoked"]


def test_an_emptied_server_is_told_again_what_its_nodes_know() -> None:
    story = Story("redis")
    story.create()
    story.call("delete_one")
    story.now += BOUND
    story.befall("flush")
    story.births["new"] = Birth("new", "spawn", story.now + 0.5, True)
    story.read(node="new")
    story.call("update", "SessionNotFound", presented="R1")
    assert story.breaches() == []
    story.now += HEALING
    story.read(node="new")
    assert story.breaches() == ["revoked"]
