"""The statements on the tables, in Django's ORM.

They send no signals: what an application does for each model that is saved would see hashes, and
run amid a login. Where the ORM has nothing for what a database can do, ``dialects`` has it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from math import floor
from operator import or_
from typing import Any

from django.db.models import Max, Q

from ..revocation.protocol import Revocation
from ..seconds import steady_time
from ..tables.names import name_of_lock
from ..tables.removal import STAYS_AFTER_END
from ..tables.rows import SESSION_COLUMNS, LogRow, new_mark
from .models import Revocation as LogEntry
from .models import Session, Value

__all__ = ["DjangoStatements", "entry_values"]

_ENTRY_COLUMNS = ("mark", "session_id", "expires_at", "before", "published_at")
_ROWS_AT_ONCE = 500  # of an insertion: a database takes so many values in one statement


class DjangoStatements:
    """Carry out single statements on a connection of Django: see ``tables.protocol``.

    Args:
        connection: the one that the ORM takes for its alias in the calling thread.
    """

    def __init__(self, connection: Any) -> None:
        self.connection = connection
        self._sessions = Session._base_manager.using(connection.alias)
        self._log = LogEntry._base_manager.using(connection.alias)
        self._values = Value._base_manager.using(connection.alias)

    def lock(self, number: int) -> None:
        """Hold the lock of a row, which is added where nobody has used it before."""
        self._values.select_for_update().get_or_create(
            name=name_of_lock(number), defaults={"number": 0}
        )

    def issuers(self, subject_hash: str, now: float) -> Sequence[str]:
        """Return the issuer of each session of a subject with ``ends_at > now``."""
        live = self._sessions.filter(subject_hash=subject_hash, ends_at__gt=floor(now))
        return list(live.values_list("issuer", flat=True))

    def insert_session(self, row: Mapping[str, Any]) -> None:
        """Add a session. Raise the database's error where there is one of this id."""
        fields = Session._meta.concrete_fields
        self._sessions._insert([Session(**row)], fields, using=self.connection.alias)

    def session(self, session_id: str) -> Sequence[Any] | None:
        """Return the row of a session, in the order of ``SESSION_COLUMNS``, or None."""
        rows = self._sessions.filter(id=session_id).values_list(*SESSION_COLUMNS)
        return next(iter(rows), None)

    def sessions(self, subject_hash: str, now: float) -> Sequence[Sequence[Any]]:
        """Return the rows of a subject with ``ends_at > now`` or ``access_expires_at > now``."""
        # No access token outlives its session, but where the end of that was damaged.
        is_live = Q(ends_at__gt=floor(now)) | Q(access_expires_at__gt=floor(now))
        rows = self._sessions.filter(is_live, subject_hash=subject_hash)
        return list(rows.values_list(*SESSION_COLUMNS))

    def replace_session(self, row: Mapping[str, Any], session_id: str, version: Any) -> bool:
        """Set the columns in ``row`` where id and version are these. Return True if it was done."""
        changed: int = self._sessions.filter(id=session_id, version=version).update(**row)
        return changed == 1

    def delete_sessions(self, versions: Mapping[str, Any]) -> Sequence[str]:
        """Delete each session whose version is the one given for its id. Return their ids."""
        ids = sorted(versions)
        if len(ids) == 1 and type(versions[ids[0]]) is int:
            row = self._sessions.filter(id=ids[0], version=versions[ids[0]])
            return ids if self._delete(row) else []
        deleted: list[str] = []
        for begin in range(0, len(ids), _ROWS_AT_ONCE):
            # In one order, so that two who delete the same sessions wait for each other in turn.
            rows = self._sessions.filter(id__in=ids[begin : begin + _ROWS_AT_ONCE]).order_by("id")
            stored = rows.select_for_update().values_list("id", "version")
            found = [name for name, version in stored if versions.get(name) == version]
            if found:
                self._delete(self._sessions.filter(id__in=found))
            deleted += found
        return deleted

    def remove_sessions(self, ended_before: float, most: int) -> int:
        """Remove sessions with ``ends_at <= ended_before``, the oldest first, ``most`` at most.

        Return how many were removed.
        """
        ended = self._sessions.filter(ends_at__lte=floor(ended_before)).order_by("ends_at")
        return self._remove(ended, most)

    def count_sessions(self, now: float) -> int:
        """Return how many sessions have ``ends_at > now``."""
        count: int = self._sessions.filter(ends_at__gt=floor(now)).count()
        return count

    def value(self, name: str) -> int | None:
        """Return the number kept under a name, or None."""
        numbers = self._values.filter(name=name).values_list("number", flat=True)
        return next(iter(numbers), None)

    def raise_value(self, name: str, number: int) -> int:
        """Keep ``number`` under a name, unless a higher one is kept. Return what is kept."""
        kept = self.value(name)
        if kept is None:
            value, _ = self._values.get_or_create(name=name, defaults={"number": number})
            kept = value.number
        if kept < number:
            self._values.filter(name=name, number__lt=number).update(number=number)
            kept = self.value(name)
        return number if kept is None else kept

    def append(self, revocations: Sequence[Revocation], published_at: float) -> None:
        """Add a row to the log for each revocation."""
        values = [entry_values(revocation, published_at) for revocation in revocations]
        rows = [LogEntry(**dict(zip(_ENTRY_COLUMNS, row, strict=True))) for row in values]
        self._log.bulk_create(rows, batch_size=_ROWS_AT_ONCE)

    def log_rows(
        self, ranges: Sequence[tuple[int, int | None]], after: int, most: int
    ) -> Sequence[LogRow]:
        """Return rows of the log in the order of their positions, ``most`` at most.

        Args:
            ranges: the first and the last position of each range; None: no last one.
            after: positions up to this one are left out.
            most: how many rows at most.
        """
        within = (
            Q(position__gte=first) if last is None else Q(position__range=(first, last))
            for first, last in ranges
        )
        rows = self._log.filter(reduce(or_, within), position__gt=after).order_by("position")
        return [LogRow._make(row) for row in rows.values_list(*LogRow._fields)[:most]]

    def remove_revocations(self, ended_before: float, most: int) -> int:
        """Remove rows with ``expires_at <= ended_before``, the oldest first, ``most`` at most.

        The row with the highest position stays. Return how many were removed.
        """
        last = self._log.aggregate(last=Max("position"))["last"]
        if last is None:
            return 0
        ended = self._log.filter(expires_at__lte=ended_before, position__lt=last)
        return self._remove(ended.order_by("expires_at"), most)

    def writers(self) -> Any:
        """Return the time of now. Of other databases it is known who writes."""
        return steady_time()

    def have_ended(self, writers: Any, first: int, last: int) -> bool:
        """Return True once an hour has gone by: no transaction lasts longer."""
        return steady_time() - float(writers) >= STAYS_AFTER_END

    def _remove(self, rows: Any, most: int) -> int:
        features = self.connection.features
        if features.supports_select_for_update_with_limit:
            skips = features.has_select_for_update_skip_locked
            rows = rows.select_for_update(skip_locked=skips)
        keys = list(rows.values_list("pk", flat=True)[:most])
        return self._delete(rows.model._base_manager.filter(pk__in=keys)) if keys else 0

    def _delete(self, rows: Any) -> int:
        count: int = rows._raw_delete(self.connection.alias)
        return count


def entry_values(revocation: Revocation, published_at: float) -> tuple[Any, ...]:
    """Return the values of a new row of the log, but for the position that it will be given."""
    return (
        new_mark(),
        revocation.session_id,
        revocation.expires_at,
        revocation.before,
        published_at,
    )
