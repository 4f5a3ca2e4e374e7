"""The guarantees hold between two nodes whose clocks are five minutes apart, either way.

Each has a manager, a list and a feed that go by its own clock. The server's clock is real.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest

from tests.processes.support import Service, refuses
from tests.servers import Node, empty, needs_server
from tests.support import FakeClock
from tokenwheel import InvalidAccessToken, SessionNotFound, TooManySessions

NOW = 1_700_000_000.25
APART = 300  # seconds
TTL = 900  # of an access token
HOSTILE = ["ann", "ann ", "Ann", "ann:*", "*", "a?n", "[a]nn", "{ann}", "änn", "an\u0308n", "😀"]

pytestmark = needs_server


class Pair:
    """Two nodes, ``here`` and ``there``, called ``slow`` and ``fast`` after their clocks."""

    def __init__(self, service: Service, apart: int) -> None:
        self._service = service
        self._now = FakeClock(NOW)
        self._apart = apart
        self.here, self.there = self.both = [self.join(0), self.join(apart)]
        self.slow, self.fast = self.both if apart > 0 else self.both[::-1]

    def join(self, ahead: int, **options: Any) -> Any:
        return self._service.join(
            clock=lambda: self._now() + ahead, leeway=APART, access_ttl=TTL, **options
        )

    def join_both(self, **options: Any) -> list[Any]:
        """Return two more nodes, whose clocks are as far apart."""
        return [self.join(0, **options), self.join(self._apart, **options)]

    def set(self, passed: float) -> None:
        self._now.now = NOW + passed

    def are_refused(self, *tokens: str) -> bool:
        """Check that both nodes refuse the tokens, once they have heard of each other's doings."""
        what = "that both have heard"
        return all(
            self._service.wait_until(lambda: refuses(node, token), what)
            for node in self.both
            for token in tokens
        )


@pytest.fixture
def service(library: Any, server: Node) -> Iterator[Service]:
    empty(server)
    with Service(lambda: library.Redis(port=server.port)) as service:
        yield service


@pytest.fixture(params=[APART, -APART], ids=["ahead", "behind"])
def pair(request: pytest.FixtureRequest, service: Service) -> Pair:
    return Pair(service, request.param)


class Way(NamedTuple):
    """A way of refusing all tokens of Ann's only session."""

    call: Callable[[Any, str], Any]
    ends: bool


WAYS = {
    "delete_one": Way(lambda node, session_id: node.delete_one("ann", session_id), True),
    "delete_all": Way(lambda node, _: node.delete_all("ann"), True),
    "restrict_one": Way(
        lambda node, session_id: node.restrict_one({"sub": "ann", "sid": session_id}), False
    ),
    "restrict_all": Way(lambda node, _: node.restrict_all("ann"), False),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Way:
    return WAYS[request.param]


def test_guarantees_1_and_2_what_was_issued_before_is_refused_and_what_comes_right_after_is_good(
    pair: Pair, way: Way
) -> None:
    here, there = pair.both
    for opens, acts, goes_on in ((here, there, here), (there, here, there), (here, here, there)):
        first = opens.create(subject="ann")
        second = acts.update(first.refresh_token)
        for node in pair.both:
            assert {node.read(tokens.access_token)["sid"] for tokens in (first, second)} == {
                first.session_id
            }
        way.call(acts, first.session_id)
        after = goes_on.create(subject="ann") if way.ends else goes_on.update(second.refresh_token)
        for node in pair.both:
            assert node.read(after.access_token)["sid"] == after.session_id
        assert pair.are_refused(first.access_token, second.access_token)
        if way.ends:
            with pytest.raises(SessionNotFound, match="no session is open"):
                opens.update(second.refresh_token)
        goes_on.delete_all("ann")
        assert pair.are_refused(after.access_token)


def test_guarantee_3_a_revocation_lives_until_no_clock_can_find_the_token_unexpired(
    pair: Pair, way: Way
) -> None:
    tokens = [node.create(subject="ann") for node in pair.both]
    for opened, node in zip(tokens, pair.both[::-1], strict=True):
        way.call(node, opened.session_id)
    texts = [opened.access_token for opened in tokens]
    assert pair.are_refused(*texts)
    # The ends of either token by either clock, with leeway and without.
    ends = [TTL + place * APART for place in range(-1, 4)]
    for passed in sorted({0, *(end + around for end in ends for around in (-1, -0.25, 0, 1))}):
        pair.set(passed)
        for node in (*pair.both, *pair.join_both()):
            assert not any(is_accepted(node, text) for text in texts)
    assert [error_of(node, text).code for node in pair.both for text in texts] == [
        "access_token_expired"
    ] * 4


def test_guarantee_6_no_subject_is_taken_for_another(pair: Pair) -> None:
    opened = {
        subject: pair.both[turn % 2].create(subject=subject) for turn, subject in enumerate(HOSTILE)
    }
    for turn, subject in enumerate(HOSTILE):
        assert pair.both[turn % 2].delete_all(subject) == 1
        ended = opened.pop(subject)
        assert pair.are_refused(ended.access_token)
        for node in pair.both:
            assert not any(refuses(node, tokens.access_token) for tokens in opened.values())
            assert {other: set(node.read_all(other)) for other in HOSTILE} == {
                other: {opened[other].session_id} if other in opened else set() for other in HOSTILE
            }


def test_a_session_that_is_over_by_one_clock_is_found_and_ended_for_the_other(
    pair: Pair, way: Way
) -> None:
    short = pair.slow.create(subject="ann", refresh_ttl=100)
    assert pair.fast.read_all("ann") == {}
    assert pair.slow.read_all("ann").keys() == {short.session_id}
    way.call(pair.fast, short.session_id)
    assert pair.are_refused(short.access_token)
    if way.ends:
        assert pair.slow.read_all("ann") == {}
        with pytest.raises(SessionNotFound, match="no session is open"):
            pair.slow.update(short.refresh_token)
    else:
        assert (
            pair.slow.read(pair.slow.update(short.refresh_token).access_token)["sid"]
            == short.session_id
        )


def test_a_refresh_that_is_retried_on_the_other_node_gets_the_very_same_successor(
    pair: Pair,
) -> None:
    for first, second in (pair.both, pair.both[::-1]):
        opened = first.create(subject="ann")
        refreshed = first.update(opened.refresh_token)
        retried = second.update(opened.refresh_token)
        assert retried.refresh_token == refreshed.refresh_token
        assert second.read(retried.access_token)["sid"] == opened.session_id
        assert first.update(retried.refresh_token).session_id == opened.session_id


def test_max_sessions_holds_between_the_two(pair: Pair) -> None:
    first, second = pair.join_both(max_sessions=3)
    for node in (first, second, first):
        node.create(subject="ann")
    for node in (first, second):
        with pytest.raises(TooManySessions):
            node.create(subject="ann")
    evicting = pair.join_both(max_sessions=3, when_full="evict_oldest")
    for turn in range(6):
        opened = evicting[turn % 2].create(subject="ann")
        for node in evicting:
            assert len(node.read_all("ann")) == 3
        assert evicting[0].read(opened.access_token)["sid"] == opened.session_id


def is_accepted(node: Any, token: str) -> bool:
    return error_of(node, token) is None


def error_of(node: Any, token: str) -> Any:
    try:
        node.read(token)
    except InvalidAccessToken as error:
        return error
    return None
