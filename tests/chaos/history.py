"""What journals tell of each session: when it was opened, what it was given, and what may end it.

Here is what follows from the calls alone. What a node had to know of it, and when, is in
``judge.py``.
"""

from __future__ import annotations

from bisect import insort
from collections import defaultdict
from collections.abc import Sequence

from .journal import Call, Event, Records, name_of


def is_deletion(ending: Call) -> bool:
    """Return True for a call that ends sessions for good; False for one that restricts them.

    An update is one where it took a refresh token for a stolen one.
    """
    return ending.method in ("delete_one", "delete_all", "update")


class History:
    """The sessions of one trial.

    Args:
        records: what the journals of the trial hold.

    Attributes:
        resets: when the storage was emptied, or put back to an earlier state.
    """

    def __init__(self, records: Records) -> None:
        self.resets: list[Event] = [
            event for event in records.events if event.kind in ("restore", "flush")
        ]
        self._created: dict[str, Call] = {}
        self._issued: dict[str, Call] = {}
        self._endings: dict[str, list[Call]] = defaultdict(list)
        self._presented: dict[str, list[Call]] = defaultdict(list)
        self._sessions_of: dict[str, list[Call]] = defaultdict(list)
        self._revocations: dict[str, list[Call]] = {}
        for call in records.calls:
            self._add(call)
        for call in records.calls:
            if call.method in ("delete_all", "restrict_all"):
                self._add_ending_of_all(call)

    def created(self, session_id: str) -> Call | None:
        """Return the call that opened a session; None where its answer was never written down."""
        return self._created.get(session_id)

    def sessions_of(self, subject: str) -> Sequence[Call]:
        """Return the calls that opened the sessions of a subject."""
        return self._sessions_of[subject]

    def issued(self, access_token: str) -> Call | None:
        """Return the call that answered with the access token of this name, or None."""
        return self._issued.get(access_token)

    def presented(self, refresh_token: str) -> Sequence[Call]:
        """Return the updates that were asked for with the refresh token of this name."""
        return self._presented[refresh_token]

    def endings(self, session_id: str) -> Sequence[Call]:
        """Return the calls that have ended or restricted a session, or may have."""
        return self._endings[session_id]

    def revocations(self, issue: Call) -> Sequence[Call]:
        """Return the calls that have revoked an access token for certain, by their answers."""
        name = name_of(issue.access_token)
        if name not in self._revocations:
            endings = self._endings[issue.session_id]
            certain = [ending for ending in endings if self.covers(ending, issue)]
            self._revocations[name] = sorted(certain, key=lambda call: call.ended or 0)
        return self._revocations[name]

    def covers(self, ending: Call, issue: Call) -> bool:
        """Return True where a call has revoked, for certain, the access token of another one."""
        if not ending.is_known or ending.ended is None:
            return False
        if ending.method in ("delete_one", "update"):
            return issue.begun < ending.ended
        if self.is_uncertain(issue.session_id, ending.ended):
            return False
        if ending.method == "delete_all":
            created = self._created.get(issue.session_id)
            return created is not None and (created.ended or 0) < ending.begun
        return issue.ended is not None and issue.ended < ending.begun

    def may_have_revoked(self, issue: Call, moment: float) -> bool:
        """Return True where anything can have revoked the token of this call by that moment."""
        return self.is_uncertain(issue.session_id, moment) or any(
            ending.begun < moment
            and (not ending.is_known or is_deletion(ending) or (ending.ended or 0) > issue.begun)
            for ending in self._endings[issue.session_id]
        )

    def is_uncertain(self, session_id: str, moment: float) -> bool:
        """Return True where the storage may have lost what it knew of a session by that moment."""
        created = self._created.get(session_id)
        return created is None or any(
            reset.begun < moment and created.begun < reset.ended for reset in self.resets
        )

    def _add(self, call: Call) -> None:
        if call.succeeded and call.method == "create":
            self._created[call.session_id] = call
            self._sessions_of[call.subject].append(call)
        if call.access_token:
            self._issued[name_of(call.access_token)] = call
        if call.method in ("delete_one", "restrict_one") or call.outcome == "RefreshTokenReused":
            self._endings[call.session_id].append(call)
        if call.method == "update":
            self._presented[call.presented].append(call)

    def _add_ending_of_all(self, ending: Call) -> None:
        for created in self._sessions_of[ending.subject]:
            if ending.ended is None or created.begun < ending.ended:
                insort(self._endings[created.session_id], ending, key=lambda call: call.begun)
