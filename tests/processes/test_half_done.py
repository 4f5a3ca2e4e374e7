"""Nothing is left half done, over real servers and files that fail in the middle of a call.

A server that is gone or frozen fails already when the session is looked up. One that takes no
writes fails after that, and so does a file whose write lock somebody else holds.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import Node, needs_server, no_retry, serving
from tests.support import SECRET
from tokenwheel import (
    AsyncSessionManager,
    RevocationList,
    SessionManager,
    SessionTokens,
    SqliteFeed,
    SqliteStorage,
    StorageUnavailable,
)

from .support import Driven, Service, refuses

Call = Callable[[Any, SessionTokens, Any], Any]

# Each is given a manager, the tokens of a session, and the claims of its access token.
SHOWING: dict[str, Call] = {
    "restrict_one": lambda manager, tokens, claims: manager.restrict_one(claims),
    "delete_one": lambda manager, tokens, claims: manager.delete_one("ann", tokens.refresh_token),
}
SHOWING_NOTHING: dict[str, Call] = {
    "restrict_one": lambda manager, tokens, claims: manager.restrict_one(claims.to_dict()),
    "restrict_all": lambda manager, tokens, claims: manager.restrict_all("ann"),
    "delete_one": lambda manager, tokens, claims: manager.delete_one("ann", tokens.session_id),
    "delete_all": lambda manager, tokens, claims: manager.delete_all("ann"),
}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Node]:
    """Start a server that a test may stop, and that then forgets nothing."""
    with serving(tmp_path, "--appendonly", "yes", "--appendfsync", "always") as node:
        yield node


@contextmanager
def over(library: Any, server: Node) -> Iterator[Service]:
    options = {"socket_timeout": 1, "socket_connect_timeout": 1, "retry": no_retry(library)}
    with Service(lambda: library.Redis(port=server.port, **options)) as service:
        yield service


def fails(call: Call, manager: Any, tokens: SessionTokens, claims: Any) -> None:
    with pytest.raises(StorageUnavailable, match="the call can be made again"):
        call(manager, tokens, claims)


@needs_server
@pytest.mark.parametrize("fault", ["kill", "freeze"])
@pytest.mark.parametrize("call", SHOWING)
def test_cut_off_from_the_server_a_logout_holds_here_where_it_shows_whose_session_it_is(
    library: Any, server: Node, call: str, fault: str
) -> None:
    with over(library, server) as service:
        here, there = service.join(), service.join()
        tokens, other = (here.create(subject="ann") for _ in range(2))
        claims = here.read(tokens.access_token)
        assert not refuses(there, tokens.access_token)
        getattr(server, fault)()
        fails(SHOWING[call], here, tokens, claims)
        assert refuses(here, tokens.access_token)
        assert not refuses(here, other.access_token)
        assert not refuses(there, tokens.access_token)
        recover(server, fault)
        fresh = service.insist(lambda: here.update(tokens.refresh_token))
        assert not refuses(here, fresh.access_token)
        service.wait_until(
            lambda: refuses(there, tokens.access_token), "that the refresh told the others"
        )
        assert not refuses(there, fresh.access_token)
        assert refuses(here, tokens.access_token)


@needs_server
@pytest.mark.parametrize("call", SHOWING_NOTHING)
def test_cut_off_from_the_server_a_logout_that_shows_nothing_holds_once_it_is_made_again(
    library: Any, server: Node, call: str
) -> None:
    with over(library, server) as service:
        here, there = service.join(), service.join()
        tokens = here.create(subject="ann")
        claims = here.read(tokens.access_token)
        server.kill()
        fails(SHOWING_NOTHING[call], here, tokens, claims)
        assert not refuses(here, tokens.access_token)
        server.start()
        service.insist(lambda: SHOWING_NOTHING[call](here, tokens, claims))
        assert refuses(here, tokens.access_token)
        service.wait_until(lambda: refuses(there, tokens.access_token), "that the others heard")


@needs_server
@pytest.mark.parametrize("call", ["restrict_one", "delete_one"])  # Listing writes to the index.
def test_a_server_that_takes_no_writes_leaves_a_session_that_its_owner_can_refresh(
    library: Any, server: Node, call: str
) -> None:
    with over(library, server) as service:
        here, there = service.join(), service.join()
        tokens = here.create(subject="ann")
        claims = here.read(tokens.access_token)
        with taking_no_writes(server):
            fails(SHOWING_NOTHING[call], here, tokens, claims)
            assert refuses(here, tokens.access_token)
            assert not refuses(there, tokens.access_token)
        fresh = here.update(tokens.refresh_token)
        assert not refuses(here, fresh.access_token)
        service.wait_until(
            lambda: refuses(there, tokens.access_token), "that the refresh told the others"
        )
        assert not refuses(there, fresh.access_token)


@needs_server
@pytest.mark.parametrize("call", ["restrict_one", "delete_one"])
def test_what_a_node_refused_alone_is_told_to_all_once_the_server_takes_writes_again(
    library: Any, server: Node, call: str
) -> None:
    with over(library, server) as service:
        here, there = service.join(), service.join()
        tokens = here.create(subject="ann")
        claims = here.read(tokens.access_token)
        with taking_no_writes(server):
            fails(SHOWING_NOTHING[call], here, tokens, claims)
        elsewhere = there.update(tokens.refresh_token)
        service.wait_until(
            lambda: refuses(there, elsewhere.access_token), "that the node told what it refuses"
        )
        fresh = there.update(elsewhere.refresh_token)
        assert not refuses(there, fresh.access_token)
        assert not refuses(here, fresh.access_token)
        assert list(there.read_all("ann")) == [tokens.session_id]


def recover(server: Node, fault: str) -> None:
    if fault == "kill":
        server.start()
    else:
        server.thaw()


@contextmanager
def taking_no_writes(server: Node) -> Iterator[None]:
    """Let the server answer what only reads, and refuse all that writes."""
    with server.client() as client:
        client.config_set("min-replicas-to-write", 1)
        yield
        client.config_set("min-replicas-to-write", 0)


# A file whose write lock somebody else holds


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize("call", SHOWING_NOTHING)
def test_a_file_that_is_locked_leaves_a_session_that_its_owner_can_refresh(
    tmp_path: Path, call: str, is_async: bool
) -> None:
    path = tmp_path / "sessions.db"
    with over_file(path, is_async) as here, over_file(path, is_async) as there:
        tokens = here.create(subject="ann")
        claims = here.read(tokens.access_token)
        with locked(path):
            fails(SHOWING_NOTHING[call], here, tokens, claims)
            assert refuses(here, tokens.access_token)
            assert not refuses(there, tokens.access_token)
        fresh = here.update(tokens.refresh_token)
        for manager in (here, there):
            assert not refuses(manager, fresh.access_token)
            assert refuses(manager, tokens.access_token)


@pytest.mark.parametrize("is_async", [False, True], ids=["blocking", "async"])
@pytest.mark.parametrize("call", SHOWING_NOTHING)
def test_what_a_process_refused_alone_is_told_to_all_beside_its_next_logout(
    tmp_path: Path, call: str, is_async: bool
) -> None:
    path = tmp_path / "sessions.db"
    with over_file(path, is_async) as here, over_file(path, is_async) as there:
        tokens = here.create(subject="ann")
        claims = here.read(tokens.access_token)
        with locked(path):
            fails(SHOWING_NOTHING[call], here, tokens, claims)
        here.restrict_all("bob")
        assert refuses(there, tokens.access_token)
        fresh = there.update(tokens.refresh_token)
        for manager in (here, there):
            assert not refuses(manager, fresh.access_token)


@contextmanager
def over_file(path: Path, is_async: bool) -> Iterator[Any]:
    """Start a process, as far as managers can tell one from another, over a file of sessions."""
    with ExitStack() as stack:
        storage = SqliteStorage(path, timeout=0.0, synchronous="NORMAL")
        stack.callback(storage.close)
        revocations = RevocationList(SqliteFeed(path, timeout=0.0, synchronous="NORMAL"))
        stack.callback(revocations.close)
        options: dict[str, Any] = {"issuer": "i", "audience": "a"}
        if not is_async:
            yield SessionManager(SECRET, storage=storage, revocations=revocations, **options)
            return
        loop = stack.enter_context(closing(asyncio.new_event_loop()))
        manager = AsyncSessionManager(SECRET, storage=storage, revocations=revocations, **options)
        yield Driven(
            manager,
            lambda answer: (
                loop.run_until_complete(answer) if asyncio.iscoroutine(answer) else answer
            ),
        )
        loop.run_until_complete(manager.close())
        loop.run_until_complete(loop.shutdown_default_executor())


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the file's write lock."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
