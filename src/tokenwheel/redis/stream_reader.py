"""A node's reading of the stream of revocations, without sockets, threads or event loops: ``tail`` has them, ``redis`` the public face.

The node keeps the last entry it took in, and how many the stream had been given by then. Once a second, and whenever it had to connect
anew, it looks at both at one moment (``scripts.LOOK``). While they agree, nothing was missed. Where they don't, the stream was
trimmed beyond the node, lost, rolled back or replaced, and the node reads it again from its start. Revocations merge by maximum, so what
it hears twice does no harm.

What a server has lost, its nodes have not: each remembers every revocation it heard, until it is over, 25 bytes each. After it has read a
stream anew it puts back what it misses there, so that nodes which start later know it too. And it waits to hear what it sent itself, and
sends again what two looks did not bring.

Whatever lies in the stream was put there by somebody. An entry that is none of ours is counted and passed over.
"""

from __future__ import annotations

import logging
import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from math import inf
from typing import Any

from ..errors import InvalidArgument
from ..revocation.message import MESSAGE_BYTES, pack, unpack, unpack_each
from ..revocation.protocol import Revocation
from .client import Conversation, call
from .scripts import APPEND, CLOCK_MARGIN, LOOK, milliseconds

__all__ = ["HeardRevocations", "StreamReader", "encode_entry"]

logger = logging.getLogger("tokenwheel")

Row = tuple[str, float, int | None]  # as a Revocation, without the time it takes to make one
Apply = Callable[[Iterable[Row]], None]
Taken = tuple[bytes, list[Row]]  # messages, and what they say

READ_AT_ONCE = 1_000  # entries
REVOCATIONS_PER_ENTRY = 250  # revocations in one entry
LOOKED_EVERY = 1.0  # seconds
_LONGEST_MESSAGE = (
    2**20
)  # bytes, 1 MiB: what `delete_all` publishes for 41,943 sessions of one subject
_BEFORE_ALL = b"0-0"


def encode_entry(revocations: Sequence[Revocation], now: float) -> tuple[int, list[bytes]]:
    """How long, in milliseconds, an entry of these revocations is kept, and the message of each.

    Raises:
        InvalidArgument: a revocation that no list could take.
    """
    messages = [pack(one) for one in revocations]
    return milliseconds(max(one.expires_at for one in revocations) - now), messages


