"""How a node reads the stream, with no server.

What it asks, what it makes of each answer, and up to when it is sure to have missed nothing.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support import FakeClock
from tokenwheel import RedisFeed, Revocation
from tokenwheel.redis.stream_reader import StreamReader
from tokenwheel.revocation.heard import HeardRevocations
from tokenwheel.revocation.message import pack

ONE, TWO = "A" * 16, "B" * 16
FAR = 4_000_000_000.0  # Unix seconds


def entry(entry_id: bytes, *revocations: Revocation) -> list[Any]:
    return [entry_id, [b"r", b"".join(map(pack, revocations)), b"e", b"4000000000000"]]


class Node:
    """A reader and what it has heard. The test is its server."""

    def __init__(self) -> None:
        self.timer = FakeClock(100.0)
        self.reader = StreamReader("stream", FakeClock(1_700_000_000.0), self.timer)
        self.heard: list[Any] = []
        self.reader.begin(self.heard.extend)

    def staleness(self) -> float:
        return self.timer.now - self.reader.fresh_at


def test_the_first_look_asks_for_all_and_counts_as_of_when_it_was_asked() -> None:
    node = Node()
    talk = node.reader.catch_up()
    command = next(talk)
    assert (command[0], command[3], command[4]) == ("EVALSHA", "stream", b"-")
    node.timer.advance(2.0)  # for which the answer is on its way
    with pytest.raises(StopIteration):
        talk.send(
            [
                1,
                1,
                entry(b"5-0"),
                entry(b"5-0", Revocation(ONE, FAR, 7)),
                pack(Revocation(ONE, FAR, 7)),
            ]
        )
    assert node.heard == [(ONE, FAR, 7)]
    assert node.reader.last_id == "5-0"
    assert node.staleness() == 2.0


def test_an_answer_without_news_counts_as_of_when_the_server_had_waited() -> None:
    node = Node()
    talk = node.reader.follow(0.5)
    assert next(talk) == ("XREAD", "COUNT", 1_000, "BLOCK", 500, "STREAMS", "stream", "0-0")
    node.timer.advance(0.75)
    talk.send(None)
    assert node.staleness() == 0.25


def test_an_answer_with_news_counts_as_of_when_it_was_asked_for() -> None:
    node = Node()
    talk = node.reader.follow(0.5)
    next(talk)
    node.timer.advance(0.25)
    assert talk.send([[b"stream", [entry(b"6-0", Revocation(ONE, FAR, None))]]])[-1] == "6-0"
    assert node.heard == [(ONE, FAR, None)]
    assert node.staleness() == 0.25


def test_an_answer_that_may_not_be_all_makes_nobody_fresh() -> None:
    node = Node()
    talk = node.reader.follow(0.5)
    next(talk)
    node.timer.advance(0.25)
    talk.send(
        [
            [
                b"stream",
                [entry(b"%d-0" % number, Revocation(ONE, FAR, None)) for number in range(1, 1_001)],
            ]
        ]
    )
    assert node.staleness() == float("inf")
    assert node.reader.entries == 1_000


def test_once_a_second_it_looks_whether_the_stream_is_still_the_same() -> None:
    node = Node()
    talk = node.reader.follow(0.5)
    for _ in range(2):
        assert next(talk)[0] == "XREAD"
        node.timer.advance(0.5)
    assert talk.send(None)[0] == "EVALSHA"
    assert talk.send([0, 0])[0] == "XREAD"


def test_a_refused_apply_leaves_the_entry_to_be_read_again() -> None:
    node = Node()

    def refuse(revocations: Any) -> None:
        list(revocations)
        raise MemoryError

    node.reader.begin(refuse)
    talk = node.reader.follow(0.5)
    next(talk)
    with pytest.raises(MemoryError):
        talk.send([[b"stream", [entry(b"6-0", Revocation(ONE, FAR, None))]]])
    assert node.reader.last_id == "0-0"
    assert node.reader.entries == 0


def test_what_is_over_for_every_node_is_remembered_no_longer() -> None:
    memory = HeardRevocations()
    for end in (0.0, 600.0, 1_800.0):
        memory.add(pack(Revocation(ONE, end, None)), end)
    memory.forget(899.0)
    assert len(list(memory)) == 3
    memory.forget(960.0)
    assert len(list(memory)) == 2
    memory.forget(10_000.0)
    assert list(memory) == []


def test_a_feed_that_may_have_to_refuse_soon_is_asked_at_each_lookup() -> None:
    class Client:
        def execute_command(self, *arguments: Any, **options: Any) -> Any: ...

    timer = FakeClock(100.0)
    for when_stale in ("accept", "refuse"):
        feed = RedisFeed(
            Client(),
            max_staleness=10,
            when_stale=when_stale,  # type: ignore[arg-type]
            timer=timer,
        )
        feed._reader.fresh_at = timer.now - 4.0
        assert feed.doorbell is feed.doorbell is not None
        feed._reader.fresh_at = timer.now - 6.0
        assert (feed.doorbell is None) == (when_stale == "refuse")


def test_what_was_sent_and_not_heard_by_the_second_look_is_put_back() -> None:
    node = Node()
    first, second = (Revocation(session_id, FAR, None) for session_id in (ONE, TWO))

    def look(answer: list[Any]) -> list[Any]:
        """Look once, and return what the reader publishes after it."""
        talk = node.reader.catch_up()
        next(talk)
        published = []
        try:
            command = talk.send(answer)
            while True:
                if command[3] == "stream" and len(command) == 6:
                    published.append(command[-1])
                    command = talk.send(1)
                else:
                    command = talk.send(answer)
        except StopIteration:
            return published

    node.reader.expect([pack(first), pack(second)])
    assert look([0, 0]) == []  # Both may be on their way.
    heard = entry(b"5-0", second)
    assert look([1, 1, heard, heard, pack(second)]) == [pack(first)]
    assert look([1, 1, heard, heard, b""]) == [pack(first)]  # That was lost as well.
    assert look([2, 2, heard, entry(b"6-0", first), pack(first)]) == []
    assert look([2, 1, entry(b"6-0", first), entry(b"6-0", first), b""]) == []


def test_what_could_not_be_put_back_is_put_back_later() -> None:
    node = Node()
    node.reader.expect([pack(Revocation(ONE, FAR, None))])
    talk = node.reader.catch_up()
    next(talk)
    with pytest.raises(StopIteration):
        talk.send([0, 0])
    for _ in range(2):
        talk = node.reader.catch_up()
        next(talk)
        talk.send([0, 0])
        with pytest.raises(ConnectionError):
            talk.throw(ConnectionError())
    talk = node.reader.catch_up()
    next(talk)
    talk.send([0, 0])  # before which it looks whether others were faster
    assert talk.send([0, 0])[-1] == pack(Revocation(ONE, FAR, None))


def test_a_stream_of_several_pieces_of_which_some_was_trimmed_is_read_once() -> None:
    node = Node()
    talk = node.reader.catch_up()
    next(talk)
    message = pack(Revocation(ONE, FAR, None))
    pieces = [entry(b"%d-0" % number, Revocation(ONE, FAR, None)) for number in (1, 1_000, 1_500)]
    command = talk.send([1_700, 1_000, pieces[0], pieces[1], message * 1_000])
    assert command[4] == b"1000-0"
    with pytest.raises(StopIteration):
        talk.send([1_700, 501, pieces[1], pieces[2], message * 500])
    assert (node.reader.entries, node.reader.replays, node.reader.last_id) == (1_500, 0, "1500-0")
