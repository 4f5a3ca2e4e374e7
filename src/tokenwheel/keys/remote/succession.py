"""Which keys are good once a set has been fetched again: the new ones, and some of the old ones.

One of several servers, or a cache, may answer with a copy from before the last change. A token that
was good must not be refused for that, so:

- A set that says ``tokenwheel_updated_at`` is an old copy where it says less than the one held. It
  is not taken over; unless nothing newer has come for so long that the keys held would be too old.
  Then somebody has put back a backup.
- Of a set that says more than the one held, all is taken at its word: a key that is missing goes at
  once. That is how a key is withdrawn.
- In all other cases nobody can tell which is older. What is new is taken; a key that is missing
  stays for a while, and for good if it is listed again meanwhile.

A time that is no whole number or lies in the future counts as unsaid. Otherwise one such value
would make all that comes after it an old copy. A set that once said its time and then says none is
one of the other cases, and the greatest time that was said is remembered.

Nothing here fetches anything or reads a clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

from ...exact import whole_number_of
from ..key import Key
from .answers import FetchFailed

__all__ = ["Succession"]

_FURTHEST_AHEAD = 86_400  # seconds by which the clocks of two machines may differ: one day


class Succession:
    """Know the keys that are good. The caller sees to it that one thread at a time changes them.

    Args:
        keep_missing: seconds for which a key stays that is missing in a set of unknown age.

    Attributes:
        keys: those that are good, in the order in which they came.
        drop_at: when a missing key goes next.
    """

    __slots__ = ("_keep_missing", "_missing", "_updated_at", "drop_at", "keys")

    def __init__(self, keep_missing: float) -> None:
        self._keep_missing = keep_missing
        self._missing: dict[str, float] = {}  # when each goes
        self._updated_at: int | None = None
        self.keys: tuple[Key, ...] = ()
        self.drop_at = inf

    def take(
        self,
        listed: Sequence[Key],
        updated_at: object,
        *,
        now: float,
        unix_now: float,
        is_last_chance: bool,
    ) -> str | None:
        """Take over a set.

        Args:
            listed: its keys.
            updated_at: when it was last changed, in Unix seconds, as it says itself.
            now: the moment, in seconds of a timer.
            unix_now: the moment in Unix seconds.
            is_last_chance: True to take an old copy, too.

        Returns:
            What is to be said of it as a warning, or None.

        Raises:
            FetchFailed: it is an old copy. Nothing has changed.
        """
        said = _time_of(updated_at, unix_now)
        known = self._updated_at
        is_old = said is not None and known is not None and said < known
        if is_old and not is_last_chance:
            raise FetchFailed(
                "it answered an old copy of the set, by its 'tokenwheel_updated_at', as a server "
                "or cache does that is behind"
            )
        is_newer = said is not None and known is not None and said > known
        self._replace(listed, now, is_newer=is_newer)
        if said is not None:
            self._updated_at = said
        if is_old:
            return (
                "an old copy of the set was taken over, since nothing newer came for so long: a "
                "backup seems to have been put back"
            )
        if updated_at is not None and said is None:
            return "its 'tokenwheel_updated_at' is no whole number of seconds up to now"
        return None

    def drop_missing(self, now: float) -> None:
        """Let the missing keys go whose time is over."""
        gone = {name for name, drop_at in self._missing.items() if now >= drop_at}
        if gone:
            self.keys = tuple(key for key in self.keys if _name_of(key) not in gone)
            for name in gone:
                del self._missing[name]
        self._note_next()

    def _replace(self, listed: Sequence[Key], now: float, *, is_newer: bool) -> None:
        held = {_name_of(key): key for key in self.keys}
        new = {_name_of(key): key for key in listed}
        # Tokens name a key by these two, so a new key takes the place of an old one.
        taken = {(key.kid, key.algorithm) for key in listed}
        self._missing = {
            name: self._missing.get(name, now + self._keep_missing)
            for name, key in held.items()
            if not is_newer and name not in new and (key.kid, key.algorithm) not in taken
        }
        # In the order in which they came, so that a set in another order changes nothing.
        good = {name: key for name, key in held.items() if name in new or name in self._missing}
        self.keys = tuple({**good, **{name: good.get(name, new[name]) for name in new}}.values())
        self.drop_missing(now)

    def _note_next(self) -> None:
        self.drop_at = min(self._missing.values(), default=inf)


def _name_of(key: Key) -> str:
    """Return what tells a public key from all others."""
    return repr(sorted(key.to_jwk().items()))


def _time_of(updated_at: object, unix_now: float) -> int | None:
    """Return when a set was changed, or None where it says no time that can be."""
    seconds = whole_number_of(updated_at)
    if seconds is None or not 0 <= seconds <= unix_now + _FURTHEST_AHEAD:
        return None
    return seconds