class HeardRevocations:
    """Every revocation that lives, by the minute in which it ends, so that forgetting what is over takes no search."""

    def __init__(self) -> None:
        self._minutes: defaultdict[int, bytearray] = defaultdict(bytearray)

    def add(self, message: bytes, expires_at: float) -> None:
        self._minutes[int(expires_at // 60)] += message

    def forget(self, now: float) -> None:
        """What is over for every node."""
        over = (now - CLOCK_MARGIN) // 60
        for minute in [minute for minute in list(self._minutes) if minute < over]:
            del self._minutes[minute]

    def __iter__(self) -> Iterator[bytes]:
        for messages in list(self._minutes.values()):
            for start in range(0, len(messages), MESSAGE_BYTES):
                yield bytes(messages[start : start + MESSAGE_BYTES])


class StreamReader:
    """What a node knows of the stream.

    Attributes:
        fresh_at: up to when, by the timer, the node is sure to have missed nothing.
        entries: how many it took in; ``skipped``: how many of these were none of ours.
        lag: how many it had yet to take in when it last looked.
        replays: how often it had to read the stream again from its start.
    """

    def __init__(self, name: str, clock: Callable[[], float], timer: Callable[[], float]) -> None:
        self._name = name
        self._clock = clock
        self._timer = timer
        self._apply: Apply
        self._heard = HeardRevocations()
        self._lost: list[HeardRevocations] = []  # since the stream was lost, until it is put back
        self._in_new: set[bytes] = (
            set()
        )  # meanwhile: what the new one holds, put back by others or not
        self._sent: set[bytes] = set()  # since the last look, and not heard yet
        self._overdue: set[bytes] = set()  # sent before it, and not heard yet
        self._counted: int | None = None  # not known before all was read once
        self._last: Any = None
        self.fresh_at = -inf
        self.entries = self.skipped = self.lag = self.replays = 0

    def begin(self, apply: Apply) -> None:
        self._apply = apply

    def expect(self, messages: Sequence[bytes]) -> None:
        """Waits to hear what this node publishes, and puts it into the stream once more where a server lost it before any node heard it."""
        self._sent.update(messages)

    @property
    def last_id(self) -> bytes:
        """The id of the last entry taken in."""
        return _BEFORE_ALL if self._last is None else bytes(self._last[0])

    def catch_up(self) -> Conversation[None]:
        """Takes in all there is beyond the last entry; all there is, where this is not the stream that was read so far."""
        self._heard.forget(self._clock())
        while not (yield from self._read_on()):
            pass
        while self._lost:
            lost = list(self._lost)
            yield from self._put_back(
                {message for memory in lost for message in memory} - self._in_new
            )
            del self._lost[
                : len(lost)
            ]  # All of it, unless the stream was lost once more meanwhile.
        self._in_new.clear()
        overdue = list(self._overdue)
        yield from self._put_back(overdue)
        self._overdue.difference_update(
            overdue
        )  # Only now: the connection may have broken before all were sent again.
        self._overdue |= self._sent
        self._sent = set()

    def follow(self, longest_wait: float) -> Conversation[None]:
        """Takes in what comes, as it comes, for ever; each answer within ``longest_wait`` seconds."""
        looked_at = self._timer()
        while True:
            asked_at = self._timer()
            wait = int(longest_wait * 1000)
            answer = yield (
                "XREAD",
                "COUNT",
                READ_AT_ONCE,
                "BLOCK",
                wait,
                "STREAMS",
                self._name,
                self.last_id,
            )
            entries = answer[0][1] if answer else []
            self._take(entries)
            if len(entries) < READ_AT_ONCE:
                self.fresh_at = asked_at if entries else asked_at + longest_wait
            if self._timer() - looked_at >= LOOKED_EVERY:
                yield from self.catch_up()
                looked_at = self._timer()

    def _read_on(self) -> Conversation[bool]:
        """Reads some of what is beyond the last entry; whether that was all."""
        asked_at = self._timer()
        last = self._last
        given, count, *found = yield from self._look("packed")
        is_all: bool = count < READ_AT_ONCE
        if last is not None:
            if not found or found[0] != last:
                self._begin_anew()
                return False
            count -= 1
            if self._counted is not None:
                self.lag = max(given - self._counted, 0)
                if is_all and self._counted + count != given:
                    self._begin_anew()
                    return False
        if count:
            try:
                taken = [(found[2], unpack_each(found[2]))]
            except (
                InvalidArgument
            ):  # Which of them it is has to be looked up, and what there is now is taken instead.
                given, _, *found = yield from self._look("apart")
                self._take(found[2][0 if last is None else 1 :])
                return False
            self._take_in(taken, found[1], count)
        if is_all:
            self._counted, self.lag, self.fresh_at = given, 0, asked_at
        return is_all

    def _look(self, form: str) -> Conversation[Any]:
        return (
            yield from call(
                LOOK,
                (self._name,),
                b"-" if self._last is None else self._last[0],
                READ_AT_ONCE,
                form,
            )
        )

    def _begin_anew(self) -> None:
        self._lost.append(self._heard)
        self._heard = HeardRevocations()
        self._in_new.clear()
        self._counted, self._last = None, None
        self.replays += 1

    def _put_back(self, unheard: Iterable[bytes]) -> Conversation[None]:
        """In no particular order, so that nodes which do it at once soon find that others were faster."""
        now = self._clock()
        missing = [one for one in map(unpack, unheard) if one.expires_at > now]
        if not missing:
            return
        logger.warning(
            "the stream lacks %d revocations that this process knows of; they are put back",
            len(missing),
        )
        random.shuffle(missing)
        for start in range(0, len(missing), REVOCATIONS_PER_ENTRY):
            while not (yield from self._read_on()):
                pass
            chunk = [
                one
                for one in missing[start : start + REVOCATIONS_PER_ENTRY]
                if pack(one) not in self._in_new
            ]
            if chunk:
                lasting, messages = encode_entry(chunk, now)
                self.expect(messages)
                yield from call(APPEND, (self._name,), lasting, b"".join(messages))

    def _take(self, entries: Sequence[Any]) -> None:
        """Hands over what the entries say, but for those that are none of ours."""
        if not entries:
            return
        taken = []
        skipped = 0
        for _, fields in entries:
            try:
                taken.append(_understand(fields))
            except InvalidArgument:
                skipped += 1
        self._take_in(taken, entries[-1], len(entries))
        if skipped and not self.skipped:
            logger.warning(
                "the stream of revocations holds entries that are none; they are passed over, and this is said once"
            )
        self.skipped += skipped

    def _take_in(self, taken: Sequence[Taken], last: Any, count: int) -> None:
        """Hands over, and only then counts as read: the list may have no room."""
        self._apply(one for _, revocations in taken for one in revocations)
        for messages, revocations in taken:
            for place, (_, expires_at, _) in enumerate(revocations):
                message = messages[place * MESSAGE_BYTES : (place + 1) * MESSAGE_BYTES]
                self._heard.add(message, expires_at)
                self._sent.discard(message)
                self._overdue.discard(message)
                if self._lost:
                    self._in_new.add(message)
        self._last = last
        if self._counted is not None:
            self._counted += count
        self.entries += count


def _understand(fields: Any) -> Taken:
    if (
        not isinstance(fields, list)
        or len(fields) != 4
        or (fields[0], fields[2]) != (b"r", b"e")
        or len(fields[1]) > _LONGEST_MESSAGE
    ):
        raise InvalidArgument("an entry of the stream has the fields r and e")
    return fields[1], unpack_each(fields[1])
