"""The keys of a URL in processes that fork, with and without Python's hooks."""

from __future__ import annotations

import asyncio
import ctypes
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from tests.keys.key_servers import KeyServer, http, jwks
from tests.processes.support import employed, nobody_waits_for_interpreter, run_apart
from tests.servers import LONGEST_WAIT, until
from tokenwheel import (
    AsyncSessionManager,
    InvalidAccessToken,
    Key,
    KeySet,
    SessionManager,
    StorageUnavailable,
)
from tokenwheel.keys import RemoteKeySet

CHILDREN = 3
OLD, NEW = Key.generate("ES256", kid="old"), Key.generate("ES256", kid="new")

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")


def token_of(key: Key) -> str:
    return SessionManager(KeySet(key), issuer="i", audience="a").create(subject="ann").access_token


class Service:
    """A manager, and what tells how it follows its keys."""

    def __init__(self, url: str, **options: Any) -> None:
        self.keys = RemoteKeySet(url, **options)
        self.manager = SessionManager(self.keys, issuer="i", audience="a")

    def accepts(self, token: str) -> bool:
        try:
            self.manager.read(token)
        except (InvalidAccessToken, StorageUnavailable):
            return False
        return True

    def fetches(self) -> int:
        return self.keys.stats().fetches

    def refresh(self) -> None:
        self.keys.refresh()

    def threads(self) -> int:
        return sum(thread.name == "tokenwheel-keys" for thread in threading.enumerate())


def serve(service: Any, connection: Any) -> None:
    """Call methods as told."""
    while True:
        try:
            name, arguments, options = connection.recv()
        except EOFError:
            return
        try:
            connection.send((getattr(service, name)(*arguments, **options), None))
        except Exception as error:
            connection.send((None, (type(error), str(error))))


@contextmanager
def published(keys: KeySet) -> Iterator[KeyServer]:
    with KeyServer(jwks(keys)) as server:
        yield server


def test_a_manager_made_before_the_fork_follows_its_keys_in_every_child() -> None:
    run_apart(follow_in_children)


def follow_in_children() -> None:
    keys = KeySet(OLD)
    with published(keys) as server, ExitStack() as stack:
        service = Service(server.url)
        children = [
            stack.enter_context(employed(serve, service, method="fork")) for _ in range(CHILDREN)
        ]
        everyone: list[Any] = [service, *children]
        token = token_of(OLD)
        assert all(each.accepts(token) for each in everyone)
        keys.add(NEW)
        server.answer = jwks(keys)
        new = token_of(NEW)
        for each in everyone:
            until(lambda: each.accepts(new), "that each process has fetched the new key")
            assert each.threads() == 1
        service.manager.close()


def test_a_fetch_is_broken_off_by_a_fork_and_made_again_on_both_sides() -> None:
    run_apart(fork_amid_a_fetch)


def fork_amid_a_fetch() -> None:
    keys = KeySet(OLD)
    with published(keys) as server:
        service = Service(server.url, timeout=LONGEST_WAIT)
        server.answer = server.hang
        service.keys._known.schedule.want_now(service.keys._timer())
        service.keys.look()
        until(lambda: len(server.requests) == 2, "that a fetch goes on")
        keys.add(NEW)
        server.answer = jwks(keys)
        new = token_of(NEW)
        with employed(serve, service, method="fork") as child:
            assert child.accepts(token_of(OLD))
            until(lambda: child.accepts(new), "that the child has fetched")
            until(lambda: service.accepts(new), "that the parent has fetched")
        assert service.keys.stats().failures == 0
        service.manager.close()


def test_nothing_of_a_fetch_is_left_to_the_child() -> None:
    run_apart(see_no_connection_in_the_child)


def see_no_connection_in_the_child() -> None:
    hung_up = threading.Event()

    with published(KeySet(OLD)) as server:
        service = Service(server.url, timeout=LONGEST_WAIT)

        def hang(connection: socket.socket, request: str) -> None:
            del request
            assert connection.recv(1) == b""
            hung_up.set()

        server.answer = hang
        service.keys._known.schedule.want_now(service.keys._timer())
        service.keys.look()
        until(lambda: len(server.requests) == 2, "that a fetch goes on")
        server.answer = http(500)
        with employed(serve, service, method="fork"):
            # It would not hang up as long as the child has the connection open.
            assert hung_up.wait(LONGEST_WAIT)
        service.manager.close()


def test_forks_amid_reads_and_fetches_leave_children_that_work() -> None:
    run_apart(fork_amid_reads)


def fork_amid_reads() -> None:
    sys.setswitchinterval(1e-6)
    keys = KeySet(OLD, NEW)
    stop = threading.Event()
    with published(keys) as server:
        service = Service(server.url)
        old = token_of(OLD)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                while not stop.is_set():
                    service.manager.read(old)
                    service.keys._known.schedule.want_now(service.keys._timer())
                    service.keys.look()
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work, daemon=True) for _ in range(2)]
        for thread in threads:
            thread.start()
        for _ in range(20):
            with employed(serve, service, method="fork") as child:
                assert child.accepts(old)
                child.refresh()
                assert child.threads() == 1
        stop.set()
        for thread in threads:
            thread.join()
        assert failures == []
        service.refresh()
        service.manager.close()


@pytest.mark.skipif(sys.platform != "linux", reason="the C library is found on Linux")
def test_a_child_of_a_fork_without_hooks_begins_a_thread_of_its_own() -> None:
    run_apart(fork_from_c)


def fork_from_c() -> None:
    """Fork while the thread waits for an answer, and so not for the interpreter's lock."""
    keys = KeySet(OLD)
    with published(keys) as server:
        service = Service(server.url, timeout=LONGEST_WAIT)
        old, new = token_of(OLD), token_of(NEW)
        assert service.accepts(old)

        def answer(connection: socket.socket, request: str) -> None:
            if len(server.requests) == 2:
                server.hang(connection, request)
            else:
                jwks(KeySet(OLD, NEW))(connection, request)

        server.answer = answer
        service.keys._known.schedule.want_now(service.keys._timer())
        service.keys.look()
        until(lambda: len(server.requests) == 2, "that a fetch goes on")
        until(nobody_waits_for_interpreter, "that no thread waits for the interpreter's lock")
        pid = ctypes.PyDLL(None).fork()
        if pid == 0:
            code = 1
            try:
                if service.accepts(old):
                    until(lambda: service.accepts(new), "that the child has fetched")
                    code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        service.manager.close()


def test_an_async_manager_made_before_the_fork_awaits_its_keys_in_each_child() -> None:
    run_apart(fork_for_loops)


def fork_for_loops() -> None:
    with published(KeySet(OLD)) as server:
        manager = AsyncSessionManager(RemoteKeySet(server.url), issuer="i", audience="a")
        token = token_of(OLD)
        pids = []
        for _ in range(CHILDREN):
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    asyncio.run(read_on_loop(manager, token))
                    code = 0
                finally:
                    os._exit(code)
            pids.append(pid)
        for pid in pids:
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert len(server.requests) == CHILDREN


async def read_on_loop(manager: AsyncSessionManager, token: str) -> None:
    async with manager:
        assert manager.read(token)["sub"] == "ann"
