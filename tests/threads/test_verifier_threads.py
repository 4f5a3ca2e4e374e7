"""Threads that read with one manager while others revoke, change keys, or come and go."""

from __future__ import annotations

import gc
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support import SECRET, secret_of
from tokenwheel import AccessTokenRevoked, InvalidAccessToken, Key, KeySet, SessionManager

THREADS = 4


def make(keys: Any = SECRET, **options: Any) -> SessionManager:
    return SessionManager(keys, issuer="i", audience="a", **options)


def in_threads(*calls: Callable[[], Any]) -> None:
    """Run the calls side by side, and raise what one of them raised."""
    gate = threading.Barrier(len(calls))

    def start(call: Callable[[], Any]) -> None:
        gate.wait()
        call()

    with ThreadPoolExecutor(len(calls)) as pool:
        for made in [pool.submit(start, call) for call in calls]:
            made.result()


def test_no_read_that_begins_after_a_revocation_accepts_a_token_that_threads_have_seen() -> None:
    manager = make()
    for _ in range(30):
        made = [manager.create(subject="uid1") for _ in range(20)]
        revoked = [False] * len(made)
        ended = threading.Event()

        def read(made: list[Any] = made, revoked: list[bool] = revoked, ended: Any = ended) -> None:
            while not ended.is_set():
                for place, tokens in enumerate(made):
                    was_revoked = revoked[place]
                    try:
                        manager.read(tokens.access_token)
                    except AccessTokenRevoked:
                        continue
                    assert not was_revoked

        def revoke(
            made: list[Any] = made, revoked: list[bool] = revoked, ended: Any = ended
        ) -> None:
            try:
                for place, tokens in enumerate(made):
                    manager.delete_one("uid1", tokens.session_id)
                    revoked[place] = True
            finally:
                ended.set()

        in_threads(revoke, *[read] * THREADS)
        for tokens in made:
            with pytest.raises(AccessTokenRevoked):
                manager.read(tokens.access_token)


def test_no_read_that_begins_after_a_key_was_taken_away_accepts_a_token_signed_with_it() -> None:
    keys = [Key.from_secret(secret_of(name), kid=name) for name in ("old", "new")]
    for _ in range(10):
        key_set = KeySet(*keys, signing="old")
        manager = make(key_set)
        tokens = [manager.create(subject="uid1").access_token for _ in range(5)]
        gone = threading.Event()

        def read(manager: Any = manager, tokens: Any = tokens, gone: Any = gone) -> None:
            for _ in range(400):
                for token in tokens:
                    was_gone = gone.is_set()
                    try:
                        manager.read(token)
                    except InvalidAccessToken:
                        continue
                    assert not was_gone

        def take_away(key_set: Any = key_set, gone: Any = gone) -> None:
            key_set.sign_with("new")
            key_set.remove("old")
            gone.set()

        in_threads(take_away, *[read] * THREADS)


def test_threads_that_evict_each_others_tokens_leave_the_memory_whole() -> None:
    manager = make(verified_cache_size=16)
    tokens = [manager.create(subject="uid1").access_token for _ in range(64)]
    verifier = manager._verify.__self__  # type: ignore[attr-defined]

    def read() -> None:
        for token in tokens * 30:
            assert manager.read(token).subject == "uid1"
            verifier._check()
            assert verifier.remembered <= 16

    in_threads(*[read] * THREADS)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is read from /proc")
def test_what_a_thread_keeps_for_itself_is_freed_when_it_ends() -> None:
    manager = make()
    tokens = [manager.create(subject="uid1").access_token for _ in range(20)]

    def come_and_go(count: int) -> None:
        for _ in range(count):
            thread = threading.Thread(target=lambda: [manager.read(t) for t in tokens * 2])
            thread.start()
            thread.join()

    def pages() -> int:
        gc.collect()
        return int(Path("/proc/self/statm").read_text().split()[1])

    come_and_go(100)
    before = pages()
    come_and_go(1000)
    # A front alone takes 32 KiB, so a thousand that were left would take 32 MiB.
    assert (pages() - before) * os.sysconf("SC_PAGE_SIZE") < 8 << 20


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_forked_amid_reading_threads_reads_and_refuses() -> None:
    manager = make()
    good, bad = (manager.create(subject="uid1") for _ in range(2))
    ended = threading.Event()

    def read() -> None:
        while not ended.is_set():
            manager.read(good.access_token)

    threads = [threading.Thread(target=read) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            child = os.fork()
            if child == 0:
                code = 1
                try:
                    for _ in range(3):
                        manager.read(good.access_token)
                        manager.read(bad.access_token)
                    manager.delete_one("uid1", bad.session_id)
                    try:
                        manager.read(bad.access_token)
                    except AccessTokenRevoked:
                        code = 0
                finally:
                    os._exit(code)
            assert os.waitpid(child, 0)[1] == 0
    finally:
        ended.set()
        for thread in threads:
            thread.join()
