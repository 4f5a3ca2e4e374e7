"""What a parent opened before a fork harms no child.

What a child does outlives the parent's hold on the file.
"""

from __future__ import annotations

import multiprocessing
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import LONGEST_WAIT
from tests.support import SECRET
from tokenwheel import AccessTokenRevoked, ExpiringCache, SessionManager, fork_safety

from .support import Worker, make_manager, managed, run_apart, serve

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def test_what_a_child_does_after_its_parent_closed_is_found_by_those_that_come(
    tmp_path: Path,
) -> None:
    run_apart(close_before_the_child_does, tmp_path / "sessions.db")


def close_before_the_child_does(path: Path) -> None:
    with managed(path) as manager:
        ended, kept = (manager.create(subject="ann") for _ in range(2))
        worker, process = fork(manager)
        worker.read(ended.access_token)
    assert worker.delete_one("ann", ended.session_id) is True
    refreshed = worker.update(kept.refresh_token)
    process.kill()
    process.join()
    with managed(path) as anew:
        with pytest.raises(AccessTokenRevoked):
            anew.read(ended.access_token)
        assert anew.update(refreshed.refresh_token).session_id == kept.session_id


def test_the_parent_goes_on_after_a_fork(tmp_path: Path) -> None:
    run_apart(go_on_in_both, tmp_path / "sessions.db")


def go_on_in_both(path: Path) -> None:
    manager = make_manager(path)
    worker, process = fork(manager)
    for opener, ender in ((manager, worker), (worker, manager)):
        tokens = opener.create(subject="ann")
        assert ender.read(tokens.access_token)["sid"] == tokens.session_id
        opener.delete_one("ann", tokens.session_id)
        with pytest.raises(AccessTokenRevoked):
            ender.read(tokens.access_token)
    process.kill()


def test_a_fork_while_other_threads_write_leaves_a_child_that_works(tmp_path: Path) -> None:
    run_apart(fork_amid_writes, tmp_path / "sessions.db")


def fork_amid_writes(path: Path) -> None:
    manager = make_manager(path)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            tokens = manager.create(subject="bob")
            manager.delete_one("bob", tokens.session_id)

    threads = [threading.Thread(target=write) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(10):
        worker, process = fork(manager)
        tokens = worker.create(subject="ann")
        assert worker.delete_one("ann", tokens.session_id) is True
        with pytest.raises(AccessTokenRevoked):
            manager.read(tokens.access_token)
        process.kill()
        process.join()
    stop.set()
    for thread in threads:
        thread.join()


def test_a_fork_while_another_thread_counts_revocations_leaves_a_child_that_counts_them() -> None:
    run_apart(fork_amid_counting)


def fork_amid_counting() -> None:
    manager = SessionManager(SECRET, issuer="tests", audience="tests")
    ended = manager.create(subject="ann")
    manager.delete_one("ann", ended.session_id)
    with repeated(manager.revocations.stats):
        for _ in range(20):
            assert result_in_child(lambda: manager.revocations.stats().entries) == 1


def test_a_fork_while_other_threads_log_in_leaves_a_child_where_one_can_log_in() -> None:
    run_apart(fork_amid_logins)


def fork_amid_logins() -> None:
    manager = SessionManager(SECRET, issuer="tests", audience="tests")

    def log_in_and_out() -> None:
        manager.create(subject="bob")
        manager.delete_all("bob")

    def log_in() -> int:
        manager.create(subject="ann")
        return len(manager.read_all("ann"))

    with repeated(log_in_and_out), repeated(log_in_and_out):
        for _ in range(20):
            assert result_in_child(log_in) == 1


def test_a_fork_while_another_thread_uses_a_cache_leaves_a_child_that_can() -> None:
    run_apart(fork_amid_caching)


def fork_amid_caching() -> None:
    cache: ExpiringCache[tuple[int, str], int] = ExpiringCache(ttl=60)
    cache[1, "kept"] = 1

    def fill() -> None:
        for i in range(100):
            cache[i, "passing"] = i
            cache.pop((i, "passing"))

    with repeated(fill):
        for _ in range(20):
            assert result_in_child(lambda: cache[1, "kept"]) == 1


def test_two_threads_may_fork_at_once() -> None:
    run_apart(fork_in_two_threads)


def fork_in_two_threads() -> None:
    sys.setswitchinterval(0.000_001)
    manager, *_others = [
        SessionManager(SECRET, issuer="tests", audience="tests") for _ in range(100)
    ]

    def fork_often() -> None:
        for _ in range(50):
            result_in_child(lambda: 0)

    threads = [threading.Thread(target=fork_often, daemon=True) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(LONGEST_WAIT)
        assert not thread.is_alive()
    assert result_in_child(lambda: len(manager.create(subject="ann").access_token) > 0) == 1


def test_a_fork_waits_for_a_lock_but_not_for_ever() -> None:
    run_apart(fork_beside_a_lock_that_stays_taken)


def fork_beside_a_lock_that_stays_taken() -> None:
    fork_safety._PATIENCE = 0.1
    manager = SessionManager(SECRET, issuer="tests", audience="tests")
    storage: Any = manager.storage
    taken, is_over = threading.Event(), threading.Event()

    def take() -> None:
        with storage._lock:
            taken.set()
            is_over.wait(LONGEST_WAIT)

    thread = threading.Thread(target=take)
    thread.start()
    taken.wait(LONGEST_WAIT)
    assert result_in_child(lambda: len(manager.create(subject="ann").access_token) > 0) == 1
    is_over.set()
    thread.join()
    assert manager.create(subject="ann").session_id in manager.read_all("ann")


@contextmanager
def repeated(call: Callable[[], object]) -> Iterator[None]:
    """Call something in another thread, over and over."""
    stop = threading.Event()

    def repeat() -> None:
        while not stop.is_set():
            call()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def result_in_child(call: Callable[[], int]) -> int:
    child = os.fork()
    if not child:
        code = 255
        try:
            code = call()
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fork(manager: SessionManager) -> tuple[Worker, Any]:
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(manager, theirs), daemon=True)
    process.start()
    return Worker(ours), process
