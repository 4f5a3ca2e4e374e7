"""What was asked and answered, and what befell: a file of lines for each process of a trial.

Each line goes to the system with one call, so it outlives the process that wrote it. A call that
changes something is written before it is made, and once more with its answer. Of a call that was
cut off the first line alone remains, and its outcome is unknown.

All times are seconds of ``time.monotonic``, which is the same for every process of a machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenwheel.json_text import dumps, loads

OK = "ok"


class Call(NamedTuple):
    """A call of a manager's method, by a node."""

    node: str
    number: int
    method: str
    begun: float
    subject: str = ""
    session_id: str = ""  # of the session it is about; none where it is about all of a subject's
    presented: str = ""  # the name of the token that was handed in
    ended: float | None = None  # None: it was never answered
    outcome: str = ""  # OK, or the name of the error
    answer: str = ""  # what else it returned
    access_token: str = ""
    refresh_token: str = ""  # its name
    ahead: int = 0  # seconds by which the node's clock was ahead

    @property
    def succeeded(self) -> bool:
        return self.outcome == OK

    @property
    def is_known(self) -> bool:
        """True where it is certain what the call has done; False where it may have, or may not."""
        return self.outcome in (OK, "SessionNotFound", "RefreshTokenReused")


class Birth(NamedTuple):
    """A node's beginning, written once its manager is made."""

    node: str
    how: str
    ready: float
    refuses: bool  # a read of a node that hears nothing is refused


class Event(NamedTuple):
    """What the monkey did, from when until when."""

    kind: str
    begun: float
    ended: float
    about: str = ""


KINDS: dict[str, type[Call | Birth | Event]] = {
    "call": Call,
    "birth": Birth,
    "event": Event,
}


def name_of(token: str) -> str:
    """Return what a token is called in a journal: its last characters, which are random."""
    return token[-16:]


class Journal:
    """The journal of one process, which any thread of it may write."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, record: Call | Birth | Event) -> None:
        kind = type(record).__name__.lower()
        os.write(self._file, dumps([kind, *record]) + b"\n")

    def close(self) -> None:
        os.close(self._file)


class Records(NamedTuple):
    """All that the journals of a trial hold, in the order of time."""

    calls: list[Call]
    births: dict[str, Birth]
    events: list[Event]

    @classmethod
    def of(cls, calls: list[Call], births: dict[str, Birth], events: list[Event]) -> Records:
        """Return these records, put in order."""
        return cls(
            sorted(calls, key=lambda call: call.begun),
            births,
            sorted(events, key=lambda event: event.begun),
        )

    @classmethod
    def read(cls, folder: Path) -> Records:
        """Return what the journals in this folder hold."""
        calls: list[Call] = []
        births: dict[str, Birth] = {}
        events: list[Event] = []
        for path in sorted(folder.glob("*.journal")):
            answered: dict[int, Call] = {}
            for record in _read(path):
                if isinstance(record, Call):
                    answered[record.number] = record  # The answer takes the place of the question.
                elif isinstance(record, Birth):
                    births[record.node] = record
                else:
                    events.append(record)
            calls += answered.values()
        return cls.of(calls, births, events)


def _read(path: Path) -> Iterator[Any]:
    for line in path.read_bytes().splitlines():
        kind, *values = loads(line)
        yield KINDS[kind](*values)
