"""Tokens that name unknown keys: what they cost, and when they lead to a fetch."""

from __future__ import annotations

import sys
import threading

from tests.processes.publisher import publishing
from tests.servers import until
from tokenwheel import Key, KeySet, RemoteKeySet
from tokenwheel.seconds import steady_time


class CountedTimer:
    """The steady clock, which counts how often it was asked."""

    def __init__(self) -> None:
        self.readings = 0

    def __call__(self) -> float:
        self.readings += 1
        return steady_time()


def test_while_an_early_fetch_is_asked_for_more_misses_cost_next_to_nothing() -> None:
    with publishing() as publisher:
        publisher.key_set = KeySet(Key.generate("ES256")).jwks()
        timer = CountedTimer()
        keys = RemoteKeySet(publisher.url, cooldown=3600, timer=timer)
        keys.start()
        keys.miss()
        until(lambda: publisher.requests == 2 and keys.stats().failures == 0, "the early fetch")
        until(lambda: keys.stats().next_try > 0, "its end")
        keys.miss()
        before = timer.readings
        for _ in range(1_000):
            keys.miss()
        assert timer.readings <= before + 10  # those of the thread that fetches
        assert publisher.requests == 2
        keys.close()


def test_an_early_fetch_that_had_to_wait_comes_though_nobody_reads_any_more() -> None:
    with publishing() as publisher:
        publisher.key_set = KeySet(Key.generate("ES256")).jwks()
        keys = RemoteKeySet(publisher.url, cooldown=0.3)
        keys.start()
        keys.miss()
        until(lambda: publisher.requests == 2, "the early fetch")
        keys.miss()
        until(lambda: publisher.requests == 3, "the next one")
        keys.close()


def test_whoever_fetches_is_woken_even_in_the_midst_of_being_woken() -> None:
    with publishing() as publisher:
        publisher.key_set = KeySet(Key.generate("ES256")).jwks()
        keys = RemoteKeySet(publisher.url)
        keys.start()
        fetcher = keys._crew.fetcher
        assert fetcher is not None

        def interrupt(*_: object) -> None:
            """Do what a handler of a signal or the collector of garbage may, at any point."""
            sys.setprofile(None)
            fetcher.wake()
            sys.setprofile(interrupt)

        def wake() -> None:
            sys.setprofile(interrupt)
            fetcher.wake()
            sys.setprofile(None)

        waking = threading.Thread(target=wake, daemon=True)
        waking.start()
        until(lambda: not waking.is_alive(), "that it was woken")
        keys.close()
