"""A key set that follows a file.

No thread runs for it. Whoever verifies, signs or looks into the set has the file looked at first;
``watched_file`` tells whether it may have changed, ``file_text`` what it says. What cannot be used
is kept out, and the keys that were there stay in use. It is said once in the log, and again when
the file is good.

The file also says from when a key signs. So that moment is looked at each time, whether the file is
or not: every process that has the keys changes to the next one by itself.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from hashlib import sha256
from math import inf
from typing import Any

from ...errors import ConfigurationError
from ...exact import named, text_or_bytes_of, type_name_of
from ...hidden import Hidden, clears_locals
from ...option_checks import check_clocks
from ...seconds import checked_clock, steady_time, wall_time
from ..checks import check_algorithm
from ..forms.jwks import KeyList, tell_passed_over, write_jwks
from ..forms.known_keys import KnownKeys
from ..key import Key
from ..living import LivingKeySet
from .file_log import (
    is_open_to_others,
    tell_of_early_key,
    tell_of_mode,
    tell_of_signing,
    tell_of_state,
)
from .file_stats import KeyFileStats
from .file_text import LONGEST_KEY_TEXT, read_key_text
from .key_path import given_key_path
from .signing_times import next_change, span_around
from .watched_file import UnusableFile, WatchedFile

__all__ = ["KeyFile", "KeyFileStats"]

logger = logging.getLogger("tokenwheel")

# Managers look once a second where they verify, and each time they sign.
_BETWEEN_LOOKS = 0.05  # seconds: 20 looks at the file in a second
_BETWEEN_MISSES = 0.01  # seconds: 100 in a second, whatever attackers send
_NEVER = (inf, -inf)
_LONGEST_WAIT = 1.0  # seconds, for a thread that takes over other keys


class KeyFile(LivingKeySet):
    """The keys of a file, as it is now.

    A manager over it verifies by all keys of the file, and signs with the one whose time has come
    (``tokenwheel_signs_from``). The file is looked at when the set is used; replace it atomically,
    by renaming another to its name. What is no key file is kept out, and said in the log.

    Args:
        path: of a JWK, a JWK Set or PEM. It may be a link, which may later lead elsewhere.
        algorithm: what a key is for that doesn't say so itself. By default it is what the curve
            tells, RS256 for RSA and HS256 for a shared secret.
        password: what a key in PEM form is encrypted with.
        clock: returns Unix seconds. By it a key begins to sign.
        timer: returns seconds that nobody sets. By it the looks at the file are spaced.

    Raises:
        ConfigurationError: there is no such file, or its keys cannot be used; or an argument.
    """

    __slots__ = (
        "_algorithm",
        "_clock",
        "_digest",
        "_failures",
        "_file",
        "_flaw",
        "_is_busy",
        "_is_half_told",
        "_is_told_of_early_key",
        "_is_told_of_mode",
        "_known",
        "_listed",
        "_looked_at",
        "_missed_at",
        "_passed_over",
        "_password",
        "_path",
        "_signs_between",
        "_taken_at",
        "_timer",
        "_trouble",
    )
    _follows = "a file"

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        algorithm: str | None = None,
        password: str | bytes | None = None,
        clock: Callable[[], float] = wall_time,
        timer: Callable[[], float] = steady_time,
    ) -> None:
        self._password = _hidden(password)
        del password
        self._path = given_key_path(path)
        self._algorithm = None if algorithm is None else check_algorithm(algorithm)
        check_clocks(clock=clock, timer=timer)
        self._clock = checked_clock(clock)
        self._timer = checked_clock(timer)
        self._file = WatchedFile(self._path, LONGEST_KEY_TEXT)
        self._digest: bytes | None = None  # of the content that was last read
        self._flaw: str | None = None  # what is wrong with that
        self._trouble: str | None = None  # what was last said to be wrong with the file
        self._listed = KeyList(())
        self._known = KnownKeys()
        self._signs_between = _NEVER  # the moments at which the key that signs now does so
        self._passed_over: set[tuple[str, str]] = set()  # as they were told
        self._failures = 0
        self._taken_at = 0.0
        self._looked_at = self._missed_at = -inf
        self._is_half_told = self._is_told_of_early_key = self._is_told_of_mode = False
        self._begin((), None)
        now, moment = self._timer(), self._clock()
        trouble = self._read(now, moment)
        if trouble is not None:
            # A path that names nothing may be a secret that was given by mistake.
            shown = f" {self._path!r}" if os.path.lexists(self._path) else ""
            raise ConfigurationError(f"the key file{shown} {trouble}")
        self._choose(moment)

    def renew(self) -> None:
        """Begin anew in a child of a fork, where another thread of the parent may have looked."""
        super().renew()
        self._is_busy = False
        self._file.forget()

    def look(self) -> None:
        """Take the file over where it has changed, and sign with the key whose time has come.

        Nobody waits for another thread that is at it: until that one is done the old keys count.
        """
        now, moment = self._timer(), self._clock()
        begins, ends = self._signs_between
        if 0 <= now - self._looked_at < _BETWEEN_LOOKS and begins <= moment < ends:
            return
        self._look_unless_another_does()

    def miss(self) -> None:
        """Look at the file at once, since a token names a key that may have just been added."""
        if not self._is_busy and 0 <= self._timer() - self._missed_at < _BETWEEN_MISSES:
            return
        # Another thread may be taking that key over, for which this one waits.
        if self._lock.acquire(timeout=_LONGEST_WAIT):
            try:
                now = self._timer()
                if not 0 <= now - self._missed_at < _BETWEEN_MISSES:
                    self._look_now(now, self._clock())
                    self._missed_at = now  # Only now, or other threads would not wait for this one.
            finally:
                self._lock.release()

    def _look_unless_another_does(self) -> None:
        if self._lock.acquire(blocking=False):
            try:
                self._look_now(self._timer(), self._clock())
            finally:
                self._lock.release()

    def _look_now(self, now: float, moment: float) -> None:
        """Take the file over where it has changed, and choose the key that signs.

        The caller holds the lock.
        """
        if self._is_busy:  # A subscriber looks, or whatever the garbage collector runs meanwhile.
            return
        self._is_busy = True
        try:
            trouble = self._read(now, moment)
            if trouble != self._trouble:
                self._trouble = trouble
                self._failures += trouble is not None
                tell_of_state(self._path, trouble)
            self._choose(moment)
        except BaseException:
            self._file.forget()  # What was read may not have been understood yet.
            raise
        finally:
            self._is_busy = False

    @clears_locals
    def _read(self, now: float, moment: float) -> str | None:
        """Take note of what the file says now. Return what is wrong with it, or None."""
        self._looked_at = now
        try:
            content = self._file.read_if_changed(now)
        except UnusableFile as unusable:
            return str(unusable)
        if content is None:
            return self._flaw
        digest = sha256(content).digest()
        if digest != self._digest:
            self._flaw = self._understand(content, moment)
            self._digest = digest
        del content
        if self._flaw is None and not self._is_told_of_mode:
            holds_secrets = any(listed.key.can_sign for listed in self._listed.keys)
            if is_open_to_others(self._file.mode, holds_secrets):
                self._is_told_of_mode = True
                tell_of_mode(self._path, self._file.mode)
        return self._flaw

    def _understand(self, content: bytes, moment: float) -> str | None:
        """Take note of what a text says. Return what is wrong with it, or None."""
        password = self._password
        try:
            listed = read_key_text(
                content,
                algorithm=self._algorithm,
                password=None if password is None else password.content,
                known=self._known,
            )
            self._known.forget_unused()
        except ConfigurationError as error:
            return f"cannot be used: {error}"
        except Exception as error:  # any: a file must not make a token be refused
            return f"cannot be used: it raises {type_name_of(error)}"
        tell_passed_over(listed.passed_over, self._passed_over)
        self._signs_between = _NEVER
        self._listed = listed
        self._taken_at = moment
        self._is_told_of_early_key = False
        return None

    def _choose(self, moment: float) -> None:
        """Put the keys of the file in place, with the one that signs now."""
        begins, ends = self._signs_between
        if begins <= moment < ends:
            return
        self._signs_between = _NEVER
        listed, before, is_half_told = self._listed, self._signing, self._is_half_told
        chosen = listed.signing_at(moment)
        # An error, or a fork in another thread, may come before all subscribers have been told.
        self._is_half_told = True
        try:
            self._take([each.key for each in listed.keys], None if chosen is None else chosen.key)
            if is_half_told:
                self._announce()
        except Exception:  # any: a subscriber is the application's own
            logger.exception("a subscriber of the key file %r raised", self._path)
        self._is_half_told = False
        if self._signing is not before:
            tell_of_signing(self._path, before, self._signing, self._keys)
        is_early = chosen is not None and (chosen.signs_from or 0) > moment
        if chosen is not None and is_early and not self._is_told_of_early_key:
            self._is_told_of_early_key = True
            tell_of_early_key(self._path, chosen)
        self._signs_between = span_around(moment, listed)

    @property
    def signing(self) -> Key | None:
        """The key that signs now, or None where all keys are public. The file is looked at."""
        self._look_unless_another_does()
        return self._signing

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set, for others to verify by.

        The times that the file tells are in it. Shared secrets are left out.
        """
        self._look_unless_another_does()
        return write_jwks(self._listed)

    def stats(self) -> KeyFileStats:
        """Return how the set stands. The file is looked at."""
        self._look_unless_another_does()
        return KeyFileStats(
            self._taken_at,
            self._failures,
            self._trouble,
            next_change(self._clock(), self._listed),
        )

    def __iter__(self) -> Iterator[Key]:
        self._look_unless_another_does()
        return super().__iter__()

    def __len__(self) -> int:
        self._look_unless_another_does()
        return super().__len__()

    def __contains__(self, kid: object) -> bool:
        """Return True where the file has a key of this kid; of None, one that has none."""
        self._look_unless_another_does()
        return super().__contains__(kid)

    def __repr__(self) -> str:
        return f"<KeyFile {self._path!r} of {len(self._keys)} keys>"


def _hidden(password: object) -> Hidden[Any] | None:
    """Return a password as one that no repr shows.

    Raises:
        ConfigurationError: it is no text.
    """
    plain = text_or_bytes_of(password)
    if plain is None and password is not None:
        raise ConfigurationError(f"password must be str or bytes, not {named(password)}")
    return None if plain is None else Hidden(plain)
