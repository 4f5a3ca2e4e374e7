"""What a process publishes is expected until it is heard, and published again where it is lost."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.tables.dull_table import START, DullTable, revocation
from tests.tables.reading_node import Node
from tokenwheel.revocation.message import pack


def test_what_is_published_and_lost_before_anybody_heard_it_is_published_again() -> None:
    table = DullTable()
    node = Node(table).connect()
    node.reader.expect([pack(revocation(1)), pack(revocation(2))])
    table.publish(revocation(1))
    node.look(1.0)
    assert table.revocations == [revocation(1)]
    node.look(1.0)
    assert table.revocations == [revocation(1), revocation(2)]
    for _ in range(5):
        node.look(1.0)
    assert table.revocations == [revocation(1), revocation(2)]


def test_a_look_that_comes_within_a_second_makes_nothing_overdue() -> None:
    table = DullTable()
    node = Node(table).connect()
    node.look(1.0)
    node.reader.expect([pack(revocation(1))])
    for _ in range(9):
        node.look(0.1)
    assert table.rows == {}


def test_what_was_not_published_after_all_is_expected_no_more() -> None:
    table = DullTable()
    node = Node(table).connect()
    messages = [pack(revocation(1)), pack(revocation(2))]
    node.reader.expect(messages)
    node.reader.expect_no_more(messages[:1])
    node.look(1.0)
    node.reader.expect_no_more(messages[1:])
    node.look(1.0)
    node.look(1.0)
    assert table.rows == {}


def test_what_is_over_is_not_published_again() -> None:
    table = DullTable()
    node = Node(table).connect()
    node.reader.expect([pack(revocation(1, START + 1.5))])
    for _ in range(4):
        node.look(1.0)
    assert table.rows == {}
    assert (node.reader._known._sent, node.reader._known._overdue) == (set(), set())


def test_a_reader_that_takes_the_place_of_another_puts_back_what_that_one_knew() -> None:
    table = DullTable()
    table.publish(revocation(1), revocation(2))
    node = Node(table).connect()
    node.reader.expect([pack(revocation(3))])
    fresh_at = node.reader.fresh_at
    table.restore(({}, 0))
    table.publish(revocation(2))
    node.reader = node.reader.begun_anew()
    assert (node.reader.fresh_at, node.reader.entries, node.reader.replays) == (fresh_at, 2, 1)
    node.connect()
    assert table.revocations == [revocation(2), revocation(1), revocation(3)]


FORKS = """
import os, signal, threading
from tokenwheel.tables.known import KnownRevocations
known = KnownRevocations()

def publish():
    while True:
        known.expect(b"%d" % number for number in range(1000))

threading.Thread(target=publish, daemon=True).start()
for _ in range(50):
    child = os.fork()
    if not child:
        signal.alarm(20)  # which ends it, should it wait for the parent's thread
        known.expect([b"message"])
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_is_forked_while_others_publish_can_publish() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=120)
