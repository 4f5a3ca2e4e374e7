"""A key set that follows a URL.

What may be relied on is decided here, at each look: keys that were fetched less than ``max_age``
ago. ``fetched_keys`` knows these, with ``schedule``, ``answers``, ``freshness`` and ``succession``:
when to fetch, and what an answer changes. ``background`` keeps them as they are at the URL, by
``fetch_crew``: the thread of ``fetcher`` or the task of ``fetch_task``. ``fetching`` and
``key_url`` say how and from where the standard library fetches.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ...conformance import check_instance, is_coroutine_function
from ...errors import ConfigurationError, StorageUnavailable
from ...event_loop import check_event_loop, has_event_loop
from ...exact import named
from ...fork_safety import pause_during_fork
from ...hidden import clears_locals
from ...option_checks import check_clocks, check_seconds
from ...seconds import checked_clock, steady_time, wall_time
from ..forms.jwk_algorithms import check_algorithms
from .answers import KeyResponse
from .background import BackgroundKeySet
from .fetch_crew import FetchCrew
from .fetched_keys import FetchedKeys, RemoteKeysStats
from .fetcher import PATIENCE, FetchThread
from .key_url import parse_url
from .schedule import Schedule
from .succession import Succession

__all__ = ["KeyResponse", "RemoteKeySet", "RemoteKeysStats"]

_LEAST = 0.1  # seconds
_DAY = 86_400.0  # seconds
_MONTH = 31 * _DAY
_LONGEST_GOODBYE = 1.0  # seconds
_GRACE = 0.5  # seconds in which whoever fetches says that its time is over


class RemoteKeySet(BackgroundKeySet):
    """The public keys of a JWK Set at a URL (RFC 7517, section 5), which managers follow.

    They are fetched when a manager is made, or by ``async with``, and again in the background: by
    ``Cache-Control`` or ``Expires`` within bounds, and early, once in each ``cooldown`` at most,
    where a token names a key that is not among them. ``read`` never waits for that. While the URL
    is out of reach, or answers what is of no use, the keys stay good for ``max_age`` seconds.

    Args:
        url: where the keys are. It is ``https``; also ``http`` on this machine.
        algorithms: those that are taken; None for all.
        min_refresh: seconds between two fetches, 0.1 to 31 days, where the answer allows less.
        max_refresh: seconds between two fetches, where the answer allows more; never more than
            three quarters of ``max_age``.
        cooldown: seconds, 0.1 to a day, between two early fetches, and until another attempt after
            a failure.
        max_age: seconds, 1 to 31 days, after which keys that were not fetched again are not relied
            on.
        keep_missing: seconds, up to 31 days, for which a key stays good that a newer answer does
            not list; it goes at once where the set says that it is newer, by its member
            ``tokenwheel_updated_at``.
        timeout: seconds, 0.1 to 300, that a fetch may take.
        fetch: called as ``fetch(url, headers=headers)`` instead of the standard library, in a
            thread of its own; it returns a response with ``status_code``, ``headers`` and
            ``content``, as httpx and requests do, or :class:`KeyResponse`. An ``async def``, in an
            AsyncSessionManager, is awaited on its event loop.
        allow_http: True to take ``http`` for other hosts: whoever is on the way can then sign
            tokens.
        timer: returns seconds that never run back. It measures ages.
        clock: returns Unix seconds, to which dates in answers are compared.

    Raises:
        ConfigurationError: an option makes no sense.
    """

    __slots__ = ()
    _follows = "a URL"

    @clears_locals
    def __init__(
        self,
        url: str,
        *,
        algorithms: Sequence[str] | None = None,
        min_refresh: float = 300,
        max_refresh: float = 86_400,
        cooldown: float = 30,
        max_age: float = 86_400,
        keep_missing: float = 300,
        timeout: float = 5,
        fetch: Callable[..., Any] | None = None,
        allow_http: bool = False,
        timer: Callable[[], float] = steady_time,
        clock: Callable[[], float] = wall_time,
    ) -> None:
        if type(allow_http) is not bool:
            raise ConfigurationError(f"allow_http must be a bool, not {named(allow_http)}")
        self._url = parse_url(url, allow_http=allow_http)
        min_refresh = check_seconds("min_refresh", min_refresh, _LEAST, _MONTH)
        max_refresh = check_seconds("max_refresh", max_refresh, _LEAST, _MONTH)
        if max_refresh < min_refresh:
            raise ConfigurationError("max_refresh must not be less than min_refresh")
        self._timeout = check_seconds("timeout", timeout, _LEAST, 300)
        schedule = Schedule(
            min_refresh=min_refresh,
            max_refresh=max_refresh,
            cooldown=check_seconds("cooldown", cooldown, _LEAST, _DAY),
            max_age=check_seconds("max_age", max_age, 1, _MONTH),
            timeout=self._timeout,
        )
        succession = Succession(check_seconds("keep_missing", keep_missing, 0, _MONTH))
        self._fetch = _check_fetch(fetch)
        self._is_async = fetch is not None and is_coroutine_function(fetch)
        check_clocks(timer=timer, clock=clock)
        self._timer = checked_clock(timer)
        self._known = FetchedKeys(
            self._url,
            check_algorithms(algorithms),
            schedule,
            succession,
            self._timer,
            checked_clock(clock),
        )
        self._crew = FetchCrew()
        self._holds_keys = False
        self._begin((), None)
        pause_during_fork(self)

    def __repr__(self) -> str:
        return f"<RemoteKeySet {self._url}>"

    @property
    def waits(self) -> bool:  # type: ignore[override]
        """True where ``close`` waits for a thread to end, and is none to be awaited."""
        return not self._is_async

    def stats(self) -> RemoteKeysStats:
        """Return how the keys stand in this process. This never waits."""
        return self._known.stats()

    def jwks(self) -> dict[str, Any]:
        """Return the public keys as a JSON Web Key Set, for others to verify by.

        Raises:
            StorageUnavailable: no keys were fetched yet, or not for ``max_age`` seconds. To others
                an empty set, or an old one, would look like the truth.
        """
        self.look()
        return super().jwks()

    def look(self) -> None:
        """See to it that the keys are fetched, and that they may be relied on. Never wait.

        Raises:
            StorageUnavailable: no keys were fetched yet, or not for ``max_age`` seconds.
        """
        self._look(self._timer())

    def _look(self, now: float) -> None:
        self._see_to_fetcher(now)
        if now >= self._known.succession.drop_at:
            self._drop_missing(now)
        schedule = self._known.schedule
        if now < schedule.good_until:
            return
        is_awaited = self._is_async or has_event_loop()
        if schedule.good_at is None and is_awaited and not self._crew.is_tried:
            raise StorageUnavailable(
                f"the keys of {self._url} have not been fetched yet: enter the manager with "
                "'async with', or await a method of it first"
            )
        raise StorageUnavailable(self._known.why_none(now))

    def miss(self) -> None:
        """Ask for one early fetch, as a token names a key that the set has not. Never wait.

        Raises:
            StorageUnavailable: no keys were fetched yet, or not for ``max_age`` seconds.
        """
        schedule = self._known.schedule
        # What attackers send costs no more than this. Each look sees to it that somebody fetches.
        if schedule.wants_early:
            return
        now = self._timer()
        if not self._crew.is_closed:
            schedule.want_early(now)
            if (fetcher := self._crew.fetcher) is not None:
                fetcher.wake()
        self._look(now)

    def start(self) -> None:
        """Fetch the keys, if no attempt at that was made. A failure is logged, not raised.

        This waits for the time of one fetch at most. A set that was closed is followed again.

        Raises:
            ConfigurationError: ``fetch`` has to be awaited.
        """
        if self._is_async:
            raise ConfigurationError(
                "fetch must not be async in a SessionManager; AsyncSessionManager takes it"
            )
        if (attempt := self._first_attempt()) is not None:
            self._wait(attempt, self._timeout + _GRACE)

    async def start_async(self) -> None:
        """Fetch the keys on an event loop, if no attempt at that was made. A failure is logged.

        The loop goes on meanwhile. The call ends after the time of one fetch at most. A set that
        was closed is followed again.

        Raises:
            ConfigurationError: no event loop of asyncio runs, and an attempt has to be awaited.
        """
        if not self._crew.is_tried:
            check_event_loop()
        if (attempt := self._first_attempt()) is not None:
            await self._wait_async(attempt, self._timeout + _GRACE)

    def refresh(self) -> None:
        """Fetch the keys at once, and wait for that.

        Raises:
            StorageUnavailable: that has failed; says why.
            ConfigurationError: ``fetch`` has to be awaited: so has :meth:`refresh_async`.
        """
        if self._is_async:
            raise ConfigurationError("fetch is async: await refresh_async() instead")
        self._check_fetched(self._wait(self._ask_at_once(), 2 * self._timeout + PATIENCE))

    async def refresh_async(self) -> None:
        """Fetch the keys at once, and await that.

        Raises:
            StorageUnavailable: that has failed; says why.
            ConfigurationError: no event loop of asyncio runs.
        """
        check_event_loop()
        attempt = self._ask_at_once()
        self._check_fetched(await self._wait_async(attempt, 2 * self._timeout + PATIENCE))

    def close(self) -> Any:
        """Stop fetching. Can be called again. Tokens are verified by what is known meanwhile.

        Returns:
            None; with an async ``fetch``, on an event loop, an awaitable of it.
        """
        crew = self._crew
        with crew.lock:
            crew.is_closed = True
            fetcher = self._let_go()
            crew.dismiss("the set was closed")
        if isinstance(fetcher, FetchThread):
            fetcher.join(_LONGEST_GOODBYE)
        if not self._is_async or not has_event_loop():
            return None
        from .fetch_task import wait_until_over  # which needs asyncio

        return wait_until_over(fetcher, self._timeout)

    def _check_fetched(self, reason: str | None) -> None:
        if reason is not None:
            raise StorageUnavailable(f"the keys of {self._url} could not be fetched: {reason}")


def _check_fetch(fetch: object) -> Callable[..., Any] | None:
    if fetch is None:
        return None
    check_instance("fetch", fetch)
    if not callable(fetch):
        raise ConfigurationError(
            f"fetch must be a callable that takes a URL and headers=, not {named(fetch)}"
        )
    return fetch
