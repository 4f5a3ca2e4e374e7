"""How work is carried out in a database that ``DATABASES`` names.

Each call goes to a thread of this library's own (``tables/limited_threads.py``), which has a
connection of its own. So a call ends in time, and can be made from an event loop. And a transaction
that the application has open takes no part in it: once a call has returned, nothing that becomes of
the request undoes it.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress
from typing import Any

from django.db import DataError, Error, IntegrityError, OperationalError, connections, transaction

from ..errors import StorageUnavailable
from ..fork_safety import renew_after_fork
from ..option_checks import check_seconds
from ..tables.limited_threads import LimitedThreads
from ..tables.protocol import Work
from .connections import checked_alias, is_outdated, keep_for_ever, own_connection
from .dialects import statements_on
from .listening import Listener
from .shared_connections import is_forbidden, is_testing, shared_connection
from .versions import check_version

__all__ = ["DjangoDatabase"]

logger = logging.getLogger("tokenwheel")

_SHORTEST_TIMEOUT, _LONGEST_TIMEOUT = 0.1, 3_600.0  # seconds
_SURELY_THERE = 1.0  # seconds since a connection was used, in which no server is asked for a sign

_KEPT_OUT = (
    "a transaction of the application is open here, and SQLite lets nobody write beside one that "
    "has written or, but in WAL mode, read: call this before it begins or after it has ended"
)
# Held during each call that goes over a connection of the application's tests.
_turns = threading.Lock()


class DjangoDatabase:
    """Reach one of the databases of a Django project, by blocking calls.

    Args:
        using: its alias in ``DATABASES``. No database router is asked.
        timeout: seconds, 0.1 to 3,600, that a call may take.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    is_async = False
    """Calls block."""

    def __init__(self, using: str, timeout: float) -> None:
        self.using = checked_alias(using)
        self.timeout = check_seconds("timeout", timeout, _SHORTEST_TIMEOUT, _LONGEST_TIMEOUT)
        self._has_checked = self._has_told = False
        self._pid = os.getpid()
        self._opened: set[Any] = set()
        self._of_thread = threading.local()
        self._threads = LimitedThreads(self.timeout, self._close_own)
        renew_after_fork(self)

    def system(self) -> str:
        """Return the kind of database: Django's ``vendor``, which is ``mysql`` for MariaDB, too."""
        return str(connections[self.using].vendor)

    @property
    def place(self) -> Any:
        """What is equal for two of these that reach the same tables: the alias."""
        return "tokenwheel.django", self.using

    def is_alone(self) -> bool:
        """Return True where no other process can see what this one writes."""
        return is_forbidden(self.using) or shared_connection(self.using) is not None

    def run(self, work: Work, *, alone: bool = False, afterwards: Work | None = None) -> Any:
        """Carry out work in one transaction of a connection of its own, and commit.

        In an application's tests it may be the connection of the test, which rolls it back.

        Args:
            work: is given the statements.
            alone: True where the work is a single statement, which needs no transaction.
            afterwards: further work, once the first is committed, in a transaction of its own.

        Returns:
            What the work returned.

        Raises:
            ConfigurationError: the tables are not there, or of another version.
            StorageUnavailable: the time was up.
            Exception: what the work or Django raised.
        """
        if self._pid != os.getpid():  # Forked by a server that runs no hooks of Python.
            self.renew()
        if is_forbidden(self.using):
            connections[self.using].connect()  # which says why
        shared = shared_connection(self.using)
        if shared is not None:
            return self._threads.call(lambda: self._run_on_shared(shared, work, afterwards))
        try:
            return self._threads.call(lambda: self._run_on_own(work, alone, afterwards))
        except (OperationalError, StorageUnavailable) as error:
            asking = connections[self.using]
            if asking.vendor == "sqlite" and asking.in_atomic_block:
                raise StorageUnavailable(_KEPT_OUT) from error
            raise

    def connect(self, patience: float) -> Listener:
        """Return a connection for a tail.

        Args:
            patience: seconds within which an answer must come.
        """
        return Listener(self.using, patience, self._tell_no_news)

    def close(self) -> None:
        """Close all connections, those in use once their call has ended. Can be called again."""
        self._threads.close()

    def renew(self) -> None:
        """Leave the parent's connections to it, in a child of a fork."""
        self._pid = os.getpid()
        inherited, self._opened = self._opened, set()
        for connection in inherited:
            keep_for_ever(connection)

    def _run_on_own(self, work: Work, alone: bool, afterwards: Work | None) -> Any:
        connection = self._own()
        try:
            return self._carry_out(connection, work, alone, afterwards)
        finally:
            self._of_thread.used_at = time.monotonic()
            if is_testing():  # Django drops the database of its tests when nobody is connected.
                connection.close()

    def _run_on_shared(self, connection: Any, work: Work, afterwards: Work | None) -> Any:
        with _turns:
            connections[self.using] = connection
            connection.inc_thread_sharing()
            try:
                return self._carry_out(connection, work, False, afterwards)
            finally:
                connection.dec_thread_sharing()

    def _own(self) -> Any:
        """Return the connection of the calling thread, which the ORM takes there."""
        connection = getattr(self._of_thread, "connection", None)
        if connection is not None and is_outdated(connection):
            self._close_own()
            self._has_checked = False
            connection = None
        if connection is None:
            connection = self._of_thread.connection = own_connection(self.using, self.timeout)
            self._opened.add(connection)
        else:
            connection.close_if_unusable_or_obsolete()
            if time.monotonic() - self._of_thread.used_at < _SURELY_THERE:
                connection.health_check_done = True
        connections[self.using] = connection
        return connection

    def _close_own(self) -> None:
        connection = getattr(self._of_thread, "connection", None)
        if connection is not None:
            self._opened.discard(connection)
            connection.close()

    def _carry_out(self, connection: Any, work: Work, alone: bool, afterwards: Work | None) -> Any:
        statements = statements_on(connection)
        answer = refused = None
        try:
            self._check_version(statements)
            answer = work(statements) if alone else self._in_transaction(work, statements)
        except (DataError, IntegrityError) as error:
            refused = type(error)
        if refused is not None:  # And not amid the other one, whose message may have values in it.
            raise refused("the database refused values, which are not shown")
        if afterwards is not None:
            with suppress(Error):
                self._in_transaction(afterwards, statements)
        return answer

    def _in_transaction(self, work: Work, statements: Any) -> Any:
        with transaction.atomic(self.using):
            return work(statements)

    def _tell_no_news(self) -> None:
        if not self._has_told:
            self._has_told = True
            logger.warning(
                "a proxy before the database keeps its news back (LISTEN), so the feed looks for "
                "revocations every poll_interval: a connection past the proxy would tell at once"
            )

    def _check_version(self, statements: Any) -> None:
        if not self._has_checked:
            check_version(statements)
            self._has_checked = True
