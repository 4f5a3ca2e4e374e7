"""How a node reads the stream of revocations, without sockets, threads or event loops.

::

        the first connection
                 |
                 v
    +--------------------------+                                    +---------------------------+
    | BEGINNING ANEW           |                                    | LOST                      |
    |   _last is None          |<-----------------------------------|   _begin_anew             |
    | The next look asks from  |                                    | What was heard so far     |
    | the start of the stream. |                                    | goes to _lost.            |
    +--------------------------+                                    +---------------------------+
                 |                                                                ^
                 v                          the last entry is gone, or            |
    +--------------------------+            the number of entries differs         |
    | CATCHING UP              |--------------------------------------------------+
    |   catch_up, _read_on     |
    | A look checks that it is |--+
    | the same stream, and     |  | more may be there
    | brings one batch.        |<-+
    +--------------------------+
                 | the end is reached
                 v
    +--------------------------+
    | PUTTING BACK             |  Skipped where _lost is empty. Before each entry it sends, the
    |   _put_back              |  node catches up once more, for others put back as well.
    | What is in _lost, and    |
    | not in the new stream.   |
    +--------------------------+
                 |
                 v
    +--------------------------+
    | WAITING TO HEAR          |  expect --> _sent --> _overdue --> sent again, by _put_back
    |   the end of catch_up    |
    | Each look moves on what  |  Each arrow after the first takes a look that ends here. What is
    | this node has published. |  heard leaves, from wherever it is.
    +--------------------------+
                 |
                 v
    +--------------------------+
    | FOLLOWING                |  once a second, and after each new connection
    |   follow                 |------------------------------------------------> CATCHING UP
    | The server answers when  |
    | there is news.           |
    +--------------------------+

**Nothing is missed unseen.** The node keeps the last entry it took in, and how many entries the
stream had been given by then. A look (``scripts.LOOK``) brings both as they are at one moment.
While they agree, the node missed nothing. Where they don't, the stream was trimmed beyond the node,
lost, rolled back or replaced, and the node reads it from its start. Revocations merge by maximum,
so hearing a revocation twice does no harm.

**What a server has lost, its nodes still know.** Each node remembers every revocation that lives,
``MESSAGE_BYTES`` each (``heard.py``). After it has read a lost stream anew, it puts back what that
lacks, so that nodes which start later hear it too. A revocation that this node published may be
lost before any node heard it. So the node waits to hear it, and sends again what two looks did not
bring.

An entry that was not made by this library is counted and passed over.

``tail.py`` has the connections and the threads, ``feed.py`` the public face.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, NamedTuple

from ..errors import InvalidArgument
from ..fork_safety import hold_lock_during_fork
from ..revocation.heard import HeardRevocations
from ..revocation.message import MESSAGE_BYTES, pack, unpack, unpack_each
from ..revocation.protocol import Apply, Revocation
from .client import Conversation, call
from .entry import REVOCATIONS_PER_ENTRY, Understood, decode_entry, encode_entry
from .scripts import APPEND, LOOK

__all__ = ["StreamReader"]

logger = logging.getLogger("tokenwheel")

READ_AT_ONCE = 1_000  # entries
LOOKED_EVERY = 1.0  # seconds
_BEFORE_ALL = "0-0"  # an id below that of every entry


class _Look(NamedTuple):
    """What ``scripts.LOOK`` answers: the stream at one moment, from the last entry on.

    That entry itself is the first of those counted. Before any is taken in, the look begins with
    the first entry that there is.
    """

    added: int
    """How many entries the stream was ever given."""
    brought: int
    """How many entries this look brings, at most ``READ_AT_ONCE``."""
    first: Any = None
    last: Any = None
    rest: Any = ()
    """The messages of the new entries in one piece; or all entries, where they come apart."""

    @property
    def is_all(self) -> bool:
        """True if this look reaches the end of the stream."""
        return self.brought < READ_AT_ONCE


class StreamReader:
    """Hold what a node knows of the stream, and say how it learns more.

    Args:
        name: the name of the stream's key.
        time: returns Unix seconds, by the slowest clock: what is over then is over for good.
        timer: returns seconds that never run back.

    Attributes:
        fresh_at: up to when, by the timer, the node is sure to have missed nothing.
        entries: how many entries the node took in.
        skipped: how many of these were not made by this library.
        lag: how many entries the node had yet to take in when it last looked.
        replays: how often the node had to read the stream again from its start.
    """

    def __init__(self, name: str, time: Callable[[], float], timer: Callable[[], float]) -> None:
        self._name = name
        self._time = time
        self._timer = timer
        self._apply: Apply
        self._heard = HeardRevocations()
        # What was heard of streams that were lost, until it is put back.
        self._lost: list[HeardRevocations] = []
        # Meanwhile: the messages that the new stream holds, whoever put them there.
        self._in_new: set[bytes] = set()
        # The messages that this node published since the last look and has not heard yet, and
        # those that it published before.
        self._sent: set[bytes] = set()
        self._overdue: set[bytes] = set()
        # Held to change these two: other threads publish.
        self._expecting = threading.Lock()
        hold_lock_during_fork(self, "_expecting")
        # How many entries the stream had been given when the last one was taken in. Not known
        # before the end was reached for the first time.
        self._counted: int | None = None
        self._last: Any = None
        self._is_to_rewind = False
        self.fresh_at = -inf
        self.entries = self.skipped = self.lag = self.replays = 0

    def begin(self, apply: Apply) -> None:
        """Keep ``apply``, to which all revocations are handed that the node hears."""
        self._apply = apply

    def begun_anew(self) -> StreamReader:
        """Return a reader for the same list that reads the stream from its start.

        It takes the place of this one where whoever read on has come to a stop, and perhaps in the
        midst of an entry. What was heard so far is put back where the stream lacks it.
        """
        reader = StreamReader(self._name, self._time, self._timer)
        reader.begin(self._apply)
        reader.fresh_at = self.fresh_at
        reader.entries, reader.skipped, reader.lag = self.entries, self.skipped, self.lag
        reader.replays = self.replays + 1
        reader._lost = [*self._lost, self._heard]
        with self._expecting:
            reader._overdue = self._overdue | self._sent
        return reader

    def rewind(self) -> None:
        """Read the stream from its start once more, at the next look."""
        self._is_to_rewind = True

    def expect(self, messages: Sequence[bytes]) -> None:
        """Wait to hear what this node publishes.

        A server may lose it before any node hears it. It is then published once more.
        """
        with self._expecting:
            self._sent.update(messages)

    def expect_no_more(self, messages: Sequence[bytes]) -> None:
        """Take back :meth:`expect`: the messages are not to be published."""
        with self._expecting:
            self._sent.difference_update(messages)
            self._overdue.difference_update(messages)

    @property
    def last_id(self) -> str:
        """The id of the last entry taken in."""
        return _BEFORE_ALL if self._last is None else str(self._last[0], "ascii")

    def catch_up(self) -> Conversation[None]:
        """Take in every entry after the last one, and put back what the stream lacks.

        Where this is not the stream that was read so far, all of it is taken in.
        """
        if self._is_to_rewind:
            self._is_to_rewind = False
            self._begin_anew()
        self._heard.forget(self._time())
        yield from self._read_to_end()
        while self._lost:
            yield from self._put_back_lost()
        self._in_new.clear()
        yield from self._put_back_overdue()

    def follow(self, longest_wait: float) -> Conversation[None]:
        """Take in entries as they come, for ever.

        Args:
            longest_wait: seconds after which the server answers where there is no news.
        """
        looked_at = self._timer()
        while True:
            yield from self._wait_for_news(longest_wait)
            if self._timer() - looked_at >= LOOKED_EVERY:
                yield from self.catch_up()
                looked_at = self._timer()

    def _wait_for_news(self, longest_wait: float) -> Conversation[None]:
        asked_at = self._timer()
        wait = int(longest_wait * 1000)  # milliseconds
        limits = ("COUNT", READ_AT_ONCE, "BLOCK", wait)
        answer = yield "XREAD", *limits, "STREAMS", self._name, self.last_id
        entries = answer[0][1] if answer else []
        self._take_apart(entries)
        if len(entries) < READ_AT_ONCE:
            self.fresh_at = asked_at if entries else asked_at + longest_wait

    def _read_to_end(self) -> Conversation[None]:
        while not (yield from self._read_on()):
            pass

    def _read_on(self) -> Conversation[bool]:
        """Read one batch after the last entry. Return True once the stream's end is reached."""
        asked_at = self._timer()
        begins = self._last is None
        look = yield from self._look("packed")
        if not self._is_same_stream(look):
            self._begin_anew()
            return False
        count = look.brought if begins else look.brought - 1
        if count:
            try:
                understood = Understood(look.rest, unpack_each(look.rest))
            except InvalidArgument:
                yield from self._read_apart()
                return False
            self._take_in([understood], look.last, count)
        if look.is_all:
            self._counted, self.lag, self.fresh_at = look.added, 0, asked_at
        return look.is_all

    def _read_apart(self) -> Conversation[None]:
        """Read one batch entry by entry, to find out which one is none of ours.

        What there is now is taken, be it more than there was when the batch came in one piece.
        """
        begins = self._last is None
        look = yield from self._look("apart")
        self._take_apart(look.rest if begins else look.rest[1:])

    def _look(self, form: str) -> Conversation[_Look]:
        start = b"-" if self._last is None else self._last[0]
        answer = yield from call(LOOK, (self._name,), start, READ_AT_ONCE, form)
        return _Look(*answer)

    def _is_same_stream(self, look: _Look) -> bool:
        """Return True if this is the stream that was read so far, and nothing of it was missed."""
        if self._last is None:
            return True
        if look.first != self._last:
            return False
        if self._counted is None:
            return True
        self.lag = max(look.added - self._counted, 0)
        return not look.is_all or self._counted + look.brought - 1 == look.added

    def _begin_anew(self) -> None:
        self._lost.append(self._heard)
        self._heard = HeardRevocations()
        self._in_new.clear()
        self._counted, self._last = None, None
        self.replays += 1

    def _put_back_lost(self) -> Conversation[None]:
        lost = list(self._lost)
        known = {message for heard in lost for message in heard}
        yield from self._put_back(known - self._in_new)
        # The stream may have been lost once more meanwhile. Then what was heard of it stays.
        del self._lost[: len(lost)]

    def _put_back_overdue(self) -> Conversation[None]:
        with self._expecting:
            overdue = list(self._overdue)
        yield from self._put_back(overdue)
        # Only now: the connection may have broken before all were sent again.
        with self._expecting:
            self._overdue.difference_update(overdue)
            self._overdue |= self._sent
            self._sent.clear()

    def _put_back(self, unheard: Iterable[bytes]) -> Conversation[None]:
        """Publish those of the messages that live, but for those that others put back meanwhile."""
        now = self._time()
        missing = [revocation for revocation in map(unpack, unheard) if revocation.expires_at > now]
        if not missing:
            return
        logger.warning(
            "the stream lacks %d revocations that this process knows of; they are put back",
            len(missing),
        )
        # Each node takes an order of its own, so nodes which do it at once soon find that others
        # were faster.
        random.shuffle(missing)
        for start in range(0, len(missing), REVOCATIONS_PER_ENTRY):
            yield from self._read_to_end()
            chunk = [
                revocation
                for revocation in missing[start : start + REVOCATIONS_PER_ENTRY]
                if pack(revocation) not in self._in_new
            ]
            if chunk:
                yield from self._publish(chunk, now)

    def _publish(self, revocations: Sequence[Revocation], now: float) -> Conversation[None]:
        lasting, messages = encode_entry(revocations, now)
        self.expect(messages)
        yield from call(APPEND, (self._name,), lasting, b"".join(messages))

    def _take_apart(self, entries: Sequence[Any]) -> None:
        """Take in what each entry says, and pass over those that are none of ours."""
        if not entries:
            return
        understood = []
        skipped = 0
        for _, fields in entries:
            try:
                understood.append(decode_entry(fields))
            except InvalidArgument:
                skipped += 1
        self._take_in(understood, entries[-1], len(entries))
        if skipped and not self.skipped:
            logger.warning(
                "the stream of revocations holds entries that are none; "
                "they are passed over, and this is said once"
            )
        self.skipped += skipped

    def _take_in(self, understood: Sequence[Understood], last: Any, count: int) -> None:
        """Hand revocations to ``apply``, and only then count them as read: the list may be full.

        Args:
            understood: what the entries say.
            last: the last of the entries.
            count: how many entries there are, those that are none of ours included.
        """
        self._apply(row for entry in understood for row in entry.revocations)
        heard: list[bytes] = []
        for messages, revocations in understood:
            for place, (_, expires_at, _) in enumerate(revocations):
                message = messages[place * MESSAGE_BYTES : (place + 1) * MESSAGE_BYTES]
                self._heard.add(message, expires_at)
                heard.append(message)
        self.expect_no_more(heard)
        if self._lost:
            self._in_new.update(heard)
        self._last = last
        if self._counted is not None:
            self._counted += count
        self.entries += count
