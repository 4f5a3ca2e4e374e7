"""What a trial has shown: every answer in its journals, held against what is guaranteed.

The guarantees, by the names that a breach is reported under:

- ``revoked``: a token is not accepted by a read that began after its revocation was answered: in no
  process over a file; over a server in none that could know, within ``BOUND``.
- ``refused``: a token is refused only where something has revoked it, or a clock was off.
- ``lost``: a session that was opened is found until something has ended it.
- ``ended``: a session that was ended is not found again.
- ``rotation``: one refresh token never has two successors, and is taken for a stolen one only after
  its grace, or after its successor was used.
- ``error``: only documented errors are raised.

A call without an answer may have taken effect or not: it excuses what either would explain. So does
a storage that was emptied or put back to an earlier state, for sessions that are older than that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from .history import History, is_deletion
from .journal import Birth, Call, Event, Records

BOUND = 5.0  # seconds: the nodes' max_staleness and some, for what a server tells its nodes
HEALING = 10.0  # seconds after which whatever befell has no consequence
_JUST_BEFORE = 1.0  # seconds: what was answered so shortly before may not have spread
_GRACE = 4.5  # seconds: the managers' reuse_grace, less what calls take

_LOGOUTS = {"delete_one", "delete_all", "restrict_one", "restrict_all"}
_REFUSALS = {"AccessTokenRevoked", "AccessTokenExpired", "AccessTokenNotYetValid"}
_DOCUMENTED = {"read": _REFUSALS, "update": {"SessionNotFound", "RefreshTokenReused"}}
# What keeps a node from hearing of a logout.
_TROUBLES = {"server", "network", "stop"}


class Breach(NamedTuple):
    """A guarantee that was broken, and the calls that show it."""

    guarantee: str
    what: str
    calls: list[Call]

    @property
    def session_id(self) -> str:
        return next((call.session_id for call in self.calls if call.session_id), "")


class Judge:
    """Judges the records of one trial.

    Args:
        records: what its journals hold.
        feed: ``"sqlite"`` or ``"redis"``.
    """

    def __init__(self, records: Records, feed: str) -> None:
        self._records = records
        self._is_file = feed == "sqlite"
        self._troubles = [event for event in records.events if event.kind in _TROUBLES]
        self._history = History(records)
        self._counts: Counter[str] = Counter()

    def breaches(self) -> list[Breach]:
        """Return every breach, in the order of the calls."""
        return [breach for call in self._records.calls for breach in self._judge(call)]

    def summary(self) -> Counter[str]:
        """Return how many calls there were by kind and by outcome, and what ``breaches`` saw."""
        counts = Counter(self._counts)
        for call in self._records.calls:
            counts[f"call {call.method}"] += 1
            counts[f"raised {call.outcome.split(':')[0]}"] += bool(
                call.outcome and not call.succeeded
            )
            counts["unanswered"] += call.ended is None
            counts["logouts"] += call.succeeded and call.method in _LOGOUTS
        return +counts

    def _judge(self, call: Call) -> Iterator[Breach]:
        if call.ended is None:
            return
        is_documented = (
            call.succeeded
            or call.outcome == "StorageUnavailable"
            or call.outcome in _DOCUMENTED.get(call.method, ())
        )
        if not is_documented:
            yield Breach("error", "an error was raised that is not documented", [call])
        judge: Callable[[Call], Iterator[Breach]] | None = getattr(self, f"_{call.method}", None)
        if judge is not None:
            yield from judge(call)

    def _read(self, read: Call) -> Iterator[Breach]:
        assert read.ended is not None
        history = self._history
        issue = history.issued(read.presented)
        if issue is None:  # Its answer was never written down.
            return
        revocations = history.revocations(issue)
        self._counts["reads after logouts"] += any(
            (ending.ended or 0) < read.begun for ending in revocations[:1]
        )
        if read.succeeded:
            ending = next((call for call in revocations if self._should_know(read, call)), None)
            if ending is not None:
                self._counts["stale beyond the promise"] += 1
                what = "a token was accepted after its revocation had been answered"
                yield Breach("revoked", what, [issue, ending, read])
        elif read.outcome == "AccessTokenRevoked":
            if not history.may_have_revoked(issue, read.ended):
                yield Breach("refused", "a token was refused that nothing revoked", [issue, read])
        elif read.outcome == "AccessTokenExpired" and not read.ahead:
            yield Breach("refused", "a token was taken for expired too early", [issue, read])
        elif read.outcome == "AccessTokenNotYetValid" and not issue.ahead:
            yield Breach("refused", "a token was not valid at once", [issue, read])

    def _should_know(self, read: Call, ending: Call) -> bool:
        """Return True where the reader had to know of this revocation."""
        assert ending.ended is not None
        reader = self._records.births[read.node]
        since = ending.ended
        if not self._is_file and not self._revoked_itself(read, ending):
            since += BOUND
            if not reader.refuses and self._was_troubled(read.begun):
                return False
        return read.begun > since and not any(
            self._may_not_know_since(reset, read, ending, reader) for reset in self._history.resets
        )

    def _revoked_itself(self, read: Call, ending: Call) -> bool:
        """Return True where the reader itself has revoked the token.

        A logout everywhere does not find a session that another node ended just before. Then that
        node's message is what counts.
        """
        issue = self._history.issued(read.presented)
        if read.node != ending.node or issue is None:
            return False
        return not ending.method.endswith("_all") or not any(
            other.begun < (ending.ended or 0) and other.node != ending.node and is_deletion(other)
            for other in self._history.endings(issue.session_id)
        )

    def _may_not_know_since(self, reset: Event, read: Call, ending: Call, reader: Birth) -> bool:
        """Return True where a reset has taken a revocation from where the reader looks."""
        assert ending.ended is not None
        if read.ended is None or read.ended < reset.begun or ending.begun > reset.ended:
            return False
        is_new = reader.ready > reset.begun
        had_no_time = ending.ended > reset.begun - _JUST_BEFORE and read.node != ending.node
        if reset.kind == "restore":  # It is about the moment of the backup.
            return (is_new or had_no_time) and ending.ended > float(reset.about)
        return (is_new or had_no_time) and read.begun < reset.ended + HEALING

    def _was_troubled(self, moment: float) -> bool:
        return any(trouble.begun <= moment <= trouble.ended + HEALING for trouble in self._troubles)

    def _update(self, update: Call) -> Iterator[Breach]:
        assert update.ended is not None
        if self._history.is_uncertain(update.session_id, update.ended):
            return
        earlier = self._history.presented(update.presented)
        if update.succeeded:
            yield from self._found(update, update.session_id)
            first = next((call for call in earlier if call.succeeded), update)
            if first.refresh_token != update.refresh_token:
                what = "one refresh token has two successors"
                yield Breach("rotation", what, [first, update])
        elif update.outcome == "SessionNotFound":
            yield from self._not_found(update, update.session_id)
        elif update.outcome == "RefreshTokenReused" and not self._may_be_reused(update):
            what = "a refresh token was taken for a stolen one within its grace"
            yield Breach("rotation", what, [*earlier])

    def _delete_one(self, call: Call) -> Iterator[Breach]:
        if call.answer == "False":
            yield from self._not_found(call, call.session_id)

    def _read_all(self, call: Call) -> Iterator[Breach]:
        if not call.succeeded:
            return
        found = frozenset(call.answer.split())
        for created in self._history.sessions_of(call.subject):
            if created.session_id in found:
                yield from self._found(call, created.session_id)
            elif created.ended is not None and created.ended < call.begun:
                yield from self._not_found(call, created.session_id)

    def _not_found(self, call: Call, session_id: str) -> Iterator[Breach]:
        """Report that a session was not found, where nothing explains it."""
        assert call.ended is not None
        created = self._history.created(session_id)
        if created is None or self._history.is_uncertain(session_id, call.ended):
            return
        is_explained = any(
            ending.begun < call.ended and ending is not call and is_deletion(ending)
            for ending in self._history.endings(session_id)
        )
        if not is_explained:
            yield Breach("lost", "a session was not found that nothing had ended", [created, call])

    def _found(self, call: Call, session_id: str) -> Iterator[Breach]:
        """Report that a session was found, where it had been ended."""
        assert call.ended is not None
        created = self._history.created(session_id)
        if created is None or self._history.is_uncertain(session_id, call.ended):
            return
        for ending in self._history.endings(session_id):
            is_over = ending.ended is not None and ending.ended < call.begun
            if is_over and is_deletion(ending) and self._history.covers(ending, created):
                what = "a session was found after its end had been answered"
                yield Breach("ended", what, [created, ending, call])
                return

    def _may_be_reused(self, update: Call) -> bool:
        """Return True where a refresh token is too old, or its successor was used already."""
        assert update.ended is not None
        earlier = [call for call in self._history.presented(update.presented) if call is not update]
        was_used = any(
            later.begun < update.ended
            for call in earlier
            if call.succeeded
            for later in self._history.presented(call.refresh_token)
        )
        return was_used or any(
            call.ahead or not call.is_known or call.begun < update.ended - _GRACE
            for call in [*earlier, update]
        )
