"""Revocations in a table of a Django project's database, for every process that reaches it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from math import inf
from typing import Literal

from ..errors import StorageUnavailable
from ..revocation.message import pack
from ..revocation.protocol import Revocation
from ..seconds import steady_time, wall_time
from ..tables.feed import TableFeed
from .installed import installed_database

__all__ = ["DjangoFeed"]


class DjangoFeed(TableFeed):
    """Tie the :class:`~tokenwheel.RevocationList` of every process to a table in Django's database.

    The app ``tokenwheel.django`` has to be installed and migrated there. On PostgreSQL with
    psycopg 3 the database wakes the processes. On others each looks every ``poll_interval``.

    Nothing is read before the first lookup, so a manager can be made in any module. That lookup
    waits until all that lives was taken in.

    In a ``TestCase`` of Django, and with SQLite in memory, no other process can see what is
    written. Then nothing is read.

    Args:
        using: the alias of the database. A ``DjangoStorage`` of the same alias publishes a
            revocation in the transaction that ends the session.
        poll_interval: seconds, 0.05 to 60, between two looks at the table where the database wakes
            nobody. A look is made once a second in any case.
        max_staleness: seconds, 1 to 86,400, for which a node may be cut off until it counts as
            stale.
        when_stale: what ``read`` does on a stale node. ``"accept"``: it goes on with what is known.
            ``"refuse"``: it refuses every token with :class:`~tokenwheel.StorageUnavailable`.
        timeout: seconds, 0.1 to 3,600, that ``publish`` may take, whatever the server does.
        clock: returns Unix seconds. It decides which published revocations still live.
        timer: returns seconds that never run back. It measures staleness.

    Raises:
        ConfigurationError: an option makes no sense, or the app is not installed.
    """

    def __init__(
        self,
        using: str = "default",
        *,
        poll_interval: float = 0.5,
        max_staleness: float = 10.0,
        when_stale: Literal["accept", "refuse"] = "accept",
        timeout: float = 5.0,
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        database = installed_database(using, timeout)
        self._using = using
        self._is_alone = database.is_alone
        self._system = database.system
        super().__init__(
            database,
            poll_interval=poll_interval,
            max_staleness=max_staleness,
            when_stale=when_stale,
            clock=clock,
            timer=timer,
        )

    def __repr__(self) -> str:
        return f"<DjangoFeed {self._using!r}>"

    @property
    def db_system(self) -> str:
        """What traces name as the kind of database, in the words of OpenTelemetry."""
        return self._system()

    @property
    def doorbell(self) -> memoryview | None:
        """Eight bytes that change when the node is cut off, and when it is back.

        None where a lookup has to ask: before the log was read, and where the node may have to
        refuse soon.
        """
        return super().doorbell if self._has_read else None

    async def replay(self) -> None:
        """Take in every live revocation, if that was not done yet.

        An async manager awaits this as it is entered.

        Raises:
            StorageUnavailable: they could not be taken in.
        """
        if not self._has_read:
            await asyncio.to_thread(self.poll)

    def poll(self) -> None:
        """See to it that somebody reads the log, and that lookups may rely on what is known.

        Raises:
            StorageUnavailable: the log could not be read yet; or the node was cut off for longer
                than ``max_staleness``, and ``when_stale`` is ``"refuse"``.
        """
        if self._is_alone():
            return
        super().poll()
        if not self._has_read and not self._is_closed:
            raise StorageUnavailable(
                "the revocations that live have not been taken in yet, since the database could "
                "not be read; it is tried again"
            )

    def expect(self, revocations: Sequence[Revocation]) -> Sequence[bytes]:
        """Return the messages of revocations that a storage publishes itself, and await them."""
        return list(map(pack, revocations)) if self._is_alone() else super().expect(revocations)

    @property
    def _has_read(self) -> bool:
        return self._reader.fresh_at > -inf

    def _read_at_start(self) -> None:
        """Read nothing yet.

        Django imports an application's modules for commands that need no tables, or make them.
        """
