"""When calls must go over a connection of the application's after all: in its tests.

Django's ``TestCase`` begins a transaction on a connection and rolls it back in the end. What a test
has written can be seen on that connection alone. And a database of SQLite in memory is often but
one connection, or several of one process, which don't wait for each other's locks.

So a call in such a test uses the connection of the test, be it from another thread. One call is
made at a time, while the test waits for it.
"""

from __future__ import annotations

import sys
from typing import Any

from django.db import connections
from django.db.backends.signals import connection_created

from ..weak_identities import WeakIdentityDictionary

__all__ = ["is_forbidden", "is_testing", "shared_connection", "watch_connections"]

_opened: WeakIdentityDictionary[Any, None] = WeakIdentityDictionary()


def watch_connections() -> None:
    """Take note of each connection that is opened, so that a test's can be found."""
    connection_created.connect(_take_note, dispatch_uid="tokenwheel")


def is_testing() -> bool:
    """Return True while Django's test environment is set up, which test runners do."""
    utils = sys.modules.get("django.test.utils")
    return hasattr(getattr(utils, "_TestState", None), "saved_data")


def is_forbidden(alias: str) -> bool:
    """Return True in a test that must not use a database, such as a ``SimpleTestCase``.

    Django has it refused in the thread of the test, by a method put in the place of another.
    """
    return is_testing() and "connect" in vars(connections[alias])


def shared_connection(alias: str) -> Any:
    """Return the connection that every call to a database must go over, or None for any.

    Args:
        alias: of the database.
    """
    own: Any = connections[alias]
    if _is_of_test_case(own):
        return own
    is_in_memory = _is_in_memory(own)
    if is_in_memory or is_testing():
        for other in _opened:
            if other.alias == alias and (
                _is_of_test_case(other) or (is_in_memory and other.connection is not None)
            ):
                return other
    return own if is_in_memory else None


def _take_note(*, connection: Any, **_: object) -> None:
    _opened[connection] = None


def _is_of_test_case(connection: Any) -> bool:
    return any(block._from_testcase for block in connection.atomic_blocks)


def _is_in_memory(connection: Any) -> bool:
    return connection.vendor == "sqlite" and bool(connection.is_in_memory_db())
