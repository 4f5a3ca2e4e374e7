"""What is given to a table as its doorbell: any buffer of eight bytes, and nothing else."""

from __future__ import annotations

import array
import ctypes
import gc
import mmap
import sys
import sysconfig
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

from tokenwheel import ConfigurationError

ONE = "A" * 16
HAS_GIL = not sysconfig.get_config_var("Py_GIL_DISABLED")


class Watched:
    """A table that counts how often it was told to take in news."""

    def __init__(self, load: Callable[[str], ModuleType]) -> None:
        self.news = 0
        self.table = load("revocations").RevocationTable(
            clock=lambda: 1000.0, before_lookup=self.take
        )

    def take(self) -> None:
        self.news += 1

    def took_news(self) -> bool:
        before = self.news
        self.table.is_revoked(ONE)
        return self.news > before


@pytest.fixture
def watched(load: Callable[[str], ModuleType]) -> Watched:
    return Watched(load)


@pytest.mark.parametrize("offset", range(9))
def test_a_doorbell_may_lie_on_any_byte(watched: Watched, offset: int) -> None:
    memory = bytearray(24)
    watched.table.watch(memoryview(memory)[offset : offset + 8])
    assert [watched.took_news() for _ in range(3)] == [True, False, False]
    for byte in range(offset, offset + 8):
        memory[byte] += 1
        assert [watched.took_news() for _ in range(2)] == [True, False]
    for byte in {offset - 1, offset + 8} - {-1}:
        memory[byte] += 1
        assert not watched.took_news()


@pytest.mark.parametrize(
    "make",
    [
        lambda: bytes(8),
        lambda: memoryview(bytes(8)).toreadonly(),
        lambda: memoryview(bytearray(8)).cast("B", (2, 4)),
        lambda: array.array("d", [1.0]),
        lambda: ctypes.c_uint64(7),
        ctypes.c_uint16 * 4,
        lambda: mmap.mmap(-1, 16)[:8],
    ],
    ids=["read-only", "a read-only view", "a matrix", "a double", "of ctypes", "words", "bytes"],
)
def test_a_buffer_of_eight_bytes_is_a_doorbell_whatever_is_in_it(
    watched: Watched, make: Callable[[], Any]
) -> None:
    watched.table.watch(make())
    assert [watched.took_news() for _ in range(3)] == [True, False, False]
    watched.table.watch(None)
    assert [watched.took_news() for _ in range(2)] == [True, True]


def released() -> memoryview:
    view = memoryview(bytearray(8))
    view.release()
    return view


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"",
        lambda: bytes(7),
        lambda: bytes(9),
        lambda: bytes(16),
        lambda: memoryview(bytes(16))[::2],
        lambda: memoryview(bytes(8))[::-1],
        released,
        lambda: array.array("Q"),
        lambda: "8 bytes!",
        lambda: 8,
        object,
        lambda: [0] * 8,
        lambda: bytearray,
    ],
    ids=[
        *("empty", "seven bytes", "nine bytes", "two", "every other byte", "backwards"),
        *("released", "no items", "text", "a number", "an object", "a list", "a type"),
    ],
)
def test_what_is_no_doorbell_is_refused_and_the_one_before_stays(
    watched: Watched, make: Callable[[], Any]
) -> None:
    memory = bytearray(8)
    watched.table.watch(memory)
    assert watched.took_news()
    for _ in range(100):
        with pytest.raises(ConfigurationError, match="doorbell must be None or a buffer of eight"):
            watched.table.watch(make())
    assert not watched.took_news()
    memory[0] = 1
    assert watched.took_news()


def test_a_doorbell_cannot_be_resized_or_freed_while_it_is_watched(watched: Watched) -> None:
    memory = bytearray(8)
    watched.table.watch(memory)
    with pytest.raises(BufferError):
        memory.extend(bytes(1 << 20))
    with pytest.raises(BufferError):
        memory.clear()
    del memory
    gc.collect()
    assert [watched.took_news() for _ in range(2)] == [True, False]
    memory = bytearray(8)
    watched.table.watch(memory)
    watched.table.watch(None)
    if not HAS_GIL:
        gc.collect()  # Only then is no thread in the midst of a look at it.
    memory.extend(b"given back")


def test_a_doorbell_that_is_changed_within_the_news_is_listened_to_anew(
    watched: Watched,
) -> None:
    first, second = bytearray(8), bytearray(8)
    watched.table.watch(first)

    def exchange() -> None:
        nonlocal first, second
        watched.news += 1
        if watched.news == 1:
            watched.table.watch(second)
            first = bytearray(8)

    watched.table.before_lookup = exchange
    assert [watched.took_news() for _ in range(3)] == [True, True, False]


def test_the_same_doorbell_given_again_within_the_news_is_listened_to_anew(
    watched: Watched,
) -> None:
    memory = bytearray(8)
    watched.table.watch(memory)

    def again() -> None:
        watched.news += 1
        if watched.news == 1:
            watched.table.watch(memory)

    watched.table.before_lookup = again
    assert [watched.took_news() for _ in range(3)] == [True, True, False]


def test_news_that_is_taken_away_within_the_news_does_no_harm(watched: Watched) -> None:
    def gone() -> None:
        watched.news += 1
        watched.table.before_lookup = None
        watched.table.watch(None)

    watched.table.watch(bytearray(8))
    watched.table.before_lookup = gone
    assert [watched.took_news() for _ in range(2)] == [True, False]
    watched.table._take_news(1000.0)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="no buffers written in Python before 3.12")
def test_a_buffer_that_raises_or_watches_is_refused_or_harmless(watched: Watched) -> None:
    class Raising:
        def __buffer__(self, flags: int) -> memoryview:
            raise RuntimeError("no buffer")

    class Watching:
        def __buffer__(self, flags: int) -> memoryview:
            watched.table.watch(bytearray(8))
            watched.table.is_revoked(ONE)
            return memoryview(bytearray(8))

    with pytest.raises(ConfigurationError, match="doorbell must be"):
        watched.table.watch(Raising())
    watched.table.watch(Watching())
    assert [watched.took_news() for _ in range(2)] == [True, False]


@pytest.mark.parametrize("call", [7, "poll", object()])
def test_what_cannot_be_called_is_no_source_of_news(watched: Watched, call: Any) -> None:
    with pytest.raises(ConfigurationError, match="before_lookup must be None or a callable"):
        watched.table.before_lookup = call
    assert watched.table.before_lookup == watched.take
    assert watched.took_news()


def test_a_source_of_news_that_looks_at_the_table_when_it_is_replaced_finds_the_new_one(
    watched: Watched,
) -> None:
    table, found = watched.table, []

    class Source:
        def __call__(self) -> None:
            pass

        def __del__(self) -> None:
            found.append(table.before_lookup)
            table.is_revoked(ONE)

    table.before_lookup = Source()
    table.before_lookup = watched.take
    gc.collect()
    assert found == [watched.take]
