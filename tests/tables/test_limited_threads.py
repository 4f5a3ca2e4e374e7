"""A call to a database that hangs is given up in time, and hinders nobody."""

from __future__ import annotations

import contextvars
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from tests.servers import until
from tokenwheel import StorageUnavailable
from tokenwheel.tables.limited_threads import LimitedThreads

SHORT = 0.05  # seconds, after which a call that hangs for good is given up


@pytest.fixture
def hanging() -> Iterator[Any]:
    """Return a function that hangs until the test is over."""
    over = threading.Event()
    yield over.wait
    over.set()


def test_a_call_returns_what_the_function_returns_with_the_variables_of_its_caller() -> None:
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable")
    variable.set("of the caller")
    threads = LimitedThreads(60)
    assert threads.call(variable.get) == "of the caller"
    threads.close()


def test_a_call_raises_what_the_function_raises() -> None:
    threads = LimitedThreads(60)
    with pytest.raises(ZeroDivisionError):
        threads.call(lambda: 1 // 0)
    threads.close()


def test_a_call_that_hangs_is_given_up_and_the_next_is_answered(hanging: Any) -> None:
    threads = LimitedThreads(SHORT)
    with pytest.raises(StorageUnavailable, match="did not answer within"):
        threads.call(hanging)
    assert threads.call(lambda: "answered") == "answered"


def test_where_all_threads_hang_a_call_is_refused_at_once_and_not_begun(hanging: Any) -> None:
    threads = LimitedThreads(SHORT)
    for _ in range(8):
        with pytest.raises(StorageUnavailable, match="did not answer"):
            threads.call(hanging)
    begun: list[None] = []
    with pytest.raises(StorageUnavailable, match="left 8 calls without an answer"):
        threads.call(lambda: begun.append(None))
    assert begun == []


def test_threads_that_no_longer_hang_answer_again() -> None:
    over = threading.Event()
    threads = LimitedThreads(SHORT)
    for _ in range(8):
        with pytest.raises(StorageUnavailable):
            threads.call(over.wait)
    over.set()

    def is_answered() -> bool:
        try:
            return threads.call(lambda: True)
        except StorageUnavailable:
            return False

    until(is_answered)
    threads.close()


def test_a_call_that_finds_no_thread_in_time_was_never_begun(hanging: Any) -> None:
    threads = LimitedThreads(0.5)
    refusals: list[str] = []

    def call() -> None:
        with pytest.raises(StorageUnavailable) as refused:
            threads.call(hanging)
        refusals.append(str(refused.value))

    callers = [threading.Thread(target=call) for _ in range(9)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sum("not begun" in refusal for refusal in refusals) >= 1
    assert len(refusals) == 9


def test_many_callers_at_once_are_all_answered() -> None:
    threads = LimitedThreads(60)
    answers: list[int] = []
    callers = [
        threading.Thread(target=lambda n=n: answers.append(threads.call(lambda: n)))
        for n in range(100)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert sorted(answers) == list(range(100))
    threads.close()


def test_calls_that_follow_one_another_are_made_on_the_same_thread() -> None:
    threads = LimitedThreads(60)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)  # Who is answered goes on before the thread does.
    try:
        assert len({threads.call(threading.get_ident) for _ in range(50_000)}) == 1
    finally:
        sys.setswitchinterval(interval)
        threads.close()


def test_what_belongs_to_a_thread_is_closed_before_the_thread_ends() -> None:
    closed: list[str] = []
    threads = LimitedThreads(60, lambda: closed.append(threading.current_thread().name))
    threads.call(lambda: None)
    threads.close()
    threads.close()
    assert closed == ["tokenwheel-database"]
    with pytest.raises(StorageUnavailable, match="closed"):
        threads.call(lambda: None)


HANGS_AND_EXITS = """
import threading
from tokenwheel import StorageUnavailable
from tokenwheel.tables.limited_threads import LimitedThreads
try:
    LimitedThreads(0.05).call(threading.Event().wait)
except StorageUnavailable:
    print("given up")
"""


def test_a_call_that_hangs_does_not_hold_up_the_exit_of_the_interpreter() -> None:
    ran = subprocess.run(
        [sys.executable, "-c", HANGS_AND_EXITS],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert ran.stdout == "given up\n"


FORKS = """
import os
from tokenwheel.tables.limited_threads import LimitedThreads
threads = LimitedThreads(10)
threads.call(os.getpid)
child = os.fork()
if not child:
    os._exit(threads.call(os.getpid) != os.getpid())
assert os.waitpid(child, 0)[1] == 0
assert threads.call(os.getpid) == os.getpid()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    subprocess.run([sys.executable, "-W", "ignore", "-c", FORKS], check=True, timeout=60)


def test_a_call_may_be_given_more_time_than_others(hanging: Any) -> None:
    threads = LimitedThreads(60)
    with pytest.raises(StorageUnavailable, match=r"within the 0\.05 seconds"):
        threads.call(hanging, SHORT)


def test_all_calls_are_made_on_the_same_thread_where_there_is_but_one() -> None:
    threads = LimitedThreads(60, most=1)
    assert len({threads.call(threading.get_ident) for _ in range(100)}) == 1
    threads.close()
